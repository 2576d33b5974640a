import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tests.tasks.conftest import noise

SIDE = st.integers(1, 90)


def pillow(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize as Pillow does, to numbers that can be subtracted."""
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)).astype(int)


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    return Session(graphs.resize_graph(size), threads=1)(pixels[None])[0].astype(int)


def small_base(size: int, shuffle: random.Random | None = None) -> onnx.ModelProto:
    """Return `resized` -> `features`: two branches that meet; `shuffle` changes every name and order in the file."""
    values = np.random.default_rng(0)
    constants = {
        "axes": np.array([1, 2], np.int64),
        "left": values.normal(size=(3, 4)).astype(np.float32),
        "right": values.normal(size=(3, 4)).astype(np.float32),
        "bias": values.normal(size=4).astype(np.float32),
    }
    nodes = [
        ("Cast", ["in"], ["cast"], {"to": TensorProto.FLOAT}),
        ("ReduceMean", ["cast", "axes"], ["mean"], {"keepdims": 0, "noop_with_empty_axes": 0}),
        ("MatMul", ["mean", "left"], ["a"], {}),
        ("MatMul", ["mean", "right"], ["b"], {}),
        ("Add", ["a", "bias"], ["c"], {}),
        ("Sub", ["c", "b"], ["out"], {}),
    ]
    names = {name: name for name in [*constants, "in", *(made for _, _, outputs, _ in nodes for made in outputs)]}
    order = list(constants)
    if shuffle is not None:
        labels = [f"tensor_{number}" for number in range(len(names))]
        shuffle.shuffle(labels)
        names = dict(zip(names, labels, strict=True))
        shuffle.shuffle(order)
        shuffle.shuffle(nodes)
    graph = helper.make_graph(
        [
            helper.make_node(
                kind,
                [names[name] for name in taken],
                [names[name] for name in made],
                name=f"{shuffle.random()}" if shuffle else f"{kind}_{taken[-1]}",
                doc_string="" if shuffle is None else "made today",
                **attributes,
            )
            for kind, taken, made, attributes in nodes
        ],
        "base" if shuffle is None else "another",
        [helper.make_tensor_value_info(names["in"], TensorProto.UINT8, ["unknown", size, size, 3])],
        [helper.make_tensor_value_info(names["out"], TensorProto.FLOAT, ["unknown", 4])],
        [numpy_helper.from_array(constants[name], names[name]) for name in order],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", graphs.OPSET)])


def whole(size: int = 8) -> onnx.ModelProto:
    return graphs.join(graphs.resize_graph(size), graphs.canonical(small_base(size), "base", "resized", ["features"]))


@given(SIDE, SIDE, st.sampled_from([90, 96, 224]))
def test_enlarging_equals_pillow_but_for_roundings(height: int, width: int, size: int) -> None:
    pixels = noise(height * width, height, width)
    difference = np.abs(resized(pixels, size) - pillow(pixels, size))
    assert difference.max() <= 2
    assert difference.mean() < 0.1


@pytest.mark.parametrize(("side", "size"), [(1, 7), (8, 64), (16, 64), (32, 64), (32, 96)])
def test_enlarging_by_a_whole_factor_equals_pillow_exactly(side: int, size: int) -> None:
    pixels = noise(side, side, side)
    np.testing.assert_array_equal(resized(pixels, size), pillow(pixels, size))


@given(st.integers(33, 200), st.integers(33, 200))
def test_shrinking_equals_pillow_but_for_the_outermost_pixels(height: int, width: int) -> None:
    pixels = noise(height * width, height, width)
    difference = np.abs(resized(pixels, 32) - pillow(pixels, 32))
    assert difference[1:-1, 1:-1].max() <= 1
    assert difference.mean() < 1


@pytest.mark.parametrize("size", [1, 8, 64])
def test_an_image_of_the_right_size_passes_unchanged(size: int) -> None:
    pixels = noise(0, size, size)
    np.testing.assert_array_equal(resized(pixels, size), pixels)


def test_every_image_of_a_batch_is_resized_as_if_it_were_alone() -> None:
    resize = Session(graphs.resize_graph(16), threads=1)
    batch = np.stack([noise(seed, 30, 11) for seed in range(4)])
    found = resize(batch)
    assert (found.shape, found.dtype) == ((4, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(found, np.concatenate([resize(image[None]) for image in batch]))


@given(st.integers(0, 2**32))
def test_equal_models_with_other_names_and_orders_become_equal_bytes(seed: int) -> None:
    expected = graphs.canonical(small_base(8), "base", "resized", ["features"]).SerializeToString(deterministic=True)
    shuffled = small_base(8, random.Random(seed))  # noqa: S311  no secret
    found = graphs.canonical(shuffled, "base", "resized", ["features"])
    onnx.checker.check_model(found, full_check=True)
    assert found.SerializeToString(deterministic=True) == expected


def test_canonical_names_tell_the_part_and_leave_the_values_alone() -> None:
    model = small_base(8)
    found = graphs.canonical(model, "base", "resized", ["features"])
    assert [value.name for value in (*found.graph.input, *found.graph.output)] == ["resized", "features"]
    assert {tensor.name.split("/")[0] for tensor in found.graph.initializer} == {"base"}
    assert {node.name.split("/")[0] for node in found.graph.node} == {"base"}
    batch = np.stack([noise(seed, 8, 8) for seed in range(3)])
    np.testing.assert_array_equal(Session(found, threads=1)(batch), Session(model, threads=1)(batch))


def test_another_weight_gives_other_bytes() -> None:
    changed = small_base(8)
    changed.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((3, 4), np.float32), "left"))
    models = (graphs.canonical(model, "base", "resized", ["features"]) for model in (small_base(8), changed))
    one, two = (model.SerializeToString(deterministic=True) for model in models)
    assert one != two


def test_nodes_that_the_output_does_not_need_are_dropped() -> None:
    model = small_base(8)
    model.graph.node.append(helper.make_node("Neg", ["b"], ["unused"]))
    expected = graphs.canonical(small_base(8), "base", "resized", ["features"])
    assert graphs.canonical(model, "base", "resized", ["features"]) == expected


def test_joined_parts_do_one_after_the_other_what_they_do_alone() -> None:
    model, pixels = whole(), noise(1, 21, 13)[None]
    expected = Session(graphs.canonical(small_base(8), "base", "resized", ["features"]), 1)(
        Session(graphs.resize_graph(8), 1)(pixels)
    )
    np.testing.assert_array_equal(Session(model, threads=1)(pixels), expected)


@pytest.mark.parametrize(("source", "result"), [("image", "resized"), ("resized", "features"), ("image", "features")])
def test_a_joined_model_comes_apart_into_the_parts_it_was_made_of(source: str, result: str) -> None:
    parts = {
        ("image", "resized"): graphs.resize_graph(8),
        ("resized", "features"): graphs.canonical(small_base(8), "base", "resized", ["features"]),
        ("image", "features"): whole(),
    }
    expected, found = parts[source, result], graphs.extract(whole(), source, result)
    assert [value.name for value in (*found.graph.input, *found.graph.output)] == [source, result]
    assert list(found.graph.node) == list(expected.graph.node)
    assert list(found.graph.initializer) == list(expected.graph.initializer)
    pixels = noise(1, 8, 8)[None]
    np.testing.assert_array_equal(Session(found, threads=1)(pixels), Session(expected, threads=1)(pixels))


def test_metadata_travels_inside_the_file_in_its_order(tmp_path: Path) -> None:
    model, told = whole(), {"classes": '["ä", "b"]', "backbone": "{}", "a": ""}
    graphs.set_metadata(model, told)
    graphs.save(model, tmp_path / "model.onnx")
    loaded = onnx.load(tmp_path / "model.onnx")
    assert list(graphs.metadata(loaded).items()) == list(told.items())
    assert Session(loaded, threads=1).metadata == told
    assert loaded.producer_name == "graft"


def test_describing_again_replaces_what_was_told_before() -> None:
    model = whole()
    graphs.set_metadata(model, {"a": "1", "b": "2"})
    graphs.set_metadata(model, {"b": "3"})
    assert graphs.metadata(model) == {"b": "3"}


def test_the_same_model_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        graphs.save(whole(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_an_invalid_model_is_not_written(tmp_path: Path) -> None:
    model = whole()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(onnx.checker.ValidationError):
        graphs.save(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_width_is_the_last_dimension_of_the_output() -> None:
    assert graphs.output_width(whole()) == 4


def test_a_digest_minds_neither_names_nor_orders_nor_how_weights_are_stored() -> None:
    base = whole()
    loose = onnx.ModelProto()
    loose.CopyFrom(base)
    for tensor in loose.graph.initializer:
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(helper.make_tensor(tensor.name, tensor.data_type, values.shape, values.ravel().tolist()))
    shuffled = small_base(8, random.Random(1))  # noqa: S311  for order, not for secrets
    renamed = graphs.join(graphs.resize_graph(8), graphs.canonical(shuffled, "b", "resized", ["y"]))
    expected = graphs.digest(base, "resized", "features")
    assert graphs.digest(loose, "resized", "features") == graphs.digest(renamed, "resized", "y") == expected


def reshaped(model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[-1]
    weights.dims[:] = reversed(weights.dims)


def retyped(model: onnx.ModelProto) -> None:
    model.graph.initializer[-1].data_type = TensorProto.INT32


def reweighted(model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[-1]
    values = numpy_helper.to_array(weights).copy()
    values.flat[-1] = np.nextafter(values.flat[-1], 2, dtype=np.float32)
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))


def turned(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Add"


@pytest.mark.parametrize("change", [reshaped, retyped, reweighted, turned])
def test_a_digest_tells_all_that_computes_apart(change: Callable[[onnx.ModelProto], None]) -> None:
    base, other = whole(), whole()
    change(other)
    assert graphs.digest(other, "resized", "features") != graphs.digest(base, "resized", "features")
