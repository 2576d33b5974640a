import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest

from tasks.common.errors import GateError, GraftError
from tasks.common.params import Params
from tasks.export.stage import export
from tasks.images.decoding import read
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tasks.tables import reference
from tests.tasks.conftest import write_photos

CLASSES = ["dark", 'with "quotes"\nand ä']


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    """Write photos and what training leaves: a head and its predictions, made by Keras."""
    import keras

    from tasks.head.classifier import build
    from tasks.networks.conversion.keras_to_onnx import convert_head

    folder = tmp_path_factory.mktemp("trained")
    rows = write_photos(folder / "photos", 5)
    run = Session(onnx.load(backbone / "backbone.onnx"), threads=1)
    features = np.concatenate([run(read(folder / "photos" / row.path)[None]) for row in rows])
    keras.utils.set_random_seed(0)
    head = build(features, 2, [8], 0.2)
    (folder / "tuned").mkdir()
    graphs.save(convert_head(head), folder / "tuned" / "head.onnx")
    paths = [row.path for row in rows]
    reference.save(folder / "tuned" / "reference.parquet", paths, head.predict(features, verbose=0), CLASSES)
    return folder


def exported(trained: Path, backbone: Path, out: Path, settings: Params, tuned: Path | None = None) -> onnx.ModelProto:
    export(trained / "photos", backbone, tuned or trained / "tuned", out, settings.export)
    return onnx.load(out)


def shifted(trained: Path, folder: Path, place: int, by: float) -> Path:
    """Return a copy of what training leaves, with one recorded probability changed."""
    folder.mkdir()
    (folder / "head.onnx").write_bytes((trained / "tuned" / "head.onnx").read_bytes())
    paths, probabilities, classes = reference.load(trained / "tuned" / "reference.parquet")
    probabilities[place, 0] += by
    reference.save(folder / "reference.parquet", paths, probabilities, classes)
    return folder


def test_the_file_predicts_from_pixels_what_the_training_side_predicted(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    run = Session(exported(trained, backbone, tmp_path / "model.onnx", settings), threads=1)
    paths, expected, _ = reference.load(trained / "tuned" / "reference.parquet")
    found = np.concatenate([run(read(trained / "photos" / path)[None]) for path in paths])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_file_tells_its_classes_and_what_it_was_made_of(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    found = graphs.metadata(exported(trained, backbone, tmp_path / "model.onnx", settings))
    assert json.loads(found["classes"]) == CLASSES
    assert json.loads(found["finetuned"]) is False
    assert json.loads(found["backbone"])["name"] == "MobileNet"
    assert found["base_sha256"] == sha256((backbone / "backbone.onnx").read_bytes()).hexdigest()
    assert found["head_sha256"] == sha256((trained / "tuned" / "head.onnx").read_bytes()).hexdigest()


def test_the_same_bytes_are_written_twice(trained: Path, backbone: Path, tmp_path: Path, settings: Params) -> None:
    for name in ("one", "two"):
        exported(trained, backbone, tmp_path / name, settings)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("by", [0.01, -0.01, 0.25])
def test_a_file_that_differs_from_the_training_side_is_not_written(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, by: float
) -> None:
    tuned = shifted(trained, tmp_path / "tuned", 3, by)
    with pytest.raises(GateError) as caught:
        exported(trained, backbone, tmp_path / "out" / "model.onnx", settings, tuned)
    assert str(caught.value) == (
        f"the exported file's probabilities differ from the training side's by up to {abs(by):.1e}; "
        "expected at most 1.0e-04 (export.tolerance)."
    )
    assert not (tmp_path / "out").exists()


def test_a_record_that_is_no_number_never_passes(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    tuned = shifted(trained, tmp_path / "tuned", 3, float("nan"))
    with pytest.raises(GateError, match="by up to nan; expected at most"):
        exported(trained, backbone, tmp_path / "model.onnx", settings, tuned)


@pytest.mark.parametrize(("images", "passes"), [(3, True), (4, False), (10, False), (99, False)])
def test_as_many_images_are_compared_as_were_asked_for(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, images: int, *, passes: bool
) -> None:
    tuned = shifted(trained, tmp_path / "tuned", 3, 0.5)
    params = settings.export.model_copy(update={"parity_images": images})
    if passes:
        export(trained / "photos", backbone, tuned, tmp_path / "model.onnx", params)
    else:
        with pytest.raises(GateError):
            export(trained / "photos", backbone, tuned, tmp_path / "model.onnx", params)
    assert (tmp_path / "model.onnx").exists() is passes


def test_a_base_of_the_tuned_folder_goes_before_the_backbones(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params
) -> None:
    tuned = shifted(trained, tmp_path / "tuned", 0, 0)
    own = (backbone / "backbone.onnx").read_bytes()
    (tuned / "backbone.onnx").write_bytes(own)
    found = graphs.metadata(exported(trained, tmp_path / "no backbone", tmp_path / "model.onnx", settings, tuned))
    assert json.loads(found["finetuned"]) is True
    assert found["base_sha256"] == sha256(own).hexdigest()


@pytest.mark.parametrize("stage", ["backbone", "finetuning"])
def test_a_missing_part_names_the_stage_to_run(
    trained: Path, backbone: Path, tmp_path: Path, settings: Params, stage: str
) -> None:
    folders = {"backbone": backbone, "finetuning": trained / "tuned", stage: tmp_path / "missing"}
    with pytest.raises(GraftError, match=f"Run `dvc repro {stage}`"):
        exported(trained, folders["backbone"], tmp_path / "model.onnx", settings, folders["finetuning"])


def test_the_record_is_read_back_as_it_was_written(trained: Path) -> None:
    paths, probabilities, classes = reference.load(trained / "tuned" / "reference.parquet")
    assert (len(paths), probabilities.shape, probabilities.dtype) == (10, (10, 2), np.float32)
    assert classes == CLASSES
    assert pq.read_schema(trained / "tuned" / "reference.parquet").names == ["path", "probabilities"]
