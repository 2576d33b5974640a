import pytest

from tasks.common.errors import QuarantineKind
from tasks.common.params import Params
from tasks.tables.manifest import Row
from tests.tasks.validation.manifests import find, image, images, paths, sentences, unusable

AB = images("a", 12) + images("b", 12)


def damaged(count: int) -> list[Row]:
    return [unusable(f"a/cut{n}.jpg", QuarantineKind.DAMAGED, "damaged: cut") for n in range(count)]


@pytest.mark.parametrize(
    ("usable", "unusable_files", "limit", "severities"),
    [
        pytest.param(190, 10, 0.05, ["warning"], id="at the limit"),
        pytest.param(189, 10, 0.05, ["blocking"], id="above the limit"),
        pytest.param(24, 1, 0.0, ["blocking"], id="none is allowed"),
        pytest.param(24, 0, 0.0, [], id="none is allowed and there is none"),
        pytest.param(71, 29, 0.29, ["warning"], id="at a limit that is no binary fraction"),
        pytest.param(93, 7, 0.07, ["warning"], id="at 0.07"),
    ],
)
def test_the_share_of_unusable_pictures_may_reach_the_limit_but_not_exceed_it(
    settings: Params, usable: int, unusable_files: int, limit: float, severities: list[str]
) -> None:
    rows = images("a", usable) + damaged(unusable_files)
    findings = find("usable", rows, settings, max_unusable_fraction=limit)
    assert [finding.severity for finding in findings] == severities


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(AB, [], id="all can be used"),
        pytest.param(
            [*AB, *damaged(2), image("a/tiny.jpg", width=3)],
            [
                (
                    "blocking",
                    (
                        "3 of 27 pictures cannot be used, the share may be at most 0.05: damaged (2), such as "
                        "a/cut0.jpg: cut; too small (1), such as a/tiny.jpg: a side is shorter than 4 pixels"
                    ),
                )
            ],
            id="too many cannot be used",
        ),
        pytest.param(
            images("a", 90) + damaged(1),
            [("warning", "1 of 91 pictures cannot be used: damaged (1), such as a/cut0.jpg: cut")],
            id="few cannot be used",
        ),
        pytest.param(
            AB
            + [unusable(f"a/{n}.XML", QuarantineKind.OTHER_FILE, "no image") for n in range(78)]
            + [unusable(f"a/{n}.txt", QuarantineKind.OTHER_FILE, "no image") for n in range(2)]
            + [unusable("a/Icon\r", QuarantineKind.OTHER_FILE, "no image")],
            [("note", "81 other files ignored: .xml (78), .txt (2), no suffix (1)")],
            id="files that are no pictures",
        ),
        pytest.param(
            [
                *AB,
                unusable("x/1.jpg", QuarantineKind.NOT_LISTED, "not listed in labels.csv"),
                unusable("unlabeled/1.jpg", QuarantineKind.UNLABELLED, "has no class"),
                unusable("a/drop.jpg", QuarantineKind.DROPPED, "dropped by a correction"),
                unusable("a/pipe", QuarantineKind.SPECIAL_FILE, "a named pipe, not a file with content"),
            ],
            [
                ("note", "1 file left out (not listed): x/1.jpg"),
                ("note", "1 file left out (unlabelled): unlabeled/1.jpg"),
                ("note", "1 file left out (dropped): a/drop.jpg"),
                ("note", "1 file left out (special file): a/pipe"),
            ],
            id="left out on purpose",
        ),
    ],
)
def test_files_that_cannot_be_used_are_counted_by_kind(
    settings: Params, rows: list[Row], expected: list[tuple[str, str]]
) -> None:
    assert sentences(find("usable", rows, settings)) == expected


@pytest.mark.parametrize(
    ("rows", "expected", "files"),
    [
        pytest.param(AB, [], [], id="none"),
        pytest.param(
            [*AB, *(image(f"{label}/same.jpg", sha256="s") for label in "ba")],
            [
                (
                    "warning",
                    (
                        "2 files have the same content as a file of another class, such as a/same.jpg and b/same.jpg; "
                        "all are set aside"
                    ),
                )
            ],
            [["a/same.jpg", "b/same.jpg"]],
            id="in two classes",
        ),
        pytest.param(
            [image(f"a/{n}.jpg", sha256="s") for n in range(3)],
            [("note", "2 copies of other images are set aside, such as a/1.jpg and a/2.jpg")],
            [["a/1.jpg", "a/2.jpg"]],
            id="in one class",
        ),
        pytest.param(
            [image(f"a/{n}.jpg", sha256="s") for n in range(2)],
            [("note", "1 copy of another image is set aside: a/1.jpg")],
            [["a/1.jpg"]],
            id="one copy",
        ),
        pytest.param(
            [
                image(f"{path}.jpg", sha256=sha)
                for path, sha in {"a/1": "s", "a/2": "s", "b/1": "s", "a/0": "t", "c/0": "t"}.items()
            ],
            [
                (
                    "warning",
                    (
                        "5 files have the same content as a file of another class, such as a/0.jpg and c/0.jpg; "
                        "all are set aside"
                    ),
                )
            ],
            [["a/0.jpg", "c/0.jpg", "a/1.jpg", "a/2.jpg", "b/1.jpg"]],
            id="two contents, beside each other",
        ),
    ],
)
def test_the_same_bytes_are_reported_across_classes_and_noted_within_one(
    settings: Params, rows: list[Row], expected: list[tuple[str, str]], files: list[list[str]]
) -> None:
    findings = find("duplicates", rows, settings)
    assert sentences(findings) == expected
    assert [paths(finding) for finding in findings] == files
