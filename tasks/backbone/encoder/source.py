"""The file of an encoder: where it may lie, its hash, and the keys of params.yaml that it leaves no choice in."""

from collections.abc import Sequence
from pathlib import Path

from tasks.common.errors import GraftError
from tasks.common.hashing import hash_file
from tasks.common.params import Backbone
from tasks.common.text import printable

FOLDER = Path("backbones")
"""DVC tracks this folder for the stage: a change of any file beside an encoder makes the stage stale."""

ENDING = ".onnx"


def is_encoder(name: str) -> bool:
    """Tell whether `backbone.name` is the path of an ONNX encoder."""
    return name.lower().endswith(ENDING)


def find_encoder(params: Backbone, taps: Sequence[str | float] | str | None) -> Path:
    """Return the absolute path of the encoder `params.name`, whose SHA-256 is `params.sha256`.

    Raises:
        GraftError: there is no such file in the folder `backbones`, its hash is missing or another, or a key is set
            that an encoder has no use for.
    """
    name = printable(params.name)
    _check_keys(params, taps, name)
    folder, path = FOLDER.resolve(), Path(params.name).absolute()
    if not path.parent.resolve().is_relative_to(folder) or ".." in Path(params.name).parts:
        message = (
            f"backbone.name '{name}' lies outside the folder {FOLDER}; move the encoder and the files beside it there, "
            "where DVC notices their changes."
        )
        raise GraftError(message)
    if not path.is_file():
        message = f"backbone.name '{name}' is {'a folder' if path.is_dir() else 'missing'}; expected an ONNX file."
        raise GraftError(message)
    if params.sha256 is None:
        message = (
            f"backbone.name is the file '{name}', and a file is held to its hash. Set backbone.sha256 to "
            f"{hash_file(path)}."
        )
        raise GraftError(message)
    return path


def _check_keys(params: Backbone, taps: Sequence[str | float] | str | None, name: str) -> None:
    for key, is_set, advice in (
        ("backbone.weights", params.weights != "none", "none"),
        ("backbone.include_top", params.include_top, "false"),
        ("backbone.alpha", params.alpha is not None, "null"),
        ("backbone.cut", params.cut is not None, "null"),
        ("features.taps", isinstance(taps, list), "null"),
    ):
        if is_set:
            message = (
                f"{key} is set, but {name} is an encoder: its file has its own weights and one output. Set {key} to "
                f"{advice}."
            )
            raise GraftError(message)
