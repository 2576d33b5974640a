from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tests.tasks.conftest import noise
from tests.tasks.onnx.small_graphs import SIZE, canonical_base, small_backbone

SIDE = st.integers(1, 90)


def resize_with_pillow(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[Any]:
    """Resize with Pillow and return signed integers, which can be subtracted."""
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)).astype(int)


def resize(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[Any]:
    """Resize with the graph and return signed integers."""
    resized = Session(graphs.resize_graph(size), threads=1)(pixels[None])
    return np.asarray(resized[0], int)


@given(SIDE, SIDE, st.sampled_from([90, 96, 224]))
def test_enlarging_equals_pillow_up_to_rounding(height: int, width: int, size: int) -> None:
    pixels = noise(height * width, height, width)
    difference = np.abs(resize(pixels, size) - resize_with_pillow(pixels, size))
    assert difference.max() <= 2
    assert difference.mean() < 0.1


@pytest.mark.parametrize(
    ("side", "size"), [(1, 7), (8, 64), (16, 64), (32, 64), (32, 96)], ids=["1-7", "8-64", "16-64", "32-64", "32-96"]
)
def test_enlarging_by_a_whole_factor_equals_pillow_exactly(side: int, size: int) -> None:
    pixels = noise(side, side, side)
    np.testing.assert_array_equal(resize(pixels, size), resize_with_pillow(pixels, size))


@given(st.integers(33, 200), st.integers(33, 200))
def test_shrinking_equals_pillow_except_for_the_outermost_pixels(height: int, width: int) -> None:
    pixels = noise(height * width, height, width)
    difference = np.abs(resize(pixels, 32) - resize_with_pillow(pixels, 32))
    assert difference[1:-1, 1:-1].max() <= 1
    assert difference.mean() < 1


@pytest.mark.parametrize("size", [1, 8, 64])
def test_an_image_of_the_right_size_stays_unchanged(size: int) -> None:
    pixels = noise(0, size, size)
    np.testing.assert_array_equal(resize(pixels, size), pixels)


def test_each_image_of_a_batch_is_resized_as_if_it_were_alone() -> None:
    session = Session(graphs.resize_graph(16), threads=1)
    batch = np.stack([noise(seed, 30, 11) for seed in range(4)])
    resized = session(batch)
    assert resized.shape == (4, 16, 16, 3)
    assert resized.dtype == np.uint8
    np.testing.assert_array_equal(resized, np.concatenate([session(image[None]) for image in batch]))


def test_joined_graphs_compute_one_after_the_other() -> None:
    pixels = noise(1, 21, 13)[None]
    expected = Session(canonical_base(), threads=1)(Session(graphs.resize_graph(SIZE), threads=1)(pixels))
    np.testing.assert_array_equal(Session(small_backbone(), threads=1)(pixels), expected)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        pytest.param("image", "resized", graphs.resize_graph(SIZE), id="resize"),
        pytest.param("resized", "features", canonical_base(), id="base"),
        pytest.param("image", "features", small_backbone(), id="all"),
    ],
)
def test_extraction_undoes_a_join(source: str, target: str, expected: onnx.ModelProto) -> None:
    part = graphs.extract(small_backbone(), source, target)
    assert [value.name for value in (*part.graph.input, *part.graph.output)] == [source, target]
    assert list(part.graph.node) == list(expected.graph.node)
    assert list(part.graph.initializer) == list(expected.graph.initializer)
    pixels = noise(1, SIZE, SIZE)[None]
    np.testing.assert_array_equal(Session(part, threads=1)(pixels), Session(expected, threads=1)(pixels))


def test_several_outputs_are_concatenated_in_their_order() -> None:
    model = canonical_base()
    product = next(node.output[0] for node in model.graph.node if node.op_type == "MatMul")
    two_outputs = graphs.extract(onnx.shape_inference.infer_shapes(model), "resized", ["features", product])
    concatenated = graphs.concatenate_outputs(two_outputs, "all")
    onnx.checker.check_model(concatenated, full_check=True)
    assert [output.name for output in concatenated.graph.output] == ["all"]
    assert graphs.output_width(concatenated) == 8
    pixels = noise(1, SIZE, SIZE)[None]
    parts = [Session(graphs.extract(two_outputs, "resized", name), threads=1)(pixels) for name in ("features", product)]
    np.testing.assert_array_equal(Session(concatenated, threads=1)(pixels), np.concatenate(parts, axis=1))


def test_metadata_is_stored_inside_the_file_in_its_order(tmp_path: Path) -> None:
    model, metadata = small_backbone(), {"classes": '["ä", "b"]', "backbone": "{}", "a": ""}
    graphs.set_metadata(model, metadata)
    graphs.save(model, tmp_path / "model.onnx")
    loaded = onnx.load(tmp_path / "model.onnx")
    assert list(graphs.metadata(loaded).items()) == list(metadata.items())
    assert Session(loaded, threads=1).metadata == metadata
    assert loaded.producer_name == "graft"


def test_setting_metadata_again_replaces_it() -> None:
    model = small_backbone()
    graphs.set_metadata(model, {"a": "1", "b": "2"})
    graphs.set_metadata(model, {"b": "3"})
    assert graphs.metadata(model) == {"b": "3"}


def test_equal_models_are_saved_as_equal_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        graphs.save(small_backbone(), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_an_invalid_model_is_not_written(tmp_path: Path) -> None:
    model = small_backbone()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(onnx.checker.ValidationError):
        graphs.save(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_width_is_the_last_dimension_of_the_output() -> None:
    assert graphs.output_width(small_backbone()) == 4
