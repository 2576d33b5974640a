"""The part of the page with the map of the features: each image is a mark, whose shape and colour are its class."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from tasks.common.text import count
from tasks.evaluation.feature_map import Dot, FeatureMap
from tasks.pages.gallery import Gallery, Tile
from tasks.pages.rendering import clip

# More colours and shapes are not told apart.
MAX_MARKED_CLASSES = 10
SIDE = 640
MARGIN = 12


class Mark(NamedTuple):
    """A mark on the map: its place in pixels, the number of its class, and what it stands for."""

    x: int
    y: int
    shape: int
    split: str
    is_wrong: bool
    is_doubtful: bool


class ClassEntry(NamedTuple):
    """A class of the map: its number of marks, and the place of the one in their middle, in percent of the side."""

    name: str
    images: int
    left: float
    top: float


class FeatureMapPart(NamedTuple):
    """The part. `are_marked` says if each class has a shape of its own.

    `dots` is data for the script, a list for each mark: number of its class, number of the predicted class or -1, path,
    and the place of its tile, if any. `doubtful` are the images with likely wrong labels, with their tiles, below the
    sentences `doubts`. `more_doubtful` of them are not shown.
    """

    headline: str
    classes: list[ClassEntry]
    are_marked: bool
    marks: list[Mark]
    dots: list[list[Any]]
    doubts: tuple[str, str]
    doubtful: list[tuple[Dot, Tile | None]]
    more_doubtful: int
    side: int


def describe_feature_map(feature_map: FeatureMap | None, gallery: Gallery) -> FeatureMapPart | None:
    """Return the part, with the images in the gallery; None without a map."""
    if feature_map is None:
        return None
    dots = feature_map.dots
    numbers = Counter(dot.label for dot in dots)
    # Predicted classes may have no image of their own on the map.
    names = sorted(numbers)
    names += sorted({dot.predicted for dot in dots if dot.predicted is not None} - set(names))
    place = {name: number for number, name in enumerate(names)}
    are_marked = len(numbers) <= MAX_MARKED_CLASSES
    scale = SIDE - 2 * MARGIN
    marks = [
        Mark(
            MARGIN + round(scale * dot.x),
            MARGIN + round(scale * dot.y),
            place[dot.label] if are_marked else 0,
            dot.split,
            dot.split == "test" and dot.predicted != dot.label,
            dot.doubtful,
        )
        for dot in dots
    ]
    doubtful = [(dot, gallery.add(dot.path)) for dot in dots if dot.doubtful]
    is_credible = feature_map.errors_are_credible
    return FeatureMapPart(
        _headline(feature_map),
        [
            _describe_class(name, [mark for mark, dot in zip(marks, dots, strict=True) if dot.label == name])
            for name in names
        ],
        are_marked,
        marks,
        [_describe_dot(dot, place, gallery.add(dot.path)) for dot in dots],
        _describe_doubts(feature_map.likely_errors, is_credible=is_credible),
        doubtful,
        feature_map.likely_errors - len(doubtful) if is_credible else 0,
        SIDE,
    )


def _headline(feature_map: FeatureMap) -> str:
    shown, images = len(feature_map.dots), feature_map.images
    number = f"{shown:,} of {images:,}" if shown < images else f"All {shown:,}"
    return f"{number} images by their features: those that the network sees as similar lie near each other."


def _describe_doubts(likely_errors: int, *, is_credible: bool) -> tuple[str, str]:
    """Return the heading above the images with likely wrong labels, and the text below it."""
    if is_credible:
        heading = f"{count(likely_errors, 'label')} of training and validation images may be wrong"
        return heading, "A model that had not seen the image is surer of another class than of the given one."
    text = (
        "Models that had not seen the images take many of them for another class, so that they cannot say how many "
        "labels are wrong. About these images, they are surest."
    )
    return "The labels to look at first", text


def _describe_class(name: str, marks: list[Mark]) -> ClassEntry:
    if not marks:
        return ClassEntry(name, 0, 0.0, 0.0)
    places = np.array([(mark.x, mark.y) for mark in marks], np.float64)
    # The mark nearest to all others is on the map where a mean of several groups may not be.
    distances = np.linalg.norm(places[:, None] - places[None], axis=2).sum(axis=1)
    left, top = (100 * places[distances.argmin()] / SIDE).tolist()
    return ClassEntry(name, len(marks), left, top)


def _describe_dot(dot: Dot, place: dict[str, int], tile: Tile | None) -> list[Any]:
    predicted = -1 if dot.predicted is None else place[dot.predicted]
    return [place[dot.label], predicted, clip(dot.path), *(tile or ())]
