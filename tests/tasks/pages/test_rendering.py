from pathlib import Path

import pytest
from jinja2 import UndefinedError
from selenium.webdriver import Chrome

from tasks.pages.rendering import clip, render, write_page
from tests.tasks.pages.browsing import visit

SCRIPTED = """{% extends "base.html" %}
{% block title %}before{% endblock %}
{% block content %}<p id="name">{{ name }}</p>
<img src="data:," onerror="document.title = 'from an attribute'">{% endblock %}
{% block script %}document.body.dataset.name = {{ name | tojson }};{% endblock %}
"""


def render_text(folder: Path, template: str, **context: object) -> str:
    (folder / "page.html").write_text(template)
    return render(folder / "page.html", **context)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("<b>&'\"", "&lt;b&gt;&amp;&#39;&#34;", id="markup"),
        pytest.param("a\nb\rc\td", "a\\nb\\rc\\td", id="line ends"),
        pytest.param("cat\u202egpj.exe", "cat\\u202egpj.exe", id="direction of writing"),
        pytest.param("\udcff.png", "\\udcff.png", id="a byte that is no character"),
        pytest.param("straße 猫 😀", "straße 猫 😀", id="letters of any language"),
    ],
)
def test_text_is_escaped_and_its_invisible_characters_are_shown(tmp_path: Path, text: str, shown: str) -> None:
    assert render_text(tmp_path, "<p>{{ text }}</p>", text=text) == f"<p>{shown}</p>"


def test_a_name_that_the_context_lacks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="'verdict' is undefined"):
        render_text(tmp_path, "{{ verdict }}")


@pytest.mark.parametrize(
    ("text", "clipped"),
    [
        pytest.param("abcdefgh", "abcdefgh", id="short enough"),
        pytest.param("abcdefghi", "abc…fghi", id="too long"),
        pytest.param("\n\n\n\n\n", "\\n\\…\\n\\n", id="measured as it is shown"),
    ],
)
def test_a_long_text_is_shortened_in_its_middle(text: str, clipped: str) -> None:
    assert clip(text, 8) == clipped


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 files"), (1, "1 file"), (1234, "1,234 files")], ids=["none", "one", "many"]
)
def test_a_number_agrees_with_its_noun(tmp_path: Path, count: int, words: str) -> None:
    template = '{% from "components.html" import number_of %}{{ number_of(count, "file") }}'
    assert render_text(tmp_path, template, count=count) == words


def test_a_page_has_the_bytes_of_its_text(tmp_path: Path) -> None:
    write_page(tmp_path / "new" / "page.html", "a\nü\n")
    assert (tmp_path / "new" / "page.html").read_bytes() == b"a\n\xc3\xbc\n"


def test_a_page_runs_its_own_script_and_no_other(tmp_path: Path, browser: Chrome) -> None:
    name = "</script><script>document.title = 'from a name'</script>"
    page = tmp_path / "scripted.html"
    write_page(page, render_text(tmp_path, SCRIPTED, name=name))
    messages = visit(browser, page).messages
    assert browser.title == "before"
    assert browser.execute_script("return document.body.dataset.name") == name
    assert browser.execute_script("return document.getElementById('name').textContent") == name
    assert len(messages) == 1
    assert "violates the following Content Security Policy directive" in messages[0]
