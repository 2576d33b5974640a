"""The confusion matrix on the page: a table or, for many classes, a drawing, and the images of each cell."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.evaluation.confusion import Confusion, order_classes
from tasks.evaluation.test_set import Indices, TestSet
from tasks.pages.gallery import Gallery
from tasks.pages.rendering import clip

Shares = npt.NDArray[np.float64]

# More classes have no room for their names and numbers.
MAX_TABLE_CLASSES = 30
# Images of a cell: mistakes are of more interest. Those of all cells together are limited too.
MAX_CELL_MISTAKES = 24
MAX_CELL_RIGHT = 12
MAX_IMAGES = 4000
MAX_PICTURES = 1200
MAX_NAME = 60
MAX_PATH = 100
# The shares of a row, up to each of these, that have squares of the same side in the drawing.
LEVELS = [(0.02, 0.4), (0.1, 0.55), (0.25, 0.7), (0.5, 0.85), (1.0, 1.0)]


class Cell(NamedTuple):
    """A cell of the table: its number of images, and their share of its row, 0..1."""

    images: int
    share: float
    is_right: bool


class Level(NamedTuple):
    """Squares of one size of the drawing, as the path of an SVG element."""

    path: str
    is_right: bool


class Matrix(NamedTuple):
    """The confusion matrix of the classes that occur, in the order of its rows and columns.

    With few classes it is a table of `rows`, else a drawing of `levels`. `sums` are the images of each class. `cells`
    is data for the script, a list for each pair: row, column, number of images, and some of these: the path, the
    probability, and sheet and offsets of the tile, if there is one.
    """

    names: list[str]
    rows: list[list[Cell]]
    levels: list[Level]
    cells: list[list[Any]]
    sums: list[int]


def describe_matrix(test: TestSet, confusion: Confusion, gallery: Gallery) -> Matrix:
    """Return the matrix; the gallery gets pictures of its images."""
    counts = confusion.counts
    present = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    counts = counts[np.ix_(present, present)]
    is_table = len(present) <= MAX_TABLE_CLASSES
    if not is_table:
        order = order_classes(counts)
        present, counts = present[order], counts[np.ix_(order, order)]
    names = [clip(test.classes[number], MAX_NAME) for number in present]
    sums = counts.sum(axis=1)
    shares = counts / np.maximum(sums[:, None], 1)
    places = {int(number): place for place, number in enumerate(present)}
    return Matrix(
        names,
        _list_rows(counts, shares) if is_table else [],
        [] if is_table else _draw_levels(shares),
        _list_cells(test, confusion, places, gallery),
        sums.tolist(),
    )


def _list_rows(counts: Indices, shares: Shares) -> list[list[Cell]]:
    classes = range(len(counts))
    return [
        [Cell(int(counts[row, column]), float(shares[row, column]), row == column) for column in classes]
        for row in classes
    ]


def _draw_levels(shares: Shares) -> list[Level]:
    """Return the squares of the cells of the matrix, each as large as its share of its row says."""
    levels = []
    start = 0.0
    for end, side in LEVELS:
        rows, columns = np.nonzero((shares > start) & (shares <= end))
        start = end
        for is_right in (False, True):
            chosen = (rows == columns) == is_right
            margin = (1 - side) / 2
            squares = (
                f"M{column + margin:g} {row + margin:g}h{side:g}v{side:g}h-{side:g}z"
                for row, column in zip(rows[chosen].tolist(), columns[chosen].tolist(), strict=True)
            )
            levels.append(Level("".join(squares), is_right))
    return [level for level in levels if level.path]


def _list_cells(test: TestSet, confusion: Confusion, places: Mapping[int, int], gallery: Gallery) -> list[list[Any]]:
    """Return the cells with their images, as many as the limits allow.

    The first image of each cell comes first, then the other mistakes, then the other right predictions.
    """
    cells: list[list[Any]] = [
        [places[pair.actual], places[pair.predicted], len(pair.images), []] for pair in confusion.pairs
    ]
    queue = []
    for cell, pair in zip(cells, confusion.pairs, strict=True):
        limit = MAX_CELL_RIGHT if pair.is_right else MAX_CELL_MISTAKES
        queue += [(rank > 0 and pair.is_right, rank, cell, image) for rank, image in enumerate(pair.images[:limit])]
    queue.sort(key=lambda entry: entry[:2])
    pictures = 0
    for _, _, cell, image in queue[:MAX_IMAGES]:
        tile = gallery.add(test.paths[image]) if pictures < MAX_PICTURES else None
        pictures += tile is not None
        probability = f"{100 * test.probabilities[image].max():.1f} %"
        cell[3].append([clip(test.paths[image], MAX_PATH), probability, *(tile or [])])
    return cells
