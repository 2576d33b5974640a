"""The rows that a head is trained on: the features of training and validation images, and what is known of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.common.errors import GraftError
from tasks.common.text import count, join, printable
from tasks.tables.features import Features, Tap

SHOWN = 3


@dataclass(frozen=True, eq=False)
class Rows:
    """Features, float32 [R, D], and class numbers, int64 [R], of the views of n training and validation images.

    `images` [R] is the index of a row's image, `plain` [n] the row of an image's plain view, `groups` [n] its group or
    None, `training` [n] whether it is a training image. `classes` are the names of the class numbers, `paths` [n]
    those of the images.
    """

    vectors: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]
    plain: npt.NDArray[np.int64]
    groups: list[int | None]
    training: npt.NDArray[np.bool_]
    classes: list[str]
    paths: list[str]
    taps: tuple[Tap, ...]

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """The weight of each row, [R]: the views of an image share a weight of 1."""
        return np.asarray(1 / np.bincount(self.images)[self.images])

    @property
    def tap_slices(self) -> list[slice]:
        """The columns of each tap."""
        ends = np.cumsum([tap.width for tap in self.taps]).tolist()
        return [slice(end - tap.width, end) for end, tap in zip(ends, self.taps, strict=True)]

    def columns(self, taps: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return the columns of the taps with these indexes, int64."""
        slices = self.tap_slices
        return np.concatenate([np.arange(slices[tap].start, slices[tap].stop) for tap in taps])

    def layers(self, taps: Sequence[int]) -> list[str]:
        """Return the layers of the taps with these indexes."""
        return [self.taps[tap].layer for tap in taps]


def collect_rows(table: Features, groups: Mapping[str, int | None]) -> Rows:
    """Return the training and validation rows of the table; `groups` names the group of an image's path.

    Raises:
        GraftError: There is no training or validation image, a class has no training image, there is one class only,
            features are not finite, or they are the same for all images.
    """
    known = np.flatnonzero(table.splits != "test")
    plain = np.flatnonzero(table.views[known] == 0)
    paths = [str(path) for path in table.paths[known][plain]]
    training = table.splits[known][plain] == "train"
    _check_classes(table, training.size, int(training.sum()))
    classes, targets = np.unique(table.labels[known], return_inverse=True)
    vectors = table.vectors[known]
    _check_finite(vectors, table.paths[known], table.taps)
    if len(vectors) > 1 and (vectors == vectors[0]).all():
        message = (
            f"The features of all {count(len(plain), 'training and validation image')} are equal, so no head can tell "
            "the classes apart. Look at the images, and choose another backbone, or another backbone.cut."
        )
        raise GraftError(message)
    index = {path: position for position, path in enumerate(paths)}
    return Rows(
        vectors,
        targets.astype(np.int64),
        np.array([index[str(path)] for path in table.paths[known]], np.int64),
        plain,
        [groups.get(path) for path in paths],
        training,
        [str(name) for name in classes],
        paths,
        table.taps,
    )


def _check_classes(table: Features, images: int, training: int) -> None:
    if not 0 < training < images:
        split = "training" if training == 0 else "validation"
        message = f"There is no {split} image, so no head can be trained. Add images, or set dataset.val_fraction."
        raise GraftError(message)
    trained = {str(name) for name in table.labels[table.splits == "train"]}
    missing = sorted({str(name) for name in table.labels} - trained)
    if missing:
        names = join([f"'{printable(name)}'" for name in missing[:SHOWN]])
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        message = f"No training image is of the class {names}{more}. Add images of it, or give it another split."
        raise GraftError(message)
    if len(trained) == 1:
        message = f"All images are of the class '{printable(trained.pop())}'; a head needs two classes or more."
        raise GraftError(message)


def _check_finite(vectors: npt.NDArray[np.float32], paths: npt.NDArray[np.str_], taps: tuple[Tap, ...]) -> None:
    finite = np.isfinite(vectors)
    if finite.all():
        return
    bad = np.flatnonzero(~finite.all(axis=1))
    column = int(np.flatnonzero(~finite[bad[0]])[0])
    ends = np.cumsum([tap.width for tap in taps])
    layer = taps[int(np.searchsorted(ends, column, side="right"))].layer
    message = (
        f"The features of {count(len(bad), 'view')}, first of '{printable(str(paths[bad[0]]))}' at the tap '{layer}', "
        "are not finite. The weights of the base may be damaged, or too large for features.precision."
    )
    raise GraftError(message)


def lonely_classes(rows: Rows) -> list[str]:
    """Return the classes of which there is one image."""
    counts = Counter(rows.targets[rows.plain].tolist())
    return [name for number, name in enumerate(rows.classes) if counts[number] == 1]
