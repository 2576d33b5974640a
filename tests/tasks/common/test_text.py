import pytest

from tasks.common.text import printable, readable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("größe 🐈.jpg", "größe 🐈.jpg"),
        ("two\nlines\r\t.jpg", "two\\nlines\\r\\t.jpg"),
        ("caf\udce9.jpg", "caf\\udce9.jpg"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
    ids=["printable", "line breaks", "not UTF-8", "terminal colour", "writing direction"],
)
def test_text_is_printed_on_one_line(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert printable(text).isprintable()


def test_readable_text_keeps_all_but_the_bytes_that_are_not_utf8() -> None:
    assert readable("two\nlines caf\udce9") == "two\nlines caf\\udce9"
