from typing import Any

import pytest

from tasks.common.errors import QuarantineKind
from tasks.common.params import Params
from tasks.tables.manifest import Row
from tests.tasks.validation.manifests import find, image, images, sentences, unusable

AB = images("a", 12) + images("b", 12)
OTHER = QuarantineKind.OTHER_FILE
HEIC = [unusable(f"bird/{n}.heic", QuarantineKind.UNKNOWN_FORMAT, "HEIC is not supported") for n in range(2)]
CUT = unusable("bird/cut.jpg", QuarantineKind.DAMAGED, "damaged: cut\nin two")
DROPPED = unusable("old/1.jpg", QuarantineKind.DROPPED, "dropped by a correction")


def in_split(split: str, rows: list[Row], **columns: Any) -> list[Row]:
    return [row._replace(split=split, **columns) for row in rows]


ONE_GROUP = in_split("train", images("good", 60), group=7)
CASES = {
    "as many as needed": ("images_per_class", AB, {}, []),
    "too few, the smallest first": (
        "images_per_class",
        AB + images("triangle", 5) + images("disc\n", 1),
        {},
        ["class 'disc\\n' has 1 usable image, needs 6", "class 'triangle' has 5 usable images, needs 6"],
    ),
    "only files that cannot be used": (
        "images_per_class",
        [*AB, *HEIC, CUT],
        {},
        [
            (
                "class 'bird' has 0 usable images, needs 6 (set aside: unknown format (2), such as bird/0.heic: "
                "HEIC is not supported; damaged (1), such as bird/cut.jpg: cut\\nin two)"
            )
        ],
    ),
    "an empty folder": (
        "images_per_class",
        [*AB, unusable("fish/", QuarantineKind.EMPTY_FOLDER, "the folder holds no files")],
        {},
        ["class 'fish' has 0 usable images, needs 6 (the folder holds no files)"],
    ),
    "twelve small classes": (
        "images_per_class",
        [image(f"{n:02}/1.jpg") for n in range(12)],
        {},
        [f"class '{n:02}' has 1 usable image, needs 6" for n in range(10)]
        + ["the same holds for 2 more classes: '10' and '11'"],
    ),
    "enough classes": ("classes", AB, {}, []),
    "one class": ("classes", images("a", 12), {}, ["the dataset has 1 class ('a'), needs 2"]),
    "no class": ("classes", [unusable("x.txt", OTHER, "no image")], {}, ["the dataset has 0 classes (none), needs 2"]),
    "folders without pictures are no classes": (
        "classes",
        [*AB, unusable("notes/1.txt", OTHER, "no image"), unusable("notes/2.ogg", OTHER, "no image"), DROPPED],
        {},
        [
            "'notes' is no class: it holds no pictures, only 2 other files: .ogg (1), .txt (1)",
            "'old' is no class: it holds no pictures to use; dropped (1), such as old/1.jpg: dropped by a correction",
        ],
    ),
    "any class is expected": ("expected_classes", AB, {}, []),
    "the expected classes": ("expected_classes", AB, {"expected_classes": ["b", "a"]}, []),
    "a missing class": (
        "expected_classes",
        AB,
        {"expected_classes": ["a", "b", "c"]},
        ["classes: expected 'c', which the dataset lacks"],
    ),
    "missing and unexpected classes": (
        "expected_classes",
        AB,
        {"expected_classes": ["A", "b"]},
        ["classes: expected 'A', which the dataset lacks; found 'a', not expected"],
    ),
    "every split of every class": ("splits", AB, {}, []),
    "no images in a split": (
        "splits",
        images("a", 12) + in_split("train", images("b", 12)),
        {},
        ["class 'b' has no val or test images"],
    ),
    "a small class is reported for its size alone": ("splits", AB + images("c", 3), {}, []),
    "near-duplicates of each other": (
        "splits",
        AB + ONE_GROUP,
        {},
        [
            (
                "class 'good' has no val or test images: its 60 images are near-duplicates of each other (1 group), "
                "and a group shares a split"
            )
        ],
    ),
    "mostly near-duplicates": (
        "splits",
        AB + ONE_GROUP[:50] + in_split("val", images("good", 60)[50:]),
        {},
        [
            (
                "class 'good' has no test images: 50 of its 60 images are near-duplicates of each other (11 groups "
                "in all), and a group shares a split"
            )
        ],
    ),
    "one patient": (
        "splits",
        AB + [row._replace(given_group="patient 1") for row in ONE_GROUP],
        {},
        ["class 'good' has no val or test images: its 60 images are of 1 group, and a group shares a split"],
    ),
    "given splits": (
        "splits",
        images("a", 12) + [row._replace(given_split="val", split="val") for row in images("b", 12)],
        {},
        ["class 'b' has no train or test images: its 12 images have given splits, val"],
    ),
    "shares near the wanted ones": ("split_shares", AB, {}, []),
    "a share far from the wanted one": (
        "split_shares",
        images("a", 60) + images("b", 10) + in_split("test", images("b", 60)[10:]),
        {},
        ["class 'b' has 8 in train (13%, wanted 70%) and 51 in test (85%, wanted 15%) of 60 images"],
    ),
    "a group that takes its share": (
        "split_shares",
        images("a", 60) + images("b", 10) + in_split("test", images("b", 60)[10:], group=7),
        {},
        [
            (
                "class 'b' has 8 in train (13%, wanted 70%) and 51 in test (85%, wanted 15%) of 60 images: 50 of its "
                "60 images are near-duplicates of each other (11 groups in all), and a group shares a split"
            )
        ],
    ),
    "few images, where chance explains much": (
        "split_shares",
        images("a", 60) + images("b", 5) + in_split("test", images("b", 6)[5:]) + in_split("val", images("b", 7)[6:]),
        {},
        [],
    ),
    "given shares are compared with each other": (
        "split_shares",
        [
            row._replace(split=split, given_split=split)
            for row, split in zip(AB, ["train"] * 4 + ["val"] * 4 + ["test"] * 16, strict=True)
        ],
        {},
        [],
    ),
    "equal classes": ("imbalance", AB, {}, []),
    "uneven classes; an empty one does not count": (
        "imbalance",
        [*images("a", 24), *images("b", 6), CUT],
        {"max_class_ratio": 3},
        ["class 'a' has 24 images, 4 times the 6 of class 'b', more than 3 times"],
    ),
}
MILDER = {"folders without pictures are no classes"}


@pytest.mark.parametrize(("check", "rows", "changed", "messages"), CASES.values(), ids=CASES)
def test_a_check_of_classes_says_what_it_finds(
    settings: Params,
    check: str,
    rows: list[Row],
    changed: dict[str, Any],
    messages: list[str],
    request: pytest.FixtureRequest,
) -> None:
    severity = getattr(settings.validation.checks, check)
    severity = "warning" if request.node.callspec.id in MILDER else severity
    assert sentences(find(check, rows, settings, **changed)) == [(severity, message) for message in messages]


def test_the_advice_on_a_missing_split_names_the_key_that_causes_it(settings: Params) -> None:
    [finding] = find("splits", AB + ONE_GROUP, settings)
    assert finding.advice == "Set dataset.near_duplicates to off or to fewer bits, or give the splits in folders."
    assert finding.labels == ["good"]


def test_the_advice_on_unexpected_classes_names_the_nearest_one(settings: Params) -> None:
    rows = images("cat", 12) + images("dog", 12)
    [finding] = find("expected_classes", rows, settings, expected_classes=["zebra", "cat", "dgo"])
    assert finding.message == "classes: expected 'dgo' and 'zebra', which the dataset lacks; found 'dog', not expected"
    assert finding.advice == "Correct the folders, or validation.expected_classes. 'dgo': Did you mean 'dog'?"


def test_small_classes_lack_splits_too_where_their_size_does_not_stop_the_run(settings: Params) -> None:
    checks = settings.validation.checks.model_copy(update={"images_per_class": "warning"})
    [finding] = find("splits", AB + images("c", 3), settings, checks=checks)
    assert finding.message == "class 'c' has no val or test images"
