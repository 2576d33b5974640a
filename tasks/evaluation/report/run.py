"""The part of the page about the run: the files, versions and settings that made it, and the commands to go on."""

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tasks.common.files import require
from tasks.common.params import Params
from tasks.evaluation.inputs import Inputs
from tasks.onnx.model_metadata import ModelMetadata

# Those that affect results.
LIBRARIES = ("keras", "numpy", "onnx", "onnxruntime", "pillow", "scikit-learn", "scipy", "tensorflow")


class Command(NamedTuple):
    """A command with its purpose."""

    purpose: str
    lines: str


# The uses of a run, from repeating it.
COMMANDS = [
    Command("Repeat the run, from the commit that has it", "dvc repro"),
    Command("Classify pictures", "graft predict IMAGES"),
    Command(
        "Classify them from a program",
        'from graft import Classifier\n\nclassifier = Classifier("artifacts/export/model.onnx")\n'
        'predictions = classifier.predict(["picture.jpg"])',
    ),
    Command("Try the model in a browser", "graft demo"),
    Command("Answer over HTTP", "graft serve"),
    Command("Look at likely wrong labels", "graft data review"),
    Command("Compare with the last committed run", "graft report HEAD"),
    Command("Make it the next version", "graft promote"),
]


class RunPart(NamedTuple):
    """The part: facts, metadata of the exported file and all settings as pairs of name and value, and commands."""

    facts: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    metadata: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    commands: list[Command]


def describe_run(inputs: Inputs, metadata: ModelMetadata, params: Params) -> RunPart:
    """Return the part; durations, dates and paths of the machine are left out, since they differ between equal runs.

    Raises:
        GraftError: An input is missing.
    """
    backbone = json.loads(require(inputs.backbone, "backbone").read_text(encoding="utf-8"))
    files = [
        ("exported file, SHA-256", inputs.model),
        ("accepted images, SHA-256", inputs.accepted),
        ("manifest, SHA-256", inputs.manifest),
    ]
    facts = [
        ("network", f"{backbone.get('name', '')}, weights {backbone.get('weights', '')}"),
        ("licence of the weights", backbone.get("licence") or "unknown"),
        ("weights, SHA-256", backbone.get("weights_sha256") or "none"),
        ("layers that the head reads", ", ".join(metadata.taps)),
        ("fine-tuned", "yes" if metadata.finetuned else "no"),
        ("preprocessing, inside the file", metadata.preprocessing),
        *((name, _hash(file)) for name, file in files),
    ]
    return RunPart(
        [(name, text) for name, text in facts if text],
        [("graft", metadata.graft or version("graft")), *((name, version(name)) for name in LIBRARIES)],
        list(metadata.to_texts().items()),
        list(_flatten(params.model_dump(mode="json"))),
        COMMANDS,
    )


def _hash(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def _flatten(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each key of params.yaml with its value as JSON; a mapping of classes stays one value."""
    for key, value in section.items():
        if isinstance(value, dict) and (not prefix or key in ("columns", "checks")):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False)
