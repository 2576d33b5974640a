import json
import shutil
from contextlib import nullcontext
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks.common.errors import GateError, GraftError
from tasks.common.params import Params
from tasks.images.decoding import read
from tasks.onnx import graphs
from tasks.onnx.model_metadata import ModelMetadata, read_metadata
from tasks.onnx.sessions import Session
from tasks.tables import reference
from tests.tasks.export.conftest import CLASSES, export


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
    return graphs.make_model(graph)


def mean_of_features(width: int, facts: dict[str, float]) -> onnx.ModelProto:
    """Return a graph from `features` [N, width] to their mean as `known` [N], which states these facts."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["features", "axes"], ["known"], keepdims=0)],
        "novelty",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("known", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(np.array([-1]), "axes")],
    )
    model = graphs.make_model(graph)
    graphs.set_metadata(model, {"novelty": json.dumps(facts)})
    return model


def shift(trained: Path, folder: Path, image: int, by: float) -> Path:
    """Return a copy of the outputs of training with one recorded probability changed."""
    shutil.copytree(trained / "tuned", folder)
    paths, probabilities, classes = reference.read(folder / "reference.parquet")
    probabilities[image, 0] += by
    reference.write(folder / "reference.parquet", paths, probabilities, classes)
    return folder


def test_the_file_predicts_from_pixels_what_the_training_side_predicted(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    session = Session(export(trained, backbone, tmp_path / "export", settings), threads=1)
    paths, expected, _ = reference.read(trained / "tuned" / "reference.parquet")
    probabilities = np.concatenate([session(read(trained / "photos" / path)[None]) for path in paths])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_file_states_its_parts_its_data_and_its_quality(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    model = export(trained, backbone, tmp_path / "export", settings)
    facts = read_metadata(graphs.metadata(model), "model.onnx")
    weights = json.loads((backbone / "backbone.json").read_text())["weights_sha256"]
    assert facts == ModelMetadata(
        classes=CLASSES,
        graft=version("graft"),
        preprocessing="RGB uint8 with EXIF orientation applied; resizing and normalising are in the graph",
        input={"size": 64, "fit": "stretch", "crop_share": 1.0, "interpolation": "bilinear", "pad_colour": [0, 0, 0]},
        backbone={"name": "MobileNet", "weights": "starter", "licence": "Apache-2.0", "sha256": weights},
        taps=["conv_pw_13_relu"],
        base_sha256=sha256((backbone / "backbone.onnx").read_bytes()).hexdigest(),
        head_sha256=sha256((trained / "tuned" / "head.onnx").read_bytes()).hexdigest(),
        dataset={
            "images": {"train": 6, "val": 2, "test": 2},
            "sha256": sha256((trained / "accepted.parquet").read_bytes()).hexdigest(),
        },
        metrics=facts.metrics,
        calibration={"temperature": 1.5, "before": 0.1, "after": 0.05},
    )
    assert {key: round(value, 4) for key, value in facts.metrics.items()} == {
        "accuracy": 0.9,
        "accuracy_low": 0.5958,
        "accuracy_high": 0.9821,
        "confidence": 0.95,
        "macro_f1": 0.899,
        "images": 10,
    }
    assert [output.name for output in model.graph.output] == ["probabilities", "features"]


def test_the_novelty_score_is_an_output_between_probabilities_and_features(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    tuned = shift(trained, tmp_path / "tuned", 0, 0)
    facts = {"threshold": 0.5, "false_alarms": 0.05}
    graphs.save(mean_of_features(256, facts), tuned / "known.onnx")
    model = export(trained, backbone, tmp_path / "export", settings, tuned, variants=["fixed"])
    assert read_metadata(graphs.metadata(model), "model.onnx").novelty == facts
    assert [output.name for output in model.graph.output] == ["probabilities", "known", "features"]
    pixels = read(trained / "photos" / "dark" / "0.png")[None]
    known, features = Session(model, threads=1).outputs(pixels, ["known", "features"])
    assert known.shape == (1,)
    np.testing.assert_allclose(known, features.mean(axis=1), rtol=1e-6)
    fixed = onnx.load(tmp_path / "export" / "model.fixed.onnx")
    assert (graphs.opset(fixed), [output.name for output in fixed.graph.output]) == (
        11,
        ["probabilities", "known", "features"],
    )


def test_beside_the_model_lie_its_classes_its_card_and_its_summary(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    export(trained, backbone, tmp_path / "export", settings)
    folder = tmp_path / "export"
    assert sorted(path.name for path in folder.iterdir()) == [
        "classes.json",
        "labels.txt",
        "model.onnx",
        "model_card.md",
        "summary.json",
    ]
    assert json.loads((folder / "classes.json").read_text(encoding="utf-8")) == CLASSES
    assert (folder / "labels.txt").read_text(encoding="utf-8") == 'dark\nwith "quotes"\\nand ä\n'
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert '| 1 | with "quotes"\\\\nand ä |' in card
    assert "accuracy 90.0% (95% interval 59.6% to 98.2%) and macro F1 89.9% on 10 images" in card
    assert json.loads((folder / "summary.json").read_text()) == {
        "headline": "model.onnx, equal to the training side within 1e-04 on 10 validation images",
        "warnings": [],
    }


def test_operating_points_and_coverage_of_the_params_are_in_the_file(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    evaluation = settings.evaluation.model_copy(update={"coverage": 0.8})
    model = export(trained, backbone, tmp_path / "export", settings.model_copy(update={"evaluation": evaluation}))
    assert read_metadata(graphs.metadata(model), "model.onnx").coverage["share"] == 0.8


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
    tuned = shift(trained, tmp_path / "tuned", 0, 0)
    head = linear_head(weights)
    graphs.set_metadata(head, {"taps": json.dumps([tap["layer"] for tap in taps])})
    graphs.save(head, tuned / "head.onnx")
    reference.write(tuned / "reference.parquet", paths, Session(head, threads=1)(features), classes)
    model = export(trained, tmp_path / "backbone", tmp_path / "export", settings, tuned)
    assert json.loads(graphs.metadata(model)["taps"]) == ["conv_pw_1_relu", "conv_pw_3_relu"]
    assert model.ByteSize() < base.ByteSize() / 4


def test_the_same_bytes_are_written_twice(trained: Path, backbone: Path, tmp_path: Path, settings: Params) -> None:
    for name in ("first", "second"):
        export(trained, backbone, tmp_path / name, settings)
    assert (tmp_path / "first" / "model.onnx").read_bytes() == (tmp_path / "second" / "model.onnx").read_bytes()


@pytest.mark.parametrize("by", [0.01, -0.01, 0.25])
def test_a_file_that_differs_from_the_training_side_is_not_written(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, by: float
) -> None:
    tuned = shift(trained, tmp_path / "tuned", 3, by)
    with pytest.raises(GateError) as caught:
        export(trained, backbone, tmp_path / "export", settings, tuned)
    assert str(caught.value) == (
        f"the exported file's probabilities differ from the training side's by up to {abs(by):.1e}; "
        "expected at most 1.0e-04 (export.tolerance)."
    )
    assert not (tmp_path / "export").exists()


def test_a_recorded_nan_never_passes(trained: Path, backbone: Path, tmp_path: Path, settings: Params) -> None:
    tuned = shift(trained, tmp_path / "tuned", 3, float("nan"))
    with pytest.raises(GateError, match="by up to nan; expected at most"):
        export(trained, backbone, tmp_path / "export", settings, tuned)


@pytest.mark.parametrize(("images", "passes"), [(3, True), (4, False), (10, False), (99, False)])
def test_parity_images_is_the_number_of_images_compared(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, images: int, *, passes: bool
) -> None:
    tuned = shift(trained, tmp_path / "tuned", 3, 0.5)
    with nullcontext() if passes else pytest.raises(GateError):
        export(trained, backbone, tmp_path / "export", settings, tuned, images=images)
    assert (tmp_path / "export").exists() is passes


def test_a_tuned_base_takes_precedence_over_the_backbone(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    tuned = shift(trained, tmp_path / "tuned", 0, 0)
    own = (backbone / "backbone.onnx").read_bytes()
    (tuned / "backbone.onnx").write_bytes(own)
    metadata = graphs.metadata(export(trained, tmp_path / "no backbone", tmp_path / "export", settings, tuned))
    assert json.loads(metadata["finetuned"]) is True
    assert metadata["base_sha256"] == sha256(own).hexdigest()


@pytest.mark.parametrize("stage", ["backbone", "finetuning"])
def test_a_missing_part_names_the_stage_to_run(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, stage: str
) -> None:
    folders = {"backbone": backbone, "finetuning": trained / "tuned", stage: tmp_path / "missing"}
    with pytest.raises(GraftError, match=f"Run `dvc repro {stage}`"):
        export(trained, folders["backbone"], tmp_path / "export", settings, folders["finetuning"])
