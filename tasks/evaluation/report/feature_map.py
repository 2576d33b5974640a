"""The part of the page with the map of the features: each image is a mark, whose shape and colour are its class."""

from collections import Counter
from typing import Any, NamedTuple

from tasks.evaluation.feature_map import Dot, FeatureMap
from tasks.pages.gallery import Gallery, Tile

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


class FeatureMapPart(NamedTuple):
    """The part. `classes` are pairs of a class and its number of marks, and `are_marked` says if each has a shape.

    `dots` is data for the script, a list for each mark: number of its class, number of the predicted class or -1, path,
    and the place of its tile, if any. `doubtful` are the images with likely wrong labels, with their tiles.
    """

    headline: str
    classes: list[tuple[str, int]]
    are_marked: bool
    marks: list[Mark]
    dots: list[list[Any]]
    doubtful: list[tuple[Dot, Tile | None]]
    likely_errors: int
    side: int


def describe_feature_map(feature_map: FeatureMap | None, gallery: Gallery) -> FeatureMapPart | None:
    """Return the part, with the images in the gallery; None without a map."""
    if feature_map is None:
        return None
    dots = feature_map.dots
    numbers = Counter(dot.label for dot in dots)
    # Predicted classes may have no image of their own on the map.
    names = sorted(numbers, key=lambda name: (-numbers[name], name))
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
    shown = f"{len(dots):,} of {feature_map.images:,}" if len(dots) < feature_map.images else f"All {len(dots):,}"
    return FeatureMapPart(
        f"{shown} images by their features: those that the network sees as similar lie near each other.",
        [(name, numbers[name]) for name in names],
        are_marked,
        marks,
        [_describe_dot(dot, place, gallery.add(dot.path)) for dot in dots],
        [(dot, gallery.add(dot.path)) for dot in dots if dot.doubtful],
        feature_map.likely_errors,
        SIDE,
    )


def _describe_dot(dot: Dot, place: dict[str, int], tile: Tile | None) -> list[Any]:
    predicted = -1 if dot.predicted is None else place[dot.predicted]
    return [place[dot.label], predicted, dot.path, *(tile or ())]
