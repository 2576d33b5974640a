"""The split of each image, train, val or test: as the user gives it, or else a function of the images' content.

An image keeps its split when the dataset grows. Exceptions: a newcomer that is nearly the same may join two groups into
one; a class so small that hashing leaves it without a validation or test image has a group moved; and whether a group
of several images is too large a part of its class depends on the rest of the class.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import product

import numpy.typing as npt
from numpy import int64

from tasks.common.params import Dataset
from tasks.dataset.groups import group_images
from tasks.tables.manifest import SPLITS, Row

# A split holds at most this many times its share of a class once a group of several images has joined it. Hashing alone
# stays below that in all but small classes, so the limit acts where few groups make up a class.
LARGEST_SHARE = 2.0

Groups = npt.NDArray[int64]


def split_rows(rows: Sequence[Row], params: Dataset) -> list[Row]:
    """Return the rows with a group and a split for every usable image; see `group_images` for the groups.

    A given split is kept. Val and test are drawn where no image is given as theirs, from the images that are given as
    train or not at all. An image without a given split follows its copies and its given group into val or test, and its
    near-duplicates too unless they would take too large a part of a class there. All other images are train.
    """
    usable = [row for row in rows if row.kind is None]
    digests = [row.sha256 or "" for row in usable]
    labels = [row.label for row in usable]
    images = (digests, [row.phash or 0 for row in usable], [row.given_group for row in usable])
    groups = group_images(*images, params.near_duplicates)
    given = [row.given_split for row in usable]
    shares = {"test": params.test_fraction, "val": params.val_fraction}
    splits = _follow(given, group_images(*images, None))
    splits = _follow_near_duplicates(splits, groups, labels, shares)
    evaluated = {group for group, split in zip(groups.tolist(), splits, strict=True) if split in shares}
    drawn = [index for index, group in enumerate(groups.tolist()) if group not in evaluated]
    assigned = assign_splits(
        [digests[index] for index in drawn],
        [labels[index] for index in drawn],
        groups[drawn],
        params.seed,
        *(0.0 if split in given else shares[split] for split in ("val", "test")),
    )
    for index, split in zip(drawn, assigned, strict=True):
        splits[index] = split
    decided = {
        row.path: row._replace(group=group, split=split or "train")
        for row, group, split in zip(usable, groups.tolist(), splits, strict=True)
    }
    return [decided.get(row.path, row) for row in rows]


def _follow(splits: Sequence[str | None], groups: Groups) -> list[str | None]:
    """Give the images without a split the one that wins among the splits of their group."""
    # The later of two splits wins: training on an image of test or val would spoil the results.
    winner: dict[int, str] = {}
    for group, split in zip(groups.tolist(), splits, strict=True):
        if split is not None:
            winner[group] = max(split, winner.get(group, split), key=SPLITS.index)
    return [split or winner.get(group) for group, split in zip(groups.tolist(), splits, strict=True)]


def _follow_near_duplicates(
    splits: Sequence[str | None], groups: Groups, labels: Sequence[str], shares: Mapping[str, float]
) -> list[str | None]:
    """Do the same for near-duplicates of val and test images, where few of each class of a group would follow."""
    class_sizes = Counter(labels)
    followed = _follow(splits, groups)
    followers: dict[int, Counter[str]] = defaultdict(Counter)
    for group, before, label in zip(groups.tolist(), splits, labels, strict=True):
        if before is None:
            followers[group][label] += 1

    def may_follow(group: int, split: str | None) -> bool:
        return (
            split is not None
            and split in shares
            and all(
                size <= max(1, LARGEST_SHARE * shares[split] * class_sizes[label])
                for label, size in followers[group].items()
            )
        )

    return [
        after if before or may_follow(group, after) else None
        for before, after, group in zip(splits, followed, groups.tolist(), strict=True)
    ]


def assign_splits(
    keys: Sequence[str], labels: Sequence[str], groups: Groups, seed: int, val_fraction: float, test_fraction: float
) -> list[str]:
    """Return `train`, `val` or `test` for each image; a group stays together, a class holds all three if it can.

    `keys` are content hashes; the smallest of a group decides for it. A group that would take too large a part of one
    of its classes is train. Nothing is assigned to a split whose fraction is 0.
    """
    smallest: dict[int, str] = {}
    sizes: dict[int, Counter[str]] = defaultdict(Counter)
    for group, key, label in zip(groups.tolist(), keys, labels, strict=True):
        smallest[group] = min(key, smallest.get(group, key))
        sizes[group][label] += 1
    positions = {group: _position(key, seed) for group, key in smallest.items()}
    draw = _Draw(sizes, {"test": test_fraction, "val": val_fraction})
    members: dict[str, list[int]] = {label: [] for label in sorted(set(labels))}
    for group in sorted(sizes, key=positions.__getitem__):
        position = positions[group]
        split = "test" if position < test_fraction else "val" if position < test_fraction + val_fraction else "train"
        draw.put(group, split if draw.fits(group, split) else "train")
        for label in sizes[group]:
            members[label].append(group)
    moved = True
    while moved:
        moved = False
        for label, split in product(members, ("test", "val", "train")):
            moved |= draw.fill_gap(label, split, members[label])
    return [draw.split_of[group] for group in groups.tolist()]


class _Draw:
    """The split of each group while groups are being assigned."""

    def __init__(self, sizes: Mapping[int, Counter[str]], fractions: Mapping[str, float]) -> None:
        """Take the number of images that each group has of each class, and the fractions of val and test."""
        self.split_of: dict[int, str] = {}
        self._sizes = sizes
        self._fractions = fractions
        self._class_sizes: Counter[str] = Counter()
        for counts in sizes.values():
            self._class_sizes.update(counts)
        self._images: Counter[tuple[str, str]] = Counter()
        self._groups: Counter[tuple[str, str]] = Counter()

    def put(self, group: int, split: str) -> None:
        """Assign a group to a split, or move it there."""
        before = self.split_of.get(group)
        for label, size in self._sizes[group].items():
            if before is not None:
                self._images[label, before] -= size
                self._groups[label, before] -= 1
            self._images[label, split] += size
            self._groups[label, split] += 1
        self.split_of[group] = split

    def fits(self, group: int, split: str) -> bool:
        """Say whether the split holds no more than LARGEST_SHARE allows once the group joins; one image always fits."""
        return split == "train" or all(
            size == 1
            or self._images[label, split] + size <= LARGEST_SHARE * self._fractions[split] * self._class_sizes[label]
            for label, size in self._sizes[group].items()
        )

    def fill_gap(self, label: str, split: str, members: Sequence[int]) -> bool:
        """Move a group of the class into the split if the class lacks it; return whether a group moved.

        `members` are the groups of the class by position. The nearest that can be spared and fits is moved; if none
        fits, the smallest, unless that is half of one of its classes. A group can be spared if each of its classes
        holds another group of the split that it leaves. So a class never loses a split, and the moves end.
        """
        if self._groups[label, split] or self._fractions.get(split) == 0:
            return False
        nearest = members if split != "train" else members[::-1]
        spared = [group for group in nearest if self._can_be_spared(group)]
        fitting = next((group for group in spared if self.fits(group, split)), None)
        smallest = min(spared, key=self._largest_part, default=None)
        if fitting is not None:
            self.put(fitting, split)
        elif smallest is not None and self._largest_part(smallest) < 1 / 2:
            self.put(smallest, split)
        else:
            return False
        return True

    def _can_be_spared(self, group: int) -> bool:
        return all(self._groups[label, self.split_of[group]] > 1 for label in self._sizes[group])

    def _largest_part(self, group: int) -> float:
        return max(size / self._class_sizes[label] for label, size in self._sizes[group].items())


def _position(key: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but the key and the seed."""
    return int.from_bytes(sha256(f"{seed}:{key}".encode()).digest()[:8]) / 2**64
