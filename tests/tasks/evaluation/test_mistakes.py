import re
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from tasks.evaluation import test_set
from tasks.evaluation.confusion import measure_confusion
from tasks.evaluation.mistakes import MAX_MISTAKES, MAX_RIGHT, choose_examples
from tasks.evaluation.occlusion import GRID, Explanation
from tasks.evaluation.report import matrix
from tasks.evaluation.report.mistakes import MAX_LINES, MAX_PAIRS, Mistakes, describe_mistakes
from tasks.evaluation.report.page import TEMPLATE
from tasks.pages import rendering
from tasks.pages.gallery import SIDE, Gallery
from tests.tasks.evaluation.examples import make_test_set
from tests.tasks.pages.browsing import NARROW, scrolls_sideways, visit

HOSTILE = '</script><b title="x">\u202e'
PAGE = """{% extends "base.html" %}
{% block style %}{% include "report.css" %}{% include "mistakes.css" %}{% endblock %}
{% block content %}{% include "mistakes.html" %}{% endblock %}
{% block script %}{% include "mistakes.js" %}{% endblock %}
"""


def describe(test: test_set.TestSet, folder: Path, pictures: int = 3000) -> Mistakes:
    examples = choose_examples(test, None)
    drops = np.zeros((GRID, GRID), np.float32)
    drops[2, 3] = 0.5
    explanations = {examples[0].image: Explanation(np.zeros((32, 32, 3), np.uint8), drops)}
    return describe_mistakes(test, measure_confusion(test), examples, explanations, folder, Gallery(folder, pictures))


def confused(classes: int, images: int) -> test_set.TestSet:
    """Return a test set in which the last image of each class is taken for the next class."""
    names = [f"class {number}" for number in range(classes)]
    actual = [name for name in names for _ in range(images)]
    predicted = [*actual]
    for number in range(classes):
        predicted[(number + 1) * images - 1] = names[(number + 1) % classes]
    return make_test_set(actual, predicted, names)


def test_the_most_confident_mistakes_are_examples() -> None:
    test = confused(40, 2)
    test.probabilities[5, test.predicted[5]] = 0.95
    test.probabilities[5, 7] = 0.04
    examples = choose_examples(test, None)
    assert len(examples) == MAX_MISTAKES
    assert [example.image for example in examples[:3]] == [5, 1, 3]
    assert (examples[0].runner_up, examples[0].is_known, examples[0].has_doubtful_label) == (7, None, False)


def test_without_mistakes_the_least_confident_predictions_are_examples() -> None:
    test = make_test_set(["a", "b"] * 10, ["a", "b"] * 10, ["a", "b"])
    test.probabilities[7] = [0.4, 0.6]
    examples = choose_examples(test, None)
    assert [example.image for example in examples] == [7, 0, 1, 2, 3, 4]
    assert len(examples) == MAX_RIGHT


def test_a_single_class_has_no_runner_up() -> None:
    assert choose_examples(make_test_set(["a"], ["a"], ["a"]), 0.5)[0].runner_up is None


@pytest.mark.parametrize(
    ("wrong", "known", "known_from", "sure", "doubtful"),
    [
        pytest.param(1, 0.9, 0.5, 0.96, True, id="known, sure, mostly right"),
        pytest.param(1, 0.4, 0.5, 0.96, False, id="unlike the training images"),
        pytest.param(1, 0.9, None, 0.96, False, id="no threshold"),
        pytest.param(1, 0.9, 0.5, 0.94, False, id="not sure"),
        pytest.param(2, 0.9, 0.5, 0.96, False, id="often wrong where it is sure"),
    ],
)
def test_a_label_is_doubtful_only_if_a_reliable_model_contradicts_it(
    wrong: int, known: float, known_from: float | None, sure: float, *, doubtful: bool
) -> None:
    test = make_test_set(["a"] * 20, ["b"] * wrong + ["a"] * (20 - wrong), ["a", "b"])
    test.probabilities[:] = [sure, 1 - sure]
    test.probabilities[:wrong] = [1 - sure, sure]
    examples = choose_examples(test._replace(known=np.full(20, known, np.float32)), known_from)
    assert examples[0].has_doubtful_label is doubtful


def test_the_label_of_a_class_without_training_images_is_not_doubtful() -> None:
    test = make_test_set(["new"] + ["a"] * 19, ["a"] * 20, ["a", "new"])
    test.probabilities[:] = [1, 0]
    examples = choose_examples(test._replace(known=np.ones(20, np.float32)), 0.5)
    assert not examples[0].has_doubtful_label


@pytest.mark.parametrize(
    ("actual", "predicted", "headline"),
    [
        pytest.param("a", "a", "No mistakes: the only test image is recognised.", id="one, right"),
        pytest.param("aab", "aab", "No mistakes: all 3 test images are recognised.", id="all right"),
        pytest.param("a", "b", "1 of 1 test image is taken for another class.", id="one, wrong"),
        pytest.param("aab", "bab", "1 of 3 test images is taken for another class.", id="one mistake"),
        pytest.param("ab", "ba", "2 of 2 test images are taken for another class.", id="no pair is more frequent"),
        pytest.param(
            "aabb", "bbab", "3 of 4 test images are taken for another class, most often “a” for “b”: 2 of 2.", id="pair"
        ),
    ],
)
def test_the_headline_counts_the_mistakes(tmp_path: Path, actual: str, predicted: str, headline: str) -> None:
    assert describe(make_test_set([*actual], [*predicted], ["a", "b"]), tmp_path).headline == headline


def test_few_classes_have_a_table_of_those_that_occur(tmp_path: Path) -> None:
    table = describe(make_test_set(["a", "a", "c"], ["a", "c", "c"], ["a", "b", "c"]), tmp_path).matrix
    assert table.names == ["a", "c"]
    assert [[cell.images for cell in row] for row in table.rows] == [[1, 1], [0, 1]]
    assert [[cell.share for cell in row] for row in table.rows] == [[0.5, 0.5], [0, 1]]
    assert [cell[:3] for cell in table.cells] == [[0, 1, 1], [0, 0, 1], [1, 1, 1]]
    assert table.cells[0][3] == [["a/1.png", "90.0 %", 0, 0, 0]]


def test_many_classes_have_a_drawing_with_a_square_for_each_pair(tmp_path: Path) -> None:
    part = describe(confused(60, 4), tmp_path)
    assert part.matrix.rows == []
    squares = dict.fromkeys((False, True), 0)
    for level in part.matrix.levels:
        squares[level.is_right] += len(re.findall("M", level.path))
    assert squares == {False: 60, True: 60}
    assert (len(part.pairs), len(part.lines), part.more_pairs) == (MAX_PAIRS, MAX_LINES, 60 - MAX_PAIRS - MAX_LINES)
    assert (len(part.examples), part.more_examples) == (MAX_MISTAKES, 60 - MAX_MISTAKES)


def test_all_cells_have_an_image_before_mistakes_and_then_right_predictions_have_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "MAX_IMAGES", 6)
    monkeypatch.setattr(matrix, "MAX_PICTURES", 4)
    test = make_test_set([*"aaaabb"] * 2, [*"bbbabb"] * 2, ["a", "b"])
    cells = describe(test, tmp_path, 10).matrix.cells
    assert [(count, len(images)) for *_, count, images in cells] == [(6, 4), (4, 1), (2, 1)]
    assert [[len(image) for image in images] for *_, images in cells] == [[5, 5, 2, 2], [5], [5]]


def test_an_image_that_is_gone_is_shown_without_its_picture_but_with_the_part_that_counted(tmp_path: Path) -> None:
    first, second = describe(make_test_set(["a", "b"], ["b", "a"], ["a", "b"]), tmp_path).examples
    assert (first.picture, second.picture, second.explanation) == (None, None, None)
    assert first.explanation is not None
    assert first.explanation.startswith("data:image/webp;base64,")


def write_page(folder: Path, test: test_set.TestSet) -> Path:
    """Write a page with this part alone."""
    copytree(TEMPLATE.parent, folder / "templates", dirs_exist_ok=True)
    (folder / "templates" / "page.html").write_text(PAGE)
    text = rendering.render(folder / "templates" / "page.html", mistakes=describe(test, folder), side=SIDE)
    rendering.write_page(folder / "page.html", text)
    return folder / "page.html"


def pictures(browser: Chrome) -> list[list[str]]:
    """Return the lines of each picture of the chosen cell."""
    return [item.text.splitlines() for item in browser.find_elements(By.CSS_SELECTOR, "#mistakes .cell li")]


def heading(browser: Chrome) -> str:
    return browser.find_element(By.CSS_SELECTOR, "#mistakes .cell h3").text


def test_a_click_on_a_cell_shows_its_images_and_arrow_keys_go_to_the_next_cell(tmp_path: Path, browser: Chrome) -> None:
    names = [HOSTILE, "b"]
    test = make_test_set([HOSTILE, "b", "b", HOSTILE], [HOSTILE, HOSTILE, HOSTILE, "b"], names)
    page = write_page(tmp_path, test._replace(paths=["0.png", f"{HOSTILE}.png", "2.png", "3.png"]))
    for width in (1200, NARROW):
        assert visit(browser, page, width) == ([], [page.as_uri()], [])
        assert not scrolls_sideways(browser)
    button = browser.find_element(By.CSS_SELECTOR, '[data-cell="1-0"] button')
    button.click()
    shown = rendering.clip(HOSTILE)
    assert heading(browser) == f"b taken for {shown}: 2 images"
    assert pictures(browser) == [["90.0 %", f"{shown}.png"], ["90.0 %", "2.png"]]
    button.send_keys(Keys.ARROW_UP)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert heading(browser) == f"{shown} recognised: 1 image"
    assert pictures(browser) == [["90.0 %", "0.png"]]


def test_a_drawing_of_many_classes_is_chosen_from_by_keys(tmp_path: Path, browser: Chrome) -> None:
    page = write_page(tmp_path, confused(31, 2))
    assert visit(browser, page, NARROW) == ([], [page.as_uri()], [])
    assert not scrolls_sideways(browser)
    drawing = browser.find_element(By.CSS_SELECTOR, "svg.matrix")
    drawing.send_keys(Keys.ENTER)
    assert heading(browser) == "class 0 taken for class 1: 1 image"
    assert pictures(browser) == [["90.0 %", "class 0/1.png"]]
    drawing.click()
    assert len(pictures(browser)) == 1
