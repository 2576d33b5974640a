import csv
from pathlib import Path

import pytest

from tasks.common.errors import GraftError
from tasks.review.apply import apply_decisions
from tasks.review.table import COLUMNS
from tasks.tables import corrections
from tasks.tables.accepted import Accepted
from tasks.tables.corrections import Action, Correction
from tests.tasks.conftest import write_accepted

DIGESTS = {name: f"{number:064x}" for number, name in enumerate(("bee/1.png", "bee/2.png", "cat/1.png", "cat/2.png"))}
IMAGES = [Accepted(path, path.partition("/")[0], "train", digest) for path, digest in DIGESTS.items()]


def edit(folder: Path, *lines: tuple[str, str, str, str]) -> Path:
    """Write a table with these actions, new labels, paths and labels."""
    file = folder / "review.csv"
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, COLUMNS, restval="")
        writer.writeheader()
        for action, new_label, path, label in lines:
            cells = {"action": action, "new label": new_label, "path": path, "label": label}
            writer.writerow(cells | {"sha256": DIGESTS.get(path, "f" * 64)})
    return file


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Write the accepted images and an empty table of corrections; return the latter."""
    write_accepted(tmp_path / "accepted.parquet", IMAGES)
    corrections.write(tmp_path / "corrections.csv", [])
    return tmp_path / "corrections.csv"


def apply(table: Path, recorded: Path) -> dict[str, Correction]:
    apply_decisions(table, recorded, recorded.with_name("accepted.parquet"))
    return corrections.read(recorded)


def test_decisions_are_recorded_in_order_and_counted(
    tmp_path: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = edit(
        tmp_path,
        ("relabel", "bee", "cat/2.png", "cat"),
        ("", "bee", "cat/1.png", "cat"),
        ("drop", "", "bee/2.png", "bee"),
        ("keep", "", "bee/1.png", "bee"),
    )
    apply(table, recorded)
    assert recorded.read_text().splitlines() == [
        "sha256,action,label,path",
        f"{DIGESTS['bee/1.png']},keep,bee,bee/1.png",
        f"{DIGESTS['bee/2.png']},drop,bee,bee/2.png",
        f"{DIGESTS['cat/2.png']},relabel,bee,cat/2.png",
    ]
    output = capsys.readouterr()
    assert output.out == (
        f"1 relabelled, 1 dropped, 1 kept; {recorded} has 3 corrections. Run `graft train`; commit {recorded}.\n"
    )
    assert output.err == ""


def test_a_later_decision_replaces_an_earlier_one_and_the_others_stay(tmp_path: Path, recorded: Path) -> None:
    apply(edit(tmp_path, ("drop", "", "bee/1.png", "bee"), ("keep", "", "cat/1.png", "cat")), recorded)
    merged = apply(edit(tmp_path, ("keep", "", "bee/1.png", "bee")), recorded)
    assert {decision.path: decision.action for decision in merged.values()} == {
        "bee/1.png": Action.KEEP,
        "cat/1.png": Action.KEEP,
    }


def test_the_same_decision_twice_in_a_table_is_one(tmp_path: Path, recorded: Path) -> None:
    line = ("relabel", "bee", "cat/1.png", "cat")
    digest = DIGESTS["cat/1.png"]
    expected = {digest: Correction(digest, Action.RELABEL, "bee", "cat/1.png")}
    assert apply(edit(tmp_path, line, line), recorded) == expected


def test_a_decision_that_is_already_recorded_may_come_again_after_its_image_changed(
    tmp_path: Path, recorded: Path
) -> None:
    table = edit(tmp_path, ("drop", "", "bee/1.png", "bee"), ("relabel", "bee", "cat/1.png", "cat"))
    before = apply(table, recorded)
    corrected = IMAGES[2]._replace(label="bee")
    write_accepted(tmp_path / "accepted.parquet", [IMAGES[1], corrected, IMAGES[3]])
    assert apply(table, recorded) == before


def test_keeping_a_corrected_label_keeps_its_correction(tmp_path: Path, recorded: Path) -> None:
    before = apply(edit(tmp_path, ("relabel", "bee", "cat/1.png", "cat")), recorded)
    write_accepted(tmp_path / "accepted.parquet", [IMAGES[2]._replace(label="bee")])
    assert apply(edit(tmp_path, ("keep", "", "cat/1.png", "bee")), recorded) == before


def test_a_new_class_is_a_warning_with_the_nearest_name(
    tmp_path: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(edit(tmp_path, ("relabel", "beee", "cat/1.png", "cat")), recorded)
    warning = "graft data apply: warning: there is no class 'beee' yet. Did you mean 'bee'?\n"
    assert capsys.readouterr().err == warning


def test_a_table_without_decisions_changes_nothing(
    tmp_path: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = edit(tmp_path, ("", "bee", "cat/1.png", "cat"))
    assert apply(table, recorded) == {}
    assert capsys.readouterr().out == (
        f"{table} has no decision: the column `action` is empty. {recorded} is unchanged.\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param(
            ("delete", "", "bee/1.png", "bee"),
            "action is 'delete'; expected keep, relabel, drop or nothing.",
            id="unknown action",
        ),
        pytest.param(
            ("relabel", " ", "bee/1.png", "bee"), "new label is empty; expected the new class.", id="no new label"
        ),
        pytest.param(
            ("relabel", "bee", "bee/1.png", "bee"),
            "new label is 'bee', which the image has already; expected another, or keep.",
            id="same label",
        ),
        pytest.param(
            ("drop", "", "dog/1\n.png", "dog"),
            "dog/1\\n.png (sha256 ffffffffffff...) is not among the accepted images. Run `graft data review`.",
            id="unknown image",
        ),
        pytest.param(
            ("keep", "", "bee/1.png", "cat"),
            "the label of bee/1.png is 'bee', but 'cat' was reviewed. Run `graft data review`.",
            id="label changed since",
        ),
        pytest.param(
            ("drop", "", "cat/1.png", "cat"),
            "cat/1.png has another decision in line 2; remove one of the two.",
            id="two decisions about one image",
        ),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_written(
    tmp_path: Path, recorded: Path, line: tuple[str, str, str, str], message: str
) -> None:
    table = edit(tmp_path, ("keep", "", "cat/1.png", "cat"), line)
    before = recorded.read_bytes()
    with pytest.raises(GraftError) as error:
        apply(table, recorded)
    number = 3 + line[2].count("\n")
    assert str(error.value) == f"{table}, line {number}: {message}"
    assert recorded.read_bytes() == before
