import re
from pathlib import Path

import pytest

from tasks.common.errors import GraftError
from tasks.tables import corrections
from tasks.tables.corrections import Action, Correction
from tests.tasks.conftest import nobody

FIRST, SECOND = "ab" * 32, "01" * 32
HEADER = "sha256,action,label,path\n"


def test_corrections_are_read_as_they_were_written_and_lie_in_the_order_of_the_paths(tmp_path: Path) -> None:
    written = [
        Correction(FIRST, Action.RELABEL, '=cmd|"x"\nä', "b/1.png"),
        Correction(SECOND, Action.DROP, "a", 'a/"2".png'),
    ]
    corrections.write(tmp_path / "corrections.csv", written)
    read = corrections.read(tmp_path / "corrections.csv")
    assert list(read.values()) == written[::-1]
    assert list(read) == [SECOND, FIRST]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(HEADER, [], id="no corrections"),
        pytest.param("\ufeff" + HEADER + "\r\n", [], id="a byte order mark and an empty line"),
        pytest.param(
            HEADER + f"{FIRST.upper()}, Drop ,a,x\n", [Correction(FIRST, Action.DROP, "a", "x")], id="case and spaces"
        ),
        pytest.param(
            HEADER + f"{FIRST},drop,a,x\n{FIRST},keep,a,x\n",
            [Correction(FIRST, Action.KEEP, "a", "x")],
            id="the last line counts",
        ),
        pytest.param(HEADER + f"{FIRST},drop,,\n", [Correction(FIRST, Action.DROP, "", "")], id="no label and path"),
    ],
)
def test_lines_that_people_and_spreadsheets_write_are_read(
    tmp_path: Path, content: str, expected: list[Correction]
) -> None:
    (tmp_path / "corrections.csv").write_bytes(content.encode())
    assert list(corrections.read(tmp_path / "corrections.csv").values()) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "has no columns; expected sha256, action, label, path.", id="empty"),
        pytest.param(
            b"sha256;action;label;path\n",
            "has the columns sha256;action;label;path; expected sha256, action, label, path.",
            id="other columns",
        ),
        pytest.param(b"\xff\xfe", "is not a CSV file in UTF-8: 'utf-8' codec can't decode byte 0xff", id="not UTF-8"),
        pytest.param(
            f'{HEADER}{FIRST},drop,"a,x\n'.encode(),
            "is not a CSV file in UTF-8: unexpected end of data.",
            id="an open quotation mark",
        ),
        pytest.param(f"{HEADER}{FIRST},drop\n".encode(), ", line 2: 2 cells; expected 4.", id="too few cells"),
        pytest.param(
            f"{HEADER}1.2E+05,drop,a,x\n".encode(),
            ", line 2: sha256 is '1.2e+05'; expected 64 hexadecimal digits.",
            id="a hash that a spreadsheet took for a number",
        ),
        pytest.param(
            f"{HEADER}\n{FIRST},dele\x1bte,a,x\n".encode(),
            ", line 3: action is 'dele\\x1bte'; expected keep, relabel or drop.",
            id="an unknown action",
        ),
        pytest.param(
            f"{HEADER}{FIRST},relabel, ,x\n".encode(),
            ", line 2: label is empty; expected the new class.",
            id="no label",
        ),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "corrections.csv"
    path.write_bytes(content)
    with pytest.raises(GraftError, match=f"^{re.escape(str(path))} ?{re.escape(message)}"):
        corrections.read(path)


def test_a_file_that_is_missing_or_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    with pytest.raises(GraftError, match=r"corrections.csv is missing. Restore it with `git checkout .*sha256,action"):
        corrections.read(path)
    path.touch(mode=0)
    with nobody(), pytest.raises(GraftError, match=r"(corrections.csv cannot be read: Permission denied\.)$"):
        corrections.read(path)
