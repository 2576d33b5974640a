import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tasks.common.errors import GraftError
from tasks.onnx import graphs
from tasks.onnx.canonical_form import canonical
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Session
from tests.tasks.conftest import noise
from tests.tasks.onnx.small_graphs import SIZE, canonical_base, small_backbone


def test_joined_graphs_compute_one_after_the_other() -> None:
    pixels = noise(1, 21, 13)[None]
    expected = Session(canonical_base(), threads=1)(Session(resize_graph(Resize(SIZE)), threads=1)(pixels))
    np.testing.assert_array_equal(Session(small_backbone(), threads=1)(pixels), expected)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        pytest.param("image", "resized", resize_graph(Resize(SIZE)), id="resize"),
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


def tapped() -> onnx.ModelProto:
    """Return the small backbone with three taps, of which the last needs the other two."""
    model = onnx.shape_inference.infer_shapes(canonical_base())
    left, right = (node.output[0] for node in model.graph.node if node.op_type == "MatMul")
    taps = graphs.extract(model, "resized", [left, right, "features"])
    renamed = canonical(taps, "base", "resized", ["features/left", "features/right", "features/top"])
    joined = graphs.concatenate_outputs(graphs.join(resize_graph(Resize(SIZE)), renamed), "features")
    rows = [
        {"layer": layer, "tensor": f"features/{layer}", "width": 4, "depth": depth}
        for layer, depth in (("left", 0.25), ("right", 0.5), ("top", 1.0))
    ]
    graphs.set_metadata(joined, {"backbone": "{}", "taps": json.dumps(rows)})
    return joined


@pytest.mark.parametrize(
    ("layers", "columns", "operations"),
    [
        pytest.param(["left"], [0, 1, 2, 3], {"Add": 0, "Sub": 0, "MatMul": 1}, id="one"),
        pytest.param(["right", "left"], [*range(8)], {"Add": 0, "Sub": 0, "MatMul": 2}, id="two, in the graph's order"),
        pytest.param(["top"], [8, 9, 10, 11], {"Add": 1, "Sub": 1, "MatMul": 2}, id="the last"),
        pytest.param(["left", "right", "top"], [*range(12)], {"Add": 1, "Sub": 1, "MatMul": 2}, id="all"),
    ],
)
def test_the_graph_of_some_taps_gives_their_features_and_has_only_the_nodes_that_they_need(
    layers: list[str], columns: list[int], operations: dict[str, int]
) -> None:
    model = tapped()
    part = graphs.select_taps(model, layers)
    onnx.checker.check_model(part, full_check=True)
    pixels = noise(1, 20, 30)[None]
    np.testing.assert_array_equal(Session(part, 1)(pixels), Session(model, 1)(pixels)[:, columns])
    counts = {kind: sum(node.op_type == kind for node in part.graph.node) for kind in operations}
    assert counts == operations
    assert graphs.output_width(part) == len(columns)
    rows = json.loads(graphs.metadata(part)["taps"])
    assert [row["layer"] for row in rows] == [layer for layer in ("left", "right", "top") if layer in layers]
    for row in rows:
        assert graphs.output_width(graphs.extract(part, "resized", row["tensor"])) == row["width"]
    assert graphs.metadata(part)["backbone"] == "{}"


def test_all_taps_give_the_same_graph_and_equal_selections_equal_bytes() -> None:
    model = tapped()
    assert graphs.select_taps(model, ["left", "right", "top"]) == model
    first, second = (graphs.select_taps(tapped(), ["left", "top"]) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    assert graphs.select_taps(first, ["top"]).graph.output[0].name == "features"


def test_a_tap_that_the_graph_lacks_is_refused() -> None:
    with pytest.raises(GraftError) as caught:
        graphs.select_taps(tapped(), ["left", "middle"])
    assert str(caught.value) == (
        "the head uses features of 'middle', but the backbone has taps at left, right, top only. "
        "Run `dvc repro` on features and head again."
    )
