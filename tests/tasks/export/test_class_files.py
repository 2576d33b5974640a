import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tasks.export.class_files import escape_line, write_class_files


@given(st.text())
def test_a_line_of_labels_is_one_line_and_stands_for_one_name(name: str) -> None:
    line = escape_line(name)
    assert len(line.splitlines()) <= 1
    # Printable characters stand as they are, so only the escapes are decoded.
    assert line.encode("raw_unicode_escape").decode("unicode_escape") == name


def test_files_keep_the_order_and_the_characters_of_the_names(tmp_path: Path) -> None:
    classes = ["größer", "a\\b", "c\nd\u2028e\t", "<b>", "a,b"]
    write_class_files(tmp_path, classes)
    assert json.loads((tmp_path / "classes.json").read_text(encoding="utf-8")) == classes
    assert (tmp_path / "labels.txt").read_text(encoding="utf-8") == "größer\na\\\\b\nc\\nd\\u2028e\\t\n<b>\na,b\n"
