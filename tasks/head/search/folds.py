"""Folds: the images in parts, each with all classes in proportion, and all images of a group in the same part."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.common.errors import GraftError
from tasks.common.text import count, printable
from tasks.head.rows import Rows, lonely_classes
from tasks.head.search.linear import Array, Ints

FEWEST = 2


class Folds(NamedTuple):
    """Folds [n] of the images, images [R] and weights [R] of the rows, and the row of each image's plain view [n]."""

    of_images: Ints
    images: Ints
    weights: Array
    plain: Ints

    @property
    def number(self) -> int:
        """The number of folds."""
        return int(self.of_images.max()) + 1

    def training_weights(self) -> Array:
        """Return for each fold the weights of the rows, 0 for those of its own images, [F, R]."""
        own = self.of_images[self.images] == np.arange(self.number)[:, None]
        return np.where(own, 0, self.weights)


def make_folds(rows: Rows, wanted: int, seed: int) -> tuple[Folds, list[str]]:
    """Return the folds, fewer than wanted where there are not enough images or groups, and warnings.

    Raises:
        GraftError: All images are in one group.
    """
    targets = rows.targets[rows.plain]
    units = len({(group is None, image if group is None else group) for image, group in enumerate(rows.groups)})
    folds = min(wanted, units)
    if folds < FEWEST:
        message = (
            f"The search needs images of two groups or more, and all {count(len(targets), 'image')} for training and "
            "validation are in the same one. Add images, or set head.search: off."
        )
        raise GraftError(message)
    warnings = []
    if folds < wanted:
        warnings.append(f"{wanted} folds need as many images or groups, so there are {folds} folds")
    warnings += [
        f"the class '{printable(name)}' has a single image, so no fold can test it" for name in lonely_classes(rows)
    ]
    of_images = assign_folds(targets, rows.groups, folds, seed)
    for number, name in enumerate(rows.classes):
        own = of_images[targets == number]
        if len(own) > 1 and len(set(own.tolist())) == 1:
            warnings.append(f"all images of the class '{printable(name)}' are in one group, so no fold can test it")
    return Folds(of_images, rows.images, rows.weights, rows.plain), warnings


def assign_folds(targets: Ints, groups: Sequence[int | None], folds: int, seed: int) -> Ints:
    """Return the fold of each image, int64 [n] in [0, folds).

    `targets` are class numbers [n]; images of the same group, other than None, come into the same fold. Large groups
    are placed first, each unit where its classes are rarest.
    """
    order = np.random.default_rng(seed).permutation(len(targets)).tolist()
    members: dict[tuple[int, int], list[int]] = {}
    for image in order:
        group = groups[image]
        members.setdefault((0, image) if group is None else (1, group), []).append(image)
    labels = targets.tolist()
    counts = [[0] * folds for _ in range(int(targets.max()) + 1)]
    totals = [0] * folds
    result = np.empty(len(targets), np.int64)
    # Classes one after the other, so that the folds of a class with few images differ from those of the next.
    for images in sorted(members.values(), key=lambda images: (-len(images), labels[images[0]])):
        own = [counts[labels[image]] for image in images]
        fold = min(range(folds), key=lambda fold: (sum(row[fold] for row in own), totals[fold]))
        result[images] = fold
        totals[fold] += len(images)
        for row in own:
            row[fold] += 1
    return result
