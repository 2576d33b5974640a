import pytest

from tasks.common.text import count, join, printable, readable


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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1, "image"), "1 image"),
        ((0, "image"), "0 images"),
        ((2000, "image"), "2,000 images"),
        ((1, "class", "classes"), "1 class"),
        ((2, "class", "classes"), "2 classes"),
    ],
    ids=["one", "none", "thousands", "one of an irregular noun", "an irregular noun"],
)
def test_a_number_is_followed_by_its_noun(arguments: tuple[int, str], expected: str) -> None:
    assert count(*arguments) == expected


@pytest.mark.parametrize(
    ("phrases", "expected"),
    [([], ""), (["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")],
    ids=["none", "one", "two", "three"],
)
def test_phrases_are_joined_to_an_enumeration(phrases: list[str], expected: str) -> None:
    assert join(phrases, "or") == expected
