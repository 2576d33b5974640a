import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto

from tasks.common.params import Params, Variant
from tasks.images.decoding import read
from tasks.onnx import graphs
from tasks.onnx.model_metadata import read_metadata
from tasks.onnx.resizing import resize_session
from tasks.onnx.sessions import Session
from tasks.tables import reference
from tests.tasks.conftest import noise
from tests.tasks.export.conftest import CLASSES, export

ALL: list[Variant] = ["fixed", "fixed_float", "int8", "float16", "litert"]
Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, trained: Path, backbone: Path, settings: Params) -> Path:
    """Export the photos' model with all variants."""
    folder = tmp_path_factory.mktemp("exported") / "export"
    export(trained, backbone, folder, settings, variants=ALL)
    return folder


def predict(exported: Path, file: str, pixels: npt.NDArray[np.uint8]) -> Array:
    """Return the probabilities of a file for a picture."""
    resized = resize_session(onnx.load(exported / "model.onnx"))(pixels[None])
    if file == "model.tflite":
        from ai_edge_litert.interpreter import Interpreter

        run = Interpreter(str(exported / file)).get_signature_runner()
        return np.asarray(run(resized=resized)["probabilities"])
    model = onnx.load(exported / file)
    if model.graph.input[0].name == "image":
        return Session(model, threads=1)(pixels[None])
    kind = model.graph.input[0].type.tensor_type.elem_type
    return Session(model, threads=1)(resized.astype(np.float32) if kind == TensorProto.FLOAT else resized)


@pytest.mark.parametrize(
    ("file", "tolerance"),
    [
        pytest.param("model.fixed.onnx", 1e-6, id="fixed"),
        pytest.param("model.fixed_float.onnx", 1e-6, id="fixed_float"),
        pytest.param("model.float16.onnx", 1e-2, id="float16"),
        pytest.param("model.tflite", 1e-5, id="litert"),
    ],
)
def test_variants_predict_what_the_model_predicts(exported: Path, trained: Path, file: str, tolerance: float) -> None:
    for pixels in (noise(7, 90, 41), read(trained / "photos" / "light" / "3.png")):
        expected = predict(exported, "model.onnx", pixels)
        np.testing.assert_allclose(predict(exported, file, pixels), expected, atol=tolerance)


def test_fixed_variants_start_at_resized_pixels_in_operators_of_opset_11(exported: Path) -> None:
    forms = []
    for name in ("model.fixed.onnx", "model.fixed_float.onnx"):
        model = onnx.load(exported / name)
        shape = [size.dim_param or size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
        kind = model.graph.input[0].type.tensor_type.elem_type
        forms.append((model.graph.input[0].name, shape, kind, graphs.opset(model), model.ir_version))
        assert "Resize" not in {node.op_type for node in model.graph.node}
    assert forms == [
        ("resized", ["N", 64, 64, 3], TensorProto.UINT8, 11, 6),
        ("resized", ["N", 64, 64, 3], TensorProto.FLOAT, 11, 6),
    ]


def test_variants_state_the_same_facts_as_the_model_but_for_the_pixels_that_they_take(exported: Path) -> None:
    names = ("model.onnx", "model.int8.onnx", "model.float16.onnx", "model.fixed.onnx", "model.fixed_float.onnx")
    facts = [read_metadata(graphs.metadata(onnx.load(exported / name)), name) for name in names]
    whole = "RGB uint8 with EXIF orientation applied; resizing and normalising are in the graph"
    resized = "with EXIF orientation applied, made 64x64 with antialiasing as `input` says; normalising is in the graph"
    assert [entry.preprocessing for entry in facts] == [
        whole,
        whole,
        whole,
        f"RGB uint8 {resized}",
        f"RGB float32 (0 to 255, whole numbers) {resized}",
    ]
    assert all(entry.classes == CLASSES and entry.metrics == facts[0].metrics for entry in facts)


def test_low_precision_makes_small_files_that_compute_in_it(exported: Path) -> None:
    size = (exported / "model.onnx").stat().st_size
    assert (exported / "model.int8.onnx").stat().st_size < 0.34 * size  # the names of the nodes need as much as weights
    assert (exported / "model.float16.onnx").stat().st_size < 0.54 * size
    halves = [tensor.data_type for tensor in onnx.load(exported / "model.float16.onnx").graph.initializer]
    assert halves.count(TensorProto.FLOAT16) > 50
    operators = [node.op_type for node in onnx.load(exported / "model.int8.onnx").graph.node]
    assert operators.count("QuantizeLinear") > 20


def test_the_card_lists_every_file_with_its_check(exported: Path) -> None:
    card = (exported / "model_card.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1:4] for line in card if line.startswith("| `model")]
    assert [name.strip(" `") for name, _, _ in rows] == ["model.onnx", *(path.name for path in files(exported))]
    assert [int(size.replace(",", "")) for _, size, _ in rows[1:]] == [path.stat().st_size for path in files(exported)]
    checks = [text.strip().split("; ")[1:] for _, _, text in rows]
    assert checks == [
        ["opset 18", "equal to the training side within 1e-04 on 10 validation images"],
        ["opset 11", "same top class on 10 validation images, probabilities within 1e-04"],
        ["opset 11", "same top class on 10 validation images, probabilities within 1e-04"],
        ["opset 18", "accuracy 50.0% on 10 validation images, that of model.onnx 40.0%"],
        ["opset 18", "same top class on 10 validation images, probabilities within 1e-02"],
        ["same top class on 10 validation images, probabilities within 1e-04"],
    ]


def files(exported: Path) -> list[Path]:
    """Return the variants' files in the order of ALL."""
    names = ("model.fixed.onnx", "model.fixed_float.onnx", "model.int8.onnx", "model.float16.onnx", "model.tflite")
    return [exported / name for name in names]


def test_variants_are_written_with_the_same_bytes_again(
    exported: Path, trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    export(trained, backbone, tmp_path / "export", settings, variants=ALL[:4])
    for path in files(exported)[:4]:
        assert (tmp_path / "export" / path.name).read_bytes() == path.read_bytes()


def test_an_int8_file_that_loses_accuracy_is_refused_with_both_figures(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    tuned = tmp_path / "tuned"
    shutil.copytree(trained / "tuned", tuned)
    paths, probabilities, _ = reference.read(tuned / "reference.parquet")
    # The record of the trained models is right on all images but the first, which alone is compared.
    right = np.eye(2, dtype=np.float32)[[int(path.startswith("light")) for path in paths]]
    right[0] = probabilities[0]
    reference.write(tuned / "reference.parquet", paths, right, CLASSES)
    export(trained, backbone, tmp_path / "export", settings, tuned, variants=["int8"], images=1)
    assert not (tmp_path / "export" / "model.int8.onnx").exists()
    [warning] = json.loads((tmp_path / "export" / "summary.json").read_text())["warnings"]
    assert warning == (
        "model.int8.onnx was not written: its accuracy is 50.0% on 10 validation images, that of model.onnx 100.0%; "
        "it may fall by 0.5 points (export.max_accuracy_loss)."
    )
    assert "not written: its accuracy is 50\\.0%" in (tmp_path / "export" / "model_card.md").read_text()


def test_a_base_without_a_keras_model_has_no_litert_file(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    (tmp_path / "encoder" / "keras").mkdir(parents=True)
    shutil.copy(backbone / "backbone.onnx", tmp_path / "encoder")
    export(trained, tmp_path / "encoder", tmp_path / "export", settings, variants=["litert"])
    assert json.loads((tmp_path / "export" / "summary.json").read_text())["warnings"] == [
        "model.tflite was not written: the base is an ONNX encoder, and LiteRT files are made from Keras networks."
    ]
