import html
import shutil
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tasks.comparison.comparison import compare
from tasks.comparison.page import MAX_PICTURES, write_page
from tasks.comparison.run import read_run
from tests.tasks.comparison.runs import write_images, write_run
from tests.tasks.pages.browsing import NARROW, colours, scrolls_sideways, visit

HOSTILE = '=</script><b title="x\'y">\u202e'
PATHS = [f"cat/{number}.png" for number in range(80)] + [f"a{'b' * 90}/<img src=x>.png"]
LABELS = ["cat"] * 80 + [HOSTILE]


def write(folder: Path, images: Path | None, name: str) -> str:
    """Write the page of a comparison in which 70 images were lost and the hostile one was won; return its text."""
    digests = write_images(folder / "images", PATHS)
    before = [*LABELS[:80], "cat"]
    older = write_run(folder / "before", digests, LABELS, before, f"{HOSTILE}: 1\n")
    newer = write_run(folder / "after", digests, LABELS, [HOSTILE] * 70 + LABELS[70:], "key: [1, 2]\n")
    write_page(folder / name, compare(read_run(older, HOSTILE), read_run(newer, "new " * 30), {}), images)
    return (folder / name).read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write(folder, folder / "images", "page.html")
    return folder / "page.html"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, NARROW])
def test_the_page_shows_everything_without_the_internet_at_both_widths(
    page: Path, tmp_path: Path, browser: Chrome, width: int, *, dark: bool
) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    try:
        assert visit(browser, page, width) == ([], [page.as_uri()], [])
        assert not scrolls_sideways(browser)
        assert colours(browser, tmp_path / "page.png") > 20
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_images_that_changed_sides_are_shown_with_both_answers_and_the_others_counted(
    page: Path, browser: Chrome
) -> None:
    visit(browser, page)
    section = browser.find_element(By.ID, "images")
    titles = [heading.text for heading in section.find_elements(By.TAG_NAME, "h3")]
    assert titles == ["Newly wrong · 70", "Newly right · 1"]
    assert len(section.find_elements(By.TAG_NAME, "img")) == MAX_PICTURES + 1
    assert f"and {70 - MAX_PICTURES} images more." in section.text
    assert [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#params tbody th")][1:] == ["key"]


def test_names_from_data_stay_text(page: Path) -> None:
    text = page.read_text()
    assert "<b title" not in text
    assert "<img src=x>" not in text
    assert html.escape("=</script><b title=", quote=False) in text
    assert "\u202e" not in text


def test_equal_runs_give_the_same_bytes_and_a_changed_file_no_picture(page: Path, tmp_path: Path) -> None:
    assert write(tmp_path / "first", tmp_path / "first" / "images", "page.html") == page.read_text()
    images = shutil.copytree(page.parent / "images", tmp_path / "images")
    shutil.copy(images / PATHS[0], images / PATHS[-1])
    assert write(tmp_path / "second", images, "page.html").count("no picture") == 1
