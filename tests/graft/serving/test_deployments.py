import json
import re
from pathlib import Path

import pytest

from graft import GraftError
from graft.serving.command import main
from tests.graft.models import METADATA, write_colour_model


def test_a_triton_repository_has_the_model_its_tensors_and_its_labels(tmp_path: Path) -> None:
    model = write_colour_model(tmp_path / "model.onnx")
    main(["--model", str(model), "--triton", str(tmp_path / "repository")])
    files = sorted(path for path in (tmp_path / "repository").rglob("*") if path.is_file())
    assert [str(path.relative_to(tmp_path / "repository")) for path in files] == [
        "graft/1/model.onnx",
        "graft/config.pbtxt",
        "graft/labels.txt",
    ]
    assert files[0].read_bytes() == model.read_bytes()
    assert files[2].read_text() == "red\ngreen\nblue\n"
    # Fields and values alone: the layout is free.
    assert re.findall(r"[^\s\[\]{},:]+", files[1].read_text()) == [
        *("name", '"graft"', "backend", '"onnxruntime"', "max_batch_size", "0"),
        *("input", "name", '"image"', "data_type", "TYPE_UINT8", "dims", "-1", "-1", "-1", "3"),
        *("output", "name", '"probabilities"', "data_type", "TYPE_FP32", "dims", "-1", "3"),
        *("label_filename", '"labels.txt"'),
        *("name", '"known"', "data_type", "TYPE_FP32", "dims", "-1"),
        *("name", '"features"', "data_type", "TYPE_FP32", "dims", "-1", "-1"),
    ]


def test_a_kserve_manifest_points_to_the_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--model", str(write_colour_model(tmp_path / "model.onnx")), "--kserve", "s3://bucket/repository"])
    manifest = json.loads(capsys.readouterr().out)
    assert (manifest["apiVersion"], manifest["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert manifest["spec"]["predictor"]["model"] == {
        "modelFormat": {"name": "triton"},
        "protocolVersion": "v2",
        "storageUri": "s3://bucket/repository",
    }


def test_an_existing_folder_is_not_replaced(tmp_path: Path) -> None:
    model = write_colour_model(tmp_path / "model.onnx", METADATA)
    with pytest.raises(GraftError, match="exists. Give a folder that does not exist yet.$"):
        main(["--model", str(model), "--triton", str(tmp_path)])
