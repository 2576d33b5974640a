import os
import re
from itertools import takewhile
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.errors import GraftError, QuarantineKind
from tasks.common.params import Columns
from tasks.dataset.listing.folder import Entry
from tasks.dataset.listing.table import list_table
from tests.tasks.conftest import nobody

COLUMNS = Columns(path="path", label="label", split="split", group="group")
IMAGES = ("img/1.png", "img/2.png")
LISTED = "path,label\nimg/1.png,cat\nimg/2.png,dog\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a folder with two files, whose content the table does not need."""
    root = tmp_path / "photos"
    (root / "img").mkdir(parents=True)
    for path in IMAGES:
        (root / path).touch()
    return root


def write_table(root: Path, content: str | bytes, table: str = "labels.csv") -> str:
    (root / table).parent.mkdir(parents=True, exist_ok=True)
    (root / table).write_bytes(content if isinstance(content, bytes) else content.encode())
    return table


def list_csv(root: Path, content: str | bytes) -> list[Entry]:
    return list_table(root, write_table(root, content), COLUMNS)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(LISTED, id="commas"),
        pytest.param("\ufeff" + LISTED.replace("\n", "\r\n"), id="byte order mark and Windows line ends"),
        pytest.param(LISTED.replace(",", ";"), id="semicolons"),
        pytest.param(LISTED.replace(",", "\t"), id="tabs"),
        pytest.param(LISTED.replace(",", ", "), id="spaces after the commas"),
        pytest.param('label,"path",note\ncat,"img/1.png",a\n\n,,\ndog,img/2.png,\n', id="quotes, order, empty lines"),
        pytest.param(LISTED.replace("img/1", "./img/x/../1"), id="paths with dots"),
        pytest.param(LISTED.replace("/", "\\"), id="backslashes"),
        pytest.param(LISTED + "img/1.png,cat\n", id="a line twice"),
    ],
)
def test_a_csv_file_gives_each_image_its_label(root: Path, content: str) -> None:
    assert [entry[:2] for entry in list_csv(root, content)] == [("img/1.png", "cat"), ("img/2.png", "dog")]


@pytest.mark.parametrize("label", ["007", "=cmd()", 'a "b"', "a\nb", "ä", " cat", "true", "1e5", "NA"])
def test_a_label_stays_the_text_that_it_is(root: Path, label: str) -> None:
    quoted = '"' + label.replace('"', '""') + '"'
    assert list_csv(root, f"path,label\nimg/1.png,{quoted}\nimg/2.png,dog\n")[0] == Entry("img/1.png", label)


def test_splits_in_upper_and_lower_case_and_groups_are_read(root: Path) -> None:
    rows: dict[str, tuple[str, str, str | None, str | None]] = {
        "1": ("Train", "p1", "train", "p1"),
        "2": (" VALID ", "", "val", None),
        "3": ("test", " p 1 ", "test", "p 1"),
        "4": ("", "007", None, "007"),
    }
    for name in rows:
        (root / f"{name}.png").touch()
    lines = [f"{name}.png,{int(name) % 2},{cells[0]},{cells[1]}" for name, cells in rows.items()]
    entries = list_csv(root, "path,label,split,group\n" + "\n".join(lines))
    assert [(entry.split, entry.group) for entry in entries[:4]] == [cells[2:] for cells in rows.values()]


def test_columns_have_the_names_of_the_params_and_paths_are_relative_to_the_table(root: Path) -> None:
    table = write_table(root, "file,class,fold\n../img/1.png,cat,train\n../img/2.png,dog,test\n", "meta/all.csv")
    columns = Columns(path="file", label="class", split="fold", group="group")
    expected = [Entry("img/1.png", "cat", split="train"), Entry("img/2.png", "dog", split="test")]
    assert list_table(root, table, columns) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(pa.array(["007", "dog"]), ["007", "dog"], id="text"),
        pytest.param(pa.array(["a", "b"]).dictionary_encode(), ["a", "b"], id="categories"),
        pytest.param(pa.array([7, -1], pa.int8()), ["7", "-1"], id="whole numbers"),
        pytest.param(pa.array([True, False]), ["true", "false"], id="booleans"),
    ],
)
def test_a_parquet_file_gives_each_image_its_label_as_text(root: Path, labels: Any, expected: list[str]) -> None:
    pq.write_table(
        pa.table({"label": labels, "x": [1.5, 2.5], "path": list(IMAGES), "split": ["val", None]}), root / "t"
    )
    assert list_table(root, "t", COLUMNS) == [
        Entry("img/1.png", expected[0], split="val", attributes={"x": "1.5"}),
        Entry("img/2.png", expected[1], attributes={"x": "2.5"}),
    ]


def attributes_of(entries: list[Entry]) -> list[Any]:
    return [entry.attributes for entry in entries]


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        pytest.param("camera,site", ["A,007", " x ,"], [{"camera": "A", "site": "007"}, {"camera": "x"}], id="text"),
        pytest.param("camera,", ["a,b", ",b"], [{"camera": "a"}, None], id="a column without a name"),
        pytest.param("x,split", ["1,train", "2,test"], [{"x": "1"}, {"x": "2"}], id="beside a column that is used"),
    ],
)
def test_other_columns_of_a_table_are_attributes_of_its_images(
    root: Path, header: str, cells: list[str], expected: list[Any]
) -> None:
    content = f"path,label,{header}\nimg/1.png,cat,{cells[0]}\nimg/2.png,dog,{cells[1]}\n"
    assert attributes_of(list_csv(root, content)) == expected


def test_an_image_that_is_listed_twice_has_the_attributes_of_its_first_line(root: Path) -> None:
    content = "path,label,x\nimg/1.png,cat,1\nimg/2.png,dog,2\nimg/1.png,cat,3\n"
    assert attributes_of(list_csv(root, content)) == [{"x": "1"}, {"x": "2"}]


def test_what_the_limits_of_attributes_leave_out_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = ["a", "a", *(f"c{number}" for number in range(33))]
    rows = [",".join([path, label, *["x" * 101] * 3, *["y"] * 32]) for path, label in zip(IMAGES, "cd", strict=True)]
    entries = list_csv(root, "\n".join([",".join(["path", "label", *header]), *rows]))
    expected = {"c0": "x" * 99 + "…"} | {f"c{number}": "y" for number in range(1, 32)}
    assert attributes_of(entries) == [expected, expected]
    warning = f"dataset: warning: {root / 'labels.csv'}: "
    assert capsys.readouterr().err.splitlines() == [
        f"{warning}the report leaves out column 'a' (the same name twice)",
        f"{warning}the report leaves out column 'c32' (after the first 32)",
        f"{warning}cells of more than 100 characters in column 'c0' were cut",
    ]


def test_columns_of_parquet_that_are_neither_text_nor_numbers_are_left_out_and_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns: dict[str, Any] = {"path": list(IMAGES), "label": ["a", "b"]}
    columns |= {
        "day": pa.array([0, None], pa.date32()),
        "boxes": [[1], [2]],
        "bytes": [b"1", b"2"],
        "x.y": [True, None],
    }
    pq.write_table(pa.table(columns), root / "t")
    assert attributes_of(list_table(root, "t", COLUMNS))[:2] == [{"day": "1970-01-01", "x.y": "true"}, None]
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(": the report leaves out columns 'boxes' and 'bytes' (neither text nor numbers)")


@pytest.mark.parametrize(
    ("cell", "kind", "reason"),
    [
        pytest.param("img/3.png", "missing", "does not exist", id="missing"),
        pytest.param("img\\3.png", "missing", "does not exist", id="missing with backslashes"),
        pytest.param("img/1.png/x.png", "missing", "does not exist", id="below a file"),
        pytest.param("x" * 300, "unreadable", "cannot be read: File name too long", id="too long"),
        pytest.param("img", "unreadable", "a folder, not a file", id="a folder"),
        pytest.param(".", "unreadable", "a folder, not a file", id="the folder itself"),
        pytest.param("../secret.png", "bad_name", "leads out of the dataset's folder", id="dots"),
        pytest.param("img/../../secret.png", "bad_name", "leads out of the dataset's folder", id="dots inside"),
        pytest.param("..\\secret.png", "bad_name", "leads out of the dataset's folder", id="dots and a backslash"),
        pytest.param(
            "/etc/passwd",
            "bad_name",
            "an absolute path; expected one relative to the folder of the table",
            id="absolute",
        ),
        pytest.param(
            "C:\\me\\1.png",
            "bad_name",
            "an absolute path; expected one relative to the folder of the table",
            id="absolute on Windows",
        ),
        pytest.param(
            "https://x.org/1.png", "bad_name", "an address; download the image and list its path", id="an address"
        ),
        pytest.param("a\0b.png", "bad_name", "has a zero byte in its name", id="a zero byte"),
        pytest.param(
            "outside/secret.png",
            "link",
            "a symbolic link in the path leads out of the dataset's folder",
            id="linked folder",
        ),
        pytest.param(
            "link.png",
            "link",
            "a symbolic link to a file outside the dataset's folder; put a copy of the file in its place",
            id="linked file",
        ),
        pytest.param("pipe", "special_file", "a named pipe, not a file with content", id="pipe"),
        pytest.param(".hidden/pipe", "special_file", "a named pipe, not a file with content", id="hidden pipe"),
    ],
)
def test_a_file_that_cannot_be_used_is_set_aside_with_its_line(root: Path, cell: str, kind: str, reason: str) -> None:
    (root.parent / "secret.png").touch()
    (root / "outside").symlink_to(root.parent)
    (root / "link.png").symlink_to(root.parent / "secret.png")
    (root / ".hidden").mkdir()
    os.mkfifo(root / "pipe")
    os.mkfifo(root / ".hidden" / "pipe")
    entries = list_csv(root, f"{LISTED}{cell},dog\n")
    assert ("dog", kind, f"{reason} (line 4 of labels.csv)") in [entry[1:4] for entry in entries]


@pytest.mark.parametrize("path", [".cache/3.png", "inside/2.png", "umlaut-\u00e4.png"])
def test_a_file_is_found_if_hidden_linked_inside_or_in_another_form_of_its_name(root: Path, path: str) -> None:
    (root / ".cache").mkdir()
    (root / ".cache" / "3.png").touch()
    (root / "umlaut-a\u0308.png").touch()
    (root / "inside").symlink_to(root / "img")
    entry = next(entry for entry in list_csv(root, f"{LISTED}{path},bird\n") if entry.label == "bird")
    assert (entry.kind, (root / entry.path).is_file()) == (None, True)


def test_an_image_without_a_label_and_files_that_are_not_listed_are_set_aside(root: Path) -> None:
    (root / "img" / "3.png").touch()
    (root / "notes.txt").touch()
    (root / ".hidden").touch()
    assert list_csv(root, LISTED + "img/3.png, \n")[2:] == [
        Entry("img/3.png", "", QuarantineKind.UNLABELLED, "has no label (line 4 of labels.csv)"),
        Entry("notes.txt", "", QuarantineKind.NOT_LISTED, "not listed in labels.csv"),
    ]


PATH = st.text(alphabet=st.sampled_from(list("ab./\\:~\0ä \U0001f600%")), min_size=1, max_size=12).filter(str.strip)


@given(st.lists(PATH, max_size=12))
def test_no_path_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "any" / "photos"
    root.mkdir(parents=True, exist_ok=True)
    for name in ("a", "b", "c", "d", "../a"):
        (root / name).touch()
    labels = ["cat", "dog", *["dog"] * len(paths)]
    pq.write_table(pa.table({"path": ["c", "d", *paths], "label": labels}), root / "table.parquet")
    entries = list_table(root, "table.parquet", COLUMNS)
    assert {entry.path for entry in entries if entry.kind is None} <= {"a", "b", "c", "d"}
    assert len(entries) <= len(paths) + 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "has no column 'path'; found: nothing. Set dataset.columns.path in params.yaml", id="empty"),
        pytest.param(
            "path,labels\n",
            "has no column 'label'; found: path, labels. Set dataset.columns.label in params.yaml, or correct the "
            "table. Did you mean 'labels'?",
            id="no column of labels",
        ),
        pytest.param(
            "path,label,Split\n",
            "has no column 'split'; found: path, label, Split. Set dataset.columns.split in params.yaml, or correct "
            "the table. Did you mean 'Split'?",
            id="a column of splits in another case",
        ),
        pytest.param("path,label,label\n", "has 2 columns 'label'; found: path, label, label.", id="a column twice"),
        pytest.param(
            "path,label\n", "lists no images. Expected a line for each image, with its path and label.", id="no line"
        ),
        pytest.param(
            "path,label\n1.png,cat\n2.png,dog\n",
            ": none of the 2 listed files exists, such as '1.png' in line 2. Paths are relative to the folder of the "
            "table.",
            id="no file exists",
        ),
        pytest.param(
            "path,label\nimg/1.png,cat\nimg/2.png,cat\n",
            "has one class, 'cat'. Expected two classes or more.",
            id="one class",
        ),
        pytest.param("path,label\nimg/1.png,\n", "has no labels. Expected two classes or more.", id="no labels"),
        pytest.param(LISTED + ",cat\n", ", line 4: path is empty; expected that of an image.", id="no path"),
        pytest.param(LISTED + "a.png,cat,x\n", ", line 4: 3 cells; expected 2, as in line 1.", id="too many cells"),
        pytest.param(LISTED + "a.png\n", ", line 4: 1 cell; expected 2, as in line 1.", id="too few cells"),
        pytest.param(
            LISTED + "\n./img/1.png,dog\n",
            ": 'img/1.png' has the label 'cat' in line 2 and 'dog' in line 5. Expected one; correct the table.",
            id="two labels",
        ),
        pytest.param(
            "path,label,split\nimg/1.png,cat,train\nimg/2.png,dog,\nimg/1.png,cat,\n",
            ": 'img/1.png' has the split 'train' in line 2 and '' in line 4. Expected one; correct the table.",
            id="two splits",
        ),
        pytest.param(
            "path,label,split\nimg/1.png,cat,tset\n",
            ", line 2: split is 'tset'; expected train, training, val, valid, validation, test, testing or an empty "
            "cell. Did you mean 'test'?",
            id="an unknown split",
        ),
        pytest.param(
            LISTED + '"a,b\n',
            "is not a table: unexpected end of data in the row that begins in line 4. Save it",
            id="an open quotation mark",
        ),
        pytest.param(
            LISTED + "a" * 200_000 + ",b\n",
            "is not a table: field larger than field limit (131072) in the row that begins in line 4.",
            id="a long cell",
        ),
        pytest.param(
            b"\x89PNG\r\n\x1a\n", "is not a table: 'utf-8' codec can't decode byte 0x89 in position 0", id="an image"
        ),
        pytest.param(
            "path,label\n".encode("utf-16"), "is not a table: 'utf-8' codec can't decode byte 0xff", id="UTF-16"
        ),
        pytest.param(b"PAR1" + bytes(50), "is not a table: Parquet magic bytes not found in footer.", id="cut Parquet"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(root: Path, content: str | bytes, message: str) -> None:
    file = root / "labels.csv"
    with pytest.raises(GraftError, match=f"^{re.escape(str(file))} ?{re.escape(message)}") as caught:
        list_csv(root, content)
    assert "\n" not in str(caught.value)


def test_fractions_are_no_labels(root: Path) -> None:
    pq.write_table(pa.table({"path": list(IMAGES), "label": [1.0, 2.0]}), root / "t.parquet")
    message = "column 'label' holds double; expected text, whole numbers or booleans."
    with pytest.raises(GraftError, match=re.escape(message)):
        list_table(root, "t.parquet", COLUMNS)


def test_a_column_that_the_params_name_must_be_there(root: Path) -> None:
    columns = Columns(path="path", label="label", split="fold", group="group")
    with pytest.raises(
        GraftError, match=r"labels.csv has no column 'fold'; found: path, label\. Set dataset\.columns\.s"
    ):
        list_table(root, write_table(root, LISTED), columns)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        pytest.param("label.csv", "does not exist. {expected} Did you mean 'labels.csv'?", id="misspelt"),
        pytest.param("x", "does not exist. {expected} Tables there: labels.csv.", id="missing"),
        pytest.param("../labels.csv", "leads out of the dataset's folder. {expected}", id="outside"),
        pytest.param("img", "a folder, not a file. {expected}", id="a folder"),
    ],
)
def test_a_table_that_is_not_there_is_named_with_the_tables_that_are(root: Path, table: str, message: str) -> None:
    write_table(root, LISTED)
    expected = f"Expected a file below {root}; set dataset.table in params.yaml."
    with pytest.raises(GraftError, match=re.escape(f"The table '{table}': " + message.format(expected=expected))):
        list_table(root, table, COLUMNS)


def test_a_table_that_may_not_be_read_is_named(root: Path) -> None:
    table = write_table(root, LISTED)
    # pytest's own folders are its user's alone.
    for folder in takewhile(lambda folder: folder != Path(gettempdir()), root.parents):
        folder.chmod(0o755)
    (root / table).chmod(0)
    with nobody(), pytest.raises(GraftError, match=r"labels\.csv cannot be read: Permission denied\.$"):
        list_table(root, table, COLUMNS)
