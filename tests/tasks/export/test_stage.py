import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks.common.errors import GateError, GraftError
from tasks.common.params import Params
from tasks.export.stage import export_model
from tasks.images.decoding import read
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tasks.tables import reference
from tests.tasks.conftest import write_photos

CLASSES = ["dark", 'with "quotes"\nand ä']


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    """Write photos and the outputs of training: a head and its predictions, both by Keras."""
    import keras

    from tasks.head.classifier import build_head
    from tasks.networks.conversion.keras_to_onnx import convert_head

    folder = tmp_path_factory.mktemp("trained")
    rows = write_photos(folder / "photos", 5)
    session = Session(onnx.load(backbone / "backbone.onnx"), threads=1)
    features = np.concatenate([session(read(folder / "photos" / row.path)[None]) for row in rows])
    keras.utils.set_random_seed(0)
    head = build_head(features, 2, [8], 0.2)
    (folder / "tuned").mkdir()
    graphs.save(convert_head(head), folder / "tuned" / "head.onnx")
    paths = [row.path for row in rows]
    reference.write(folder / "tuned" / "reference.parquet", paths, head.predict(features, verbose=0), CLASSES)
    return folder


def linear_head(weights: npt.NDArray[np.float32]) -> onnx.ModelProto:
    """Return the graph of a dense layer with softmax, its weights [D, classes] given."""
    width, classes = weights.shape
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = helper.make_opsetid("", graphs.OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=graphs.IR_VERSION)


def export(trained: Path, backbone: Path, out: Path, settings: Params, tuned: Path | None = None) -> onnx.ModelProto:
    export_model(trained / "photos", backbone, tuned or trained / "tuned", out, settings.export)
    return onnx.load(out)


def shift(trained: Path, folder: Path, image: int, by: float) -> Path:
    """Return a copy of the outputs of training with one recorded probability changed."""
    folder.mkdir()
    (folder / "head.onnx").write_bytes((trained / "tuned" / "head.onnx").read_bytes())
    paths, probabilities, classes = reference.read(trained / "tuned" / "reference.parquet")
    probabilities[image, 0] += by
    reference.write(folder / "reference.parquet", paths, probabilities, classes)
    return folder


def test_the_file_predicts_from_pixels_what_the_training_side_predicted(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    session = Session(export(trained, backbone, tmp_path / "model.onnx", settings), threads=1)
    paths, expected, _ = reference.read(trained / "tuned" / "reference.parquet")
    probabilities = np.concatenate([session(read(trained / "photos" / path)[None]) for path in paths])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_file_names_its_classes_its_backbone_and_the_hashes_of_its_parts(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    metadata = graphs.metadata(export(trained, backbone, tmp_path / "model.onnx", settings))
    assert json.loads(metadata["classes"]) == CLASSES
    assert json.loads(metadata["finetuned"]) is False
    assert json.loads(metadata["backbone"])["name"] == "MobileNet"
    assert json.loads(metadata["taps"]) == ["conv_pw_13_relu"]
    assert metadata["base_sha256"] == sha256((backbone / "backbone.onnx").read_bytes()).hexdigest()
    assert metadata["head_sha256"] == sha256((trained / "tuned" / "head.onnx").read_bytes()).hexdigest()


def test_a_head_of_low_taps_makes_a_smaller_file_without_the_layers_above_them(
    trained: Path, tmp_path: Path, settings: Params
) -> None:
    from tasks.backbone.stage import prepare_backbone

    params = settings.backbone.model_copy(update={"cut": "conv_pw_6_relu"})
    prepare_backbone(params, ["conv_pw_1_relu", "conv_pw_3_relu", 1.0], tmp_path / "backbone")
    base = onnx.load(tmp_path / "backbone" / "backbone.onnx")
    taps = json.loads(graphs.metadata(base)["taps"])[:2]
    width = sum(tap["width"] for tap in taps)
    paths, _, classes = reference.read(trained / "tuned" / "reference.parquet")
    run_base = Session(base, threads=1)
    features = np.concatenate([run_base(read(trained / "photos" / path)[None])[:, :width] for path in paths])
    weights = np.random.default_rng(0).normal(0, 0.1, (width, len(classes))).astype(np.float32)
    (tmp_path / "tuned").mkdir()
    head = linear_head(weights)
    graphs.set_metadata(head, {"taps": json.dumps([tap["layer"] for tap in taps])})
    graphs.save(head, tmp_path / "tuned" / "head.onnx")
    reference.write(tmp_path / "tuned" / "reference.parquet", paths, Session(head, threads=1)(features), classes)
    model = export(trained, tmp_path / "backbone", tmp_path / "model.onnx", settings, tmp_path / "tuned")
    assert json.loads(graphs.metadata(model)["taps"]) == ["conv_pw_1_relu", "conv_pw_3_relu"]
    assert model.ByteSize() < base.ByteSize() / 4


def test_the_same_bytes_are_written_twice(trained: Path, backbone: Path, tmp_path: Path, settings: Params) -> None:
    for name in ("first", "second"):
        export(trained, backbone, tmp_path / name, settings)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("by", [0.01, -0.01, 0.25])
def test_a_file_that_differs_from_the_training_side_is_not_written(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, by: float
) -> None:
    tuned = shift(trained, tmp_path / "tuned", 3, by)
    with pytest.raises(GateError) as caught:
        export(trained, backbone, tmp_path / "out" / "model.onnx", settings, tuned)
    assert str(caught.value) == (
        f"the exported file's probabilities differ from the training side's by up to {abs(by):.1e}; "
        "expected at most 1.0e-04 (export.tolerance)."
    )
    assert not (tmp_path / "out").exists()


def test_a_recorded_nan_never_passes(trained: Path, backbone: Path, tmp_path: Path, settings: Params) -> None:
    tuned = shift(trained, tmp_path / "tuned", 3, float("nan"))
    with pytest.raises(GateError, match="by up to nan; expected at most"):
        export(trained, backbone, tmp_path / "model.onnx", settings, tuned)


@pytest.mark.parametrize(("images", "passes"), [(3, True), (4, False), (10, False), (99, False)])
def test_parity_images_is_the_number_of_images_compared(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, images: int, *, passes: bool
) -> None:
    tuned = shift(trained, tmp_path / "tuned", 3, 0.5)
    params = settings.export.model_copy(update={"parity_images": images})
    if passes:
        export_model(trained / "photos", backbone, tuned, tmp_path / "model.onnx", params)
    else:
        with pytest.raises(GateError):
            export_model(trained / "photos", backbone, tuned, tmp_path / "model.onnx", params)
    assert (tmp_path / "model.onnx").exists() is passes


def test_a_tuned_base_takes_precedence_over_the_backbone(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    tuned = shift(trained, tmp_path / "tuned", 0, 0)
    own = (backbone / "backbone.onnx").read_bytes()
    (tuned / "backbone.onnx").write_bytes(own)
    metadata = graphs.metadata(export(trained, tmp_path / "no backbone", tmp_path / "model.onnx", settings, tuned))
    assert json.loads(metadata["finetuned"]) is True
    assert metadata["base_sha256"] == sha256(own).hexdigest()


@pytest.mark.parametrize("stage", ["backbone", "finetuning"])
def test_a_missing_part_names_the_stage_to_run(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, stage: str
) -> None:
    folders = {"backbone": backbone, "finetuning": trained / "tuned", stage: tmp_path / "missing"}
    with pytest.raises(GraftError, match=f"Run `dvc repro {stage}`"):
        export(trained, folders["backbone"], tmp_path / "model.onnx", settings, folders["finetuning"])
