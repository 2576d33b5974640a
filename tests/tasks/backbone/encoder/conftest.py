"""Requests for the conversion of encoders made in tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from tasks.backbone.encoder.conversion import Base, Request, convert_model
from tasks.backbone.encoder.loading import parse_encoder
from tasks.backbone.encoder.preprocessing import Preprocessing
from tasks.common.params import EncoderPreprocessing, Params

NAME = "backbones/encoder.onnx"
PREPROCESSING = Preprocessing("preprocessor_config.json", 1 / 255, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), None)

Convert = Callable[..., Base]


@pytest.fixture(scope="session", autouse=True)
def _quiet_runtime() -> None:
    onnxruntime.set_default_logger_severity(4)


@pytest.fixture
def convert(settings: Params, tmp_path: Path) -> Convert:
    """Give the conversion of a model, or of the bytes of a file, with keys of the section `backbone` changed."""

    def run(model: onnx.ModelProto | bytes, **changes: Any) -> Base:
        content = model if isinstance(model, bytes) else model.SerializeToString()
        names = {key: changes.pop(key) for key in ("input", "output", "layout") if key in changes}
        preprocessing = changes.pop("with_preprocessing", PREPROCESSING)
        section = dict.fromkeys(("input", "output", "layout", "mean", "std", "scale")) | names
        changes |= {"name": NAME, "preprocessing": EncoderPreprocessing.model_validate(section)}
        params = settings.backbone.model_copy(update=changes)
        request = Request(tmp_path / "encoder.onnx", preprocessing, params)
        return convert_model(parse_encoder(content, tmp_path, NAME), request)

    return run
