"""`model_card.md`: the facts of the exported files on a page for people.

The sections follow Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv 1810.03993), as far as training
knows what belongs into them.
"""

import html
import string
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tasks.common.text import count, printable
from tasks.onnx.model_metadata import ModelMetadata

# Marks that mean nothing to Markdown inside a line.
PLAIN = set(",:%'\";=?-+()!{}")


class File(NamedTuple):
    """A file beside the card: its name, its bytes, and its use and form in words."""

    name: str
    size: int
    text: str


def write_card(metadata: ModelMetadata, files: Iterable[File], warnings: Iterable[str]) -> str:
    """Return the card as Markdown; `warnings` say which variants are missing and why."""
    sections = [
        ("Image classifier", _summary(metadata)),
        ("Files", [*_files(files), *(f"- {escape(text)}" for text in warnings)]),
        ("Training data", _data(metadata)),
        ("Quality", _quality(metadata)),
        ("Input and outputs", _tensors(metadata)),
        ("Classes", _classes(metadata)),
    ]
    return "\n".join(
        "\n".join([f"{'#' if position == 0 else '##'} {title}", "", *lines, ""])
        for position, (title, lines) in enumerate(sections)
    )


def escape(text: str) -> str:
    """Return text on one line that Markdown shows as it is: a name may hold links, tables or HTML."""
    special = set(string.punctuation) - PLAIN
    return "".join(
        html.escape(char) if char in "<>&" else f"\\{char}" if char in special else char for char in printable(text)
    )


def _summary(metadata: ModelMetadata) -> list[str]:
    backbone = metadata.backbone
    tuned = "fine-tuned" if metadata.finetuned else "not fine-tuned"
    lines = [
        f"- task: {metadata.task}, {count(len(metadata.classes), 'class', 'classes')}",
        f"- base: {escape(str(backbone.get('name')))}, weights {escape(str(backbone.get('weights')))}, {tuned}",
        f"- licence of the weights: {escape(str(backbone.get('licence')))}",
        f"- exported by Graft {escape(metadata.graft)}",
    ]
    if backbone.get("sha256"):
        lines.append(f"- SHA-256 of the file of weights: {backbone['sha256']}")
    return lines


def _files(files: Iterable[File]) -> list[str]:
    return [
        "| file | bytes | what it is for, and how it was checked |",
        "|---|---:|---|",
        *(f"| `{file.name}` | {file.size:,} | {file.text} |" for file in files),
        "",
    ]


def _data(metadata: ModelMetadata) -> list[str]:
    images: Mapping[str, int] = metadata.dataset["images"]
    counts = ", ".join(f"{number:,} {split}" for split, number in images.items())
    return [f"- images: {counts}", f"- SHA-256 of the table of accepted images: {metadata.dataset['sha256']}"]


def _quality(metadata: ModelMetadata) -> list[str]:
    figures, lines = metadata.metrics, list[str]()
    if figures:
        interval = (
            f"{figures['confidence']:.0%} interval {figures['accuracy_low']:.1%} to {figures['accuracy_high']:.1%}"
        )
        lines.append(
            f"- accuracy {figures['accuracy']:.1%} ({interval}) and macro F1 {figures['macro_f1']:.1%} on "
            f"{count(figures['images'], 'image')}, each predicted by a model that had not seen it; the test images are "
            "left to the stage `evaluation`"
        )
    if metadata.calibration:
        shown = ", ".join(f"{key} {value:.3g}" for key, value in metadata.calibration.items())
        lines.append(f"- calibration: {escape(shown)}")
    if metadata.novelty:
        lines.append(
            f"- a picture with `known` below {metadata.novelty['threshold']:.3g} is unknown; so are "
            f"{metadata.novelty['false_alarms']:.1%} of the pictures that resemble the training images"
        )
    for name, point in metadata.operating_points.items():
        lines.append(
            f"- class {escape(name)} from a probability of {point['threshold']:.4g} on: precision "
            f"{point['precision']:.1%}, recall {point['recall']:.1%} (wanted: {point['measure']} {point['wanted']:.1%})"
        )
    if metadata.coverage:
        lines.append(
            f"- all classes from a probability of {metadata.coverage['threshold']:.4g} on are a set that contains the "
            f"right one in {metadata.coverage['share']:.1%} of the pictures, or more"
        )
    return lines


def _tensors(metadata: ModelMetadata) -> list[str]:
    size, resize = metadata.input.get("size"), metadata.input
    known = "- `known`, float32 [N], 0 to 1: how much the picture resembles the training images"
    return [
        "- `image`, uint8 [N, H, W, 3]: RGB pixels of any size with EXIF orientation applied",
        f"- `resized`, of the variants that start there, [N, {size}, {size}, 3]: the picture resized with antialiasing",
        f"- the resize: {escape(', '.join(f'{key} {value}' for key, value in resize.items()))}",
        f"- `probabilities`, float32 [N, {len(metadata.classes)}]: calibrated, in the order of the classes below",
        *([known] if metadata.novelty else []),
        "- `features`, float32 [N, D]: the vector that the head reads",
    ]


def _classes(metadata: ModelMetadata) -> list[str]:
    rows = (f"| {number} | {escape(name)} |" for number, name in enumerate(metadata.classes))
    return ["| position | name |", "|---:|---|", *rows]
