"""The folder of the page: one static site with the model, the runtime and the training images."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graft.classifier import Classifier
from graft.demo.similar import TrainingImage, write_similar
from graft.demo.web_runtime import copy_runtime
from tasks.common.errors import GraftError
from tasks.common.files import atomic_folder
from tasks.common.text import count, join, printable
from tasks.onnx.model_metadata import ModelMetadata

STATIC = Path(__file__).parent / "static"
DESCRIPTION = "model.json"
MARK = "graft demo"
NAMED_CLASSES = 6


def write_site(folder: Path, model: Path, images: Sequence[TrainingImage], runtime: Path | None) -> None:
    """Write the site into `folder`, which may hold an earlier one.

    Raises:
        GraftError: The folder holds something else, or the model or the runtime cannot be used.
    """
    if folder.exists() and not _is_site(folder):
        message = (
            f"{printable(str(folder))} exists and is not the folder of a page that `graft demo` made. Give "
            "another --out."
        )
        raise GraftError(message)
    classifier = Classifier(model)
    with atomic_folder(folder) as target:
        shutil.copytree(STATIC, target, dirs_exist_ok=True)
        (target / "runtime").mkdir()
        copy_runtime(target / "runtime", runtime)
        shutil.copyfile(model, target / "model.onnx")
        similar = write_similar(target, classifier, images) if images else None
        facts = describe(classifier.metadata) | {"similar": similar}
        text = json.dumps(facts, ensure_ascii=False, indent=1)
        (target / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def describe(metadata: ModelMetadata) -> dict[str, Any]:
    """Return the facts about a model that the page shows."""
    classes = [printable(label) for label in metadata.classes]
    named = join(classes) if len(classes) <= NAMED_CLASSES else f"{', '.join(classes[:NAMED_CLASSES])} and others"
    facts = [("Classes", f"{len(classes):,}: {named}")]
    metrics = metadata.metrics
    if metrics:
        interval = (
            f"{metrics['confidence']:.0%} interval {metrics['accuracy_low']:.1%} to {metrics['accuracy_high']:.1%}"
        )
        on_images = f"on {count(metrics['images'], 'image')} that it had not seen"
        facts.append(("Accuracy", f"{metrics['accuracy']:.1%} ({interval}) {on_images}"))
    if metadata.novelty:
        rate = metadata.novelty["false_alarms"]
        facts.append(("Unknown", f"Pictures unlike the training images; {rate:.0%} of similar ones too"))
    backbone = metadata.backbone
    if backbone:
        licence = f", licence {backbone['licence']}" if backbone.get("licence") else ""
        weights = f", weights {backbone['weights']}" if backbone.get("weights") else ""
        facts.append(("Network", f"{backbone.get('name', 'unknown')}{weights}{licence}"))
    if metadata.graft:
        facts.append(("Exported by", f"Graft {metadata.graft}"))
    return {
        "made_by": MARK,
        "summary": f"It tells {count(len(classes), 'class', 'classes')} apart: {named}.",
        "classes": classes,
        "threshold": metadata.novelty.get("threshold"),
        "facts": [[name, printable(text)] for name, text in facts],
    }


def _is_site(folder: Path) -> bool:
    if folder.is_dir() and not any(folder.iterdir()):
        return True
    try:
        facts = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and facts.get("made_by") == MARK
