from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.errors import GraftError
from tasks.review import table
from tasks.review.table import FORMULA_STARTS, FindingKind, Line, Suspect, guard, unguard

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
HEADER = ",".join(table.COLUMNS)


@given(path=NAMES, label=NAMES, likely=NAMES, start=st.sampled_from(["", "'", *FORMULA_STARTS]))
def test_any_names_come_back_from_the_table_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, path: str, label: str, likely: str, start: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "names.csv"
    path, label, likely = start + path, start + label, start + likely
    table.write(file, [Suspect(path, label, likely, 0.25, 0.5, FindingKind.WRONG_LABEL, "ab" * 32, "n")])
    (line,) = table.read(file)
    assert line[1:] == ("", likely, path, label, "ab" * 32)


@given(NAMES)
def test_no_guarded_cell_is_a_formula_and_the_guard_can_be_undone(text: str) -> None:
    assert not guard(text).startswith(tuple(FORMULA_STARTS))
    assert unguard(guard(text)) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        pytest.param("'=b", "=b", id="guarded formula"),
        pytest.param("''tis", "'tis", id="guarded apostrophe"),
        pytest.param("'tis", "'tis", id="apostrophe that a person typed"),
        pytest.param("'", "'", id="nothing but an apostrophe"),
        pytest.param("=b", "=b", id="guard that a spreadsheet removed"),
        pytest.param("", "", id="empty"),
    ],
)
def test_only_the_apostrophe_of_a_guard_is_removed(cell: str, text: str) -> None:
    assert unguard(cell) == text


def test_a_table_has_one_line_a_suspect_with_an_empty_action(tmp_path: Path) -> None:
    suspect = Suspect("a/1.png", "a", "=b", 0.0312, 0.91234, FindingKind.WRONG_LABEL, "00", "b/2.png")
    table.write(tmp_path / "review.csv", [suspect])
    assert (tmp_path / "review.csv").read_text().splitlines() == [
        ",".join(f'"{name}"' for name in table.COLUMNS),
        '"","\'=b","a/1.png","a","\'=b","0.0312","0.9123","wrong label","00","b/2.png"',
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_a_spreadsheet_may_choose_the_delimiter_the_case_and_a_byte_order_mark(tmp_path: Path, delimiter: str) -> None:
    lines = [HEADER.replace(",", delimiter), delimiter.join([" Drop ", "", "p", "l", "", "", "", "", " AB ", ""])]
    (tmp_path / "edited.csv").write_text("\r\n".join(lines), encoding="utf-8-sig")
    assert table.read(tmp_path / "edited.csv") == [Line(2, "drop", "", "p", "l", "ab")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b"sha256,action,label,path\n",
            "lacks the column 'new label'; expected the columns action, new label, label, sha256, path.",
            id="another table",
        ),
        pytest.param(
            b"", "lacks the column 'action'; expected the columns action, new label, label, sha256, path.", id="empty"
        ),
        pytest.param(
            b"\xff\xfea",
            "is not a CSV file in UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte. "
            "Save it as CSV (UTF-8).",
            id="UTF-16",
        ),
        pytest.param(
            None,
            "cannot be read: No such file or directory. Give the CSV file that `graft data review` wrote.",
            id="missing",
        ),
    ],
)
def test_a_file_that_is_no_review_table_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "edited.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(GraftError) as error:
        table.read(file)
    assert str(error.value) == f"{file} {message}"
