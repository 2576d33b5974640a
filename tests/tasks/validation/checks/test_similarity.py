from typing import Any

import pytest

from tasks.common.params import Params
from tasks.tables.manifest import Row
from tasks.validation.checks import similarity
from tests.tasks.validation.manifests import find, image, images, paths, sentences

AB = images("a", 12) + images("b", 12)


def pair(**columns: Any) -> list[Row]:
    """Return a picture of class a, and one of class b in the same group that differs in these columns."""
    return [image("a/same.jpg", group=7, phash=0b1), image("b/again.jpg", **({"group": 7, "phash": 0b1} | columns))]


LOOKS = "1 picture of class 'a' looks the same as one of class 'b', such as a/same.jpg and b/again.jpg"


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        pytest.param(AB, [], id="nothing alike"),
        pytest.param(pair(), [LOOKS], id="same group and hash"),
        pytest.param(pair(phash=0b11110), [], id="five bits"),
        pytest.param(pair(phash=0b1111), [LOOKS], id="three bits"),
        pytest.param(pair(group=8), [LOOKS], id="same hash where near-duplicates are off"),
        pytest.param(pair(group=8, phash=0b11), [], id="other group, other hash"),
        pytest.param(pair(brightness=0.53), [], id="brighter"),
        pytest.param(pair(contrast=0.23), [], id="more contrast"),
        pytest.param(pair(width=480, height=640), [], id="another shape"),
        pytest.param(
            pair(width=320, height=240, brightness=None, contrast=None), [LOOKS], id="smaller, brightness unknown"
        ),
        pytest.param([row._replace(contrast=0.0) for row in pair()], [], id="blank"),
        pytest.param(
            [image(f"{label}/{n}.jpg", group=n, phash=n << 32) for label in "ab" for n in range(6)],
            ["6 pictures of class 'a' look the same as pictures of class 'b', such as a/0.jpg and b/0.jpg"],
            id="six pairs",
        ),
        pytest.param(
            [image(f"{label}/1.jpg", group=1, phash=1) for label in "abcdefgh"],
            [
                f"1 picture of class '{a}' looks the same as one of class '{b}', such as {a}/1.jpg and {b}/1.jpg"
                for a, b in ("ab", "ca", "da", "ea", "fa")
            ]
            + ["pictures look the same in 2 more pairs of classes"],
            id="many classes",
        ),
    ],
)
def test_pictures_that_look_the_same_in_two_classes_are_named(
    settings: Params, rows: list[Row], messages: list[str]
) -> None:
    findings = [found for found in find("near_duplicates", rows, settings) if found.severity != "note"]
    assert sentences(findings) == [("warning", message) for message in messages]


def test_partners_lie_beside_each_other(settings: Params) -> None:
    rows = [image(f"{label}/{n}.jpg", group=n, phash=n << 32) for label in "ab" for n in range(2)]
    [finding] = find("near_duplicates", rows, settings)
    assert paths(finding) == ["a/0.jpg", "b/0.jpg", "a/1.jpg", "b/1.jpg"]
    assert finding.offenders[0].detail == "looks the same as b/0.jpg"


def test_of_a_large_group_each_image_is_compared_with_some(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "MAX_COMPARED", 4)
    rows = [image(f"{label}/{n}.jpg", group=1, phash=1) for label in "ab" for n in range(10)]
    finding, _ = find("near_duplicates", rows, settings)
    assert (
        finding.message
        == "10 pictures of class 'a' look the same as pictures of class 'b', such as a/0.jpg and b/0.jpg"
    )


def test_near_duplicates_of_a_class_are_counted_in_a_note_without_given_groups(settings: Params) -> None:
    rows = [*AB, *(image(f"a/x{n}.jpg", group=7) for n in range(3)), *(image(f"b/y{n}.jpg", group=8) for n in range(2))]
    rows += [image(f"b/z{n}.jpg", group=9, given_group="patient") for n in range(4)]
    [finding] = find("near_duplicates", rows, settings)
    assert sentences([finding]) == [
        (
            "note",
            (
                "5 of 29 images have a near-duplicate in their class (2 groups, the largest of 3); "
                "the images of a group share a split"
            ),
        )
    ]
    assert paths(finding) == ["a/x0.jpg", "a/x1.jpg", "a/x2.jpg", "b/y0.jpg", "b/y1.jpg"]


def given(path: str, split: str, **columns: Any) -> Row:
    return image(path, split=split, given_split=split, **columns)


GIVEN = [row._replace(given_split=row.split) for row in AB]


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        pytest.param(GIVEN, [], id="nothing shared"),
        pytest.param(
            [*GIVEN, given("a/1t.jpg", "train", sha256="s"), given("a/1v.jpg", "test", sha256="s")],
            [
                (
                    "1 file is in two given splits and set aside in one, such as a/1t.jpg: "
                    "the same image is a/1v.jpg, of split test"
                )
            ],
            id="the same bytes",
        ),
        pytest.param(
            [*GIVEN, given("a/x.jpg", "train", phash=1, group=1), given("b/y.jpg", "test", phash=1, group=1)],
            ["1 picture of split 'test' looks the same as one of split 'train', such as b/y.jpg and a/x.jpg"],
            id="near-duplicates",
        ),
        pytest.param(
            [image("a/x.jpg", split="train", phash=1), image("b/y.jpg", split="test", phash=1)],
            [],
            id="no given splits",
        ),
        pytest.param(
            [*GIVEN, *(given(f"a/{split}.jpg", split, given_group="p7", group=1) for split in ("test", "train"))],
            ["1 group has images in more than one given split: 'p7' (train and test)"],
            id="a group",
        ),
        pytest.param(
            [given(f"a/{n}.jpg", ("val", "test")[n % 2], given_group=f"p{n // 2}", group=n // 2) for n in range(4)],
            ["2 groups have images in more than one given split, such as 'p0' (val and test)"],
            id="two groups",
        ),
    ],
)
def test_given_splits_that_share_pictures_or_groups_are_named(
    settings: Params, rows: list[Row], messages: list[str]
) -> None:
    assert sentences(find("leakage", rows, settings)) == [("warning", message) for message in messages]
