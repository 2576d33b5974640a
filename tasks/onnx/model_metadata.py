"""The metadata of an exported model: the stage `export` writes them, and whoever loads the file reads them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tasks.common.errors import GraftError
from tasks.common.text import printable

# Raised when a reader of the older format would misunderstand the file.
FORMAT = 1
TASK = "image-classification"

# ONNX keeps a metadata value as text, so that everything but text is stored as JSON.
TEXTS = {"task", "graft", "preprocessing", "base_sha256", "head_sha256"}

OBJECTS = {"input", "backbone", "dataset", "metrics", "calibration", "novelty", "operating_points", "coverage"}


@dataclass(frozen=True)
class ModelMetadata:
    """The facts that a model file states about itself; each is a key of the file's metadata.

    A file of an earlier Graft has `format` 0 and lacks what later ones say.

    Attributes:
        classes: names in the order of the probabilities.
        format: version of these keys.
        task: `image-classification`.
        graft: version of Graft that exported the file.
        preprocessing: rule for the pixels, in a sentence.
        input: the graph's side of it: `size` in pixels, `fit`, `crop_share`, `interpolation`, `pad_colour`.
        backbone: `name`, `weights`, `licence`, `sha256` of the file of weights, as far as they are known.
        taps: layers whose features the head uses.
        finetuned: whether the base is not the pretrained one.
        base_sha256: of the base's ONNX file.
        head_sha256: of the head's ONNX file.
        dataset: `images` by split, and `sha256` of the table of accepted images.
        metrics: of images that the model had not seen: `accuracy`, `accuracy_low`, `accuracy_high`, `confidence`,
            `macro_f1`, `images`.
        calibration: `temperature`, and the calibration error `before` and `after` it.
        novelty: `threshold` of `known`, below which a picture is unknown, and `false_alarms`, the share of pictures
            like the training images that it calls unknown; empty if the file has no output `known`.
        operating_points: by class, the `threshold` of its probability from which on the class is present: the `measure`
            (precision or recall) that is `wanted`, and, on images that the model had not seen, the `precision` and
            `recall` reached, the number of `images` of the class and of images `predicted` as it.
        coverage: sets of the classes with at least the probability `threshold`, which contain the right one in that
            `share` of pictures; on images that the model had not seen, the share `reached`, the mean `size` of the
            sets, and the number of `images`.
    """

    classes: list[str]
    format: int = FORMAT
    task: str = TASK
    graft: str = ""
    preprocessing: str = ""
    input: dict[str, Any] = field(default_factory=dict)
    backbone: dict[str, Any] = field(default_factory=dict)
    taps: list[str] = field(default_factory=list)
    finetuned: bool = False
    base_sha256: str = ""
    head_sha256: str = ""
    dataset: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    novelty: dict[str, Any] = field(default_factory=dict)
    operating_points: dict[str, Any] = field(default_factory=dict)
    coverage: dict[str, Any] = field(default_factory=dict)

    def to_texts(self) -> dict[str, str]:
        """Return the keys and values as they stand in an ONNX file."""
        return {
            key: value if key in TEXTS else json.dumps(value, ensure_ascii=False, allow_nan=False)
            for key, value in asdict(self).items()
        }


def read_metadata(texts: Mapping[str, str], name: str) -> ModelMetadata:
    """Return the metadata of the model file `name` from its keys and values; keys of others are ignored.

    Raises:
        GraftError: Graft did not export the file, it is damaged, or a newer Graft exported it.
    """
    if "classes" not in texts:
        message = (
            f"{name} is an ONNX file, but not one that Graft exported: its metadata name no classes. Give the "
            "model.onnx of `graft train`."
        )
        raise GraftError(message)
    try:
        values: dict[str, Any] = {
            key: texts[key] if key in TEXTS else json.loads(texts[key])
            for key in (entry.name for entry in fields(ModelMetadata))
            if key in texts
        }
    except (ValueError, RecursionError) as error:
        message = f"{name} has damaged metadata: {error}. Export it again."
        raise GraftError(message) from error
    values.setdefault("format", 0)
    classes = values["classes"]
    if not isinstance(classes, list) or not all(isinstance(label, str) for label in classes):
        message = f"{name} has damaged metadata: expected a list of class names. Export it again."
        raise GraftError(message)
    if not isinstance(values["format"], int) or values["format"] > FORMAT:
        version = f"Graft {printable(values['graft'])}" if values.get("graft") else "a newer Graft"
        message = (
            f"{name} was exported by {version}, whose files have format {values['format']}; this Graft reads formats "
            f"up to {FORMAT}. Update Graft."
        )
        raise GraftError(message)
    for key, value in values.items():
        if key in OBJECTS and not isinstance(value, dict):
            message = f"{name} has damaged metadata: expected an object as '{key}'. Export it again."
            raise GraftError(message)
    if not isinstance(values.get("novelty", {}).get("threshold", 0.0), int | float):
        message = f"{name} has damaged metadata: expected a number as the threshold of 'novelty'. Export it again."
        raise GraftError(message)
    return ModelMetadata(**values)
