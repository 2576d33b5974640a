"""Folds: the images in parts, each with all classes in proportion, and all images of a group in the same part."""

from collections.abc import Sequence

import numpy as np

from tasks.head.search.linear import Ints


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
