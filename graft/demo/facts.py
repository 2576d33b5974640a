"""The facts about a model that the page shows, from the metadata of its file."""

import math
from collections.abc import Mapping
from typing import Any

from tasks.common.text import count, join, printable
from tasks.onnx.model_metadata import ModelMetadata

NAMED_CLASSES = 12
LISTED_CLASSES = 200


def describe(metadata: ModelMetadata) -> dict[str, Any]:
    """Return the names of the classes, the threshold of `known` (None without one), a summary, and facts as texts.

    The metadata may come from anywhere: entries that are missing or of another type are left out.
    """
    classes = [printable(label) for label in metadata.classes]
    number = count(len(classes), "class", "classes")
    accuracy = _number(metadata.metrics, "accuracy")
    right = f" It was right about {accuracy:.1%} of pictures that it had not seen." if accuracy is not None else ""
    facts = {
        "Classes": f"{len(classes):,}: {_enumerate(classes, LISTED_CLASSES)}",
        "Accuracy": _accuracy(metadata.metrics),
        "Unknown": _unknown(metadata.novelty),
        "Trained on": _images(metadata.dataset),
        "Network": _phrase([_text(metadata.backbone, "name"), _prefixed("weights", metadata.backbone)]),
        "Licence of the weights": _text(metadata.backbone, "licence"),
        "Exported by": f"Graft {metadata.graft}" if metadata.graft else "",
    }
    return {
        "summary": f"This model tells {number} apart: {_enumerate(classes, NAMED_CLASSES)}.{right}",
        "classes": classes,
        "threshold": _number(metadata.novelty, "threshold"),
        "facts": [[name, printable(text)] for name, text in facts.items() if text],
    }


def _enumerate(classes: list[str], most: int) -> str:
    if len(classes) <= most:
        return join(classes)
    return f"{', '.join(classes[: most - 1])} and {len(classes) - most + 1:,} more"


def _accuracy(metrics: Mapping[str, Any]) -> str:
    names = ("accuracy", "accuracy_low", "accuracy_high", "confidence", "images")
    accuracy, low, high, confidence, images = (_number(metrics, name) for name in names)
    if accuracy is None:
        return ""
    text = f"{accuracy:.1%}"
    if low is not None and high is not None and confidence is not None:
        text += f" ({confidence:.0%} interval: {low:.1%} to {high:.1%})"
    return text + (f" on {count(int(images), 'picture')} that it had not seen" if images is not None else "")


def _unknown(novelty: Mapping[str, Any]) -> str:
    threshold, rate = _number(novelty, "threshold"), _number(novelty, "false_alarms")
    if threshold is None:
        return "This model does not tell whether a picture is unlike its training images"
    text = f"Pictures whose resemblance to the training images is below {threshold:.2f}"
    return text + (f"; that holds for about {rate:.0%} of pictures like these too" if rate is not None else "")


def _images(dataset: Mapping[str, Any]) -> str:
    images = _get(dataset, "images")
    train = _number(images, "train") if isinstance(images, Mapping) else None
    return count(int(train), "picture") if train is not None else ""


def _prefixed(name: str, mapping: Mapping[str, Any]) -> str:
    text = _text(mapping, name)
    return f"{name} {text}" if text else ""


def _phrase(parts: list[str]) -> str:
    return ", ".join(part for part in parts if part)


def _text(mapping: Mapping[str, Any], name: str) -> str:
    value = _get(mapping, name)
    return value if isinstance(value, str) else ""


def _number(mapping: Mapping[str, Any], name: str) -> float | None:
    value = _get(mapping, name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _get(mapping: Any, name: str) -> Any:
    return mapping.get(name) if isinstance(mapping, Mapping) else None
