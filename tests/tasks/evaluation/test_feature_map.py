from collections.abc import Sequence
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

from tasks.evaluation.feature_map import (
    MAX_IMAGES,
    MAX_LIKELY_ERRORS,
    MAX_TEST_IMAGES,
    MIN_IMAGES,
    Dot,
    FeatureMap,
    draw_feature_map,
)
from tasks.evaluation.report.feature_map import MAX_MARKED_CLASSES, FeatureMapPart, describe_feature_map
from tasks.evaluation.report.page import TEMPLATE
from tasks.evaluation.vectors import Vectors
from tasks.pages import rendering
from tasks.pages.gallery import SIDE, Gallery
from tasks.tables.held_out import HeldOut
from tests.tasks.evaluation.examples import make_test_set
from tests.tasks.pages.browsing import NARROW, scrolls_sideways, visit

CLASSES = ["a", "b", "c"]
HOSTILE = "</script><b>x\u202e" + "long" * 50
PAGE = """{% extends "base.html" %}
{% block style %}{% include "report.css" %}{% include "feature_map.css" %}{% endblock %}
{% block content %}{% include "feature_map.html" %}{% endblock %}
{% block script %}{% include "feature_map.js" %}{% endblock %}
"""


def make_vectors(labels: Sequence[str], splits: Sequence[str], *, distance: float = 12.0) -> Vectors:
    """Return features around a mean for each class."""
    random = np.random.default_rng(0)
    numbers = np.unique(labels, return_inverse=True)[1]
    means = random.normal(size=(numbers.max() + 1, 6)) * distance
    values = (means[numbers] + random.normal(size=(len(labels), 6))).astype(np.float32)
    return Vectors(np.array([f"{n}.png" for n in range(len(labels))]), np.array(labels), np.array(splits), values)


def make_held_out(vectors: Vectors, wrong: Sequence[int] = ()) -> HeldOut:
    """Return sure predictions for the images that are not of the split test; those of `wrong` differ from the label."""
    chosen = vectors.select(vectors.splits != "test")
    probabilities = np.full((len(chosen.paths), len(CLASSES)), 0.01, np.float32)
    for row, (path, label) in enumerate(zip(chosen.paths.tolist(), chosen.labels.tolist(), strict=True)):
        shift = int(path.removesuffix(".png")) in wrong
        probabilities[row, (CLASSES.index(label) + shift) % len(CLASSES)] = 0.98
    paths, labels, splits = (column.tolist() for column in chosen[:3])
    return HeldOut(paths, labels, splits, probabilities, CLASSES)


def draw(vectors: Vectors, held_out: HeldOut, guesses: Sequence[str] | None = None) -> FeatureMap:
    testing = vectors.select(vectors.splits == "test")
    labels = testing.labels.tolist()
    test = make_test_set(labels, guesses or labels, CLASSES)._replace(paths=testing.paths.tolist())
    drawn = draw_feature_map(vectors, test, held_out)
    assert drawn is not None
    return drawn


def describe(dots: Sequence[Dot], folder: Path, *, judged: int = 100, likely_errors: int = 0) -> FeatureMapPart:
    part = describe_feature_map(FeatureMap(list(dots), len(dots), judged, likely_errors), Gallery(folder, 100))
    assert part is not None
    return part


def make_dot(number: int, label: str, x: float, y: float, predicted: str | None = None) -> Dot:
    return Dot(f"{number}.png", label, "test", x, y, predicted or label, doubtful=False)


def test_images_of_a_class_lie_together_and_the_map_is_the_same_each_time() -> None:
    vectors = make_vectors(CLASSES * 30, ["train", "val", "test"] * 30)
    drawn = draw(vectors, make_held_out(vectors))
    assert drawn == draw(vectors, make_held_out(vectors))
    assert [dot.path for dot in drawn.dots] == vectors.paths.tolist()
    places = np.array([(dot.x, dot.y) for dot in drawn.dots])
    assert (places.min(), places.max()) == (0, 1)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places))
    assert all(vectors.labels == vectors.labels[distances.argmin(axis=1)])


def test_likely_wrong_labels_and_predictions_are_those_of_models_that_had_not_seen_the_image() -> None:
    vectors = make_vectors(CLASSES * 30, ["train"] * 60 + ["test"] * 30)
    guesses = ["b", *(CLASSES * 10)[1:]]
    drawn = draw(vectors, make_held_out(vectors, wrong=[4, 9]), guesses)
    assert [(dot.path, dot.label, dot.predicted) for dot in drawn.dots if dot.doubtful] == [
        ("4.png", "b", "c"),
        ("9.png", "a", "b"),
    ]
    assert [dot.path for dot in drawn.dots if dot.predicted != dot.label] == ["4.png", "9.png", "60.png"]
    assert (drawn.images, drawn.judged, drawn.likely_errors) == (90, 60, 2)


def test_of_many_images_a_part_is_drawn_with_all_doubtful_ones_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.evaluation.feature_map._embed", lambda values: np.zeros((len(values), 2)))
    vectors = make_vectors(CLASSES * 500, ["train"] * 900 + ["test"] * 600)
    drawn = draw(vectors, make_held_out(vectors, wrong=range(0, 300, 10)))
    assert (len(drawn.dots), drawn.images, drawn.likely_errors) == (MAX_IMAGES, 1500, 30)
    assert sum(dot.split == "test" for dot in drawn.dots) == MAX_TEST_IMAGES
    assert sum(dot.doubtful for dot in drawn.dots) == MAX_LIKELY_ERRORS


@pytest.mark.parametrize("width", [1, 6])
def test_images_that_are_all_alike_or_have_one_feature_have_a_map(width: int) -> None:
    vectors = make_vectors(CLASSES * 5, ["train", "val", "test"] * 5)
    vectors = vectors._replace(values=np.ones_like(vectors.values)[:, :width])
    assert {(dot.x, dot.y) for dot in draw(vectors, make_held_out(vectors)).dots} == {(0.0, 0.0)}


def test_too_few_images_have_no_map(tmp_path: Path) -> None:
    vectors = make_vectors(["a"] * (MIN_IMAGES - 1), ["train"] * (MIN_IMAGES - 1))
    test = make_test_set([], [], CLASSES)
    assert draw_feature_map(vectors, test, make_held_out(vectors)) is None
    assert describe_feature_map(None, Gallery(tmp_path, 1)) is None


def test_a_class_has_its_name_at_its_mark_in_the_middle_and_a_shape_while_there_are_few(tmp_path: Path) -> None:
    dots = [make_dot(number, "b", x, 0.5) for number, x in enumerate([0, 0.4, 0.5, 1])]
    part = describe([*dots, make_dot(4, "a", 0, 0, "z")], tmp_path)
    assert [(entry.name, entry.images) for entry in part.classes] == [("a", 1), ("b", 4), ("z", 0)]
    assert part.classes[1].left == pytest.approx(100 * part.marks[1].x / part.side)
    assert [mark.shape for mark in part.marks] == [1, 1, 1, 1, 0]
    assert [mark.is_wrong for mark in part.marks] == [False] * 4 + [True]
    names = [f"class {number}" for number in range(MAX_MARKED_CLASSES + 1)]
    many = describe([make_dot(number, name, 0, 0) for number, name in enumerate(names)], tmp_path)
    assert (many.are_marked, {mark.shape for mark in many.marks}) == (False, {0})


@pytest.mark.parametrize(
    ("likely_errors", "heading", "more"),
    [
        pytest.param(1, "1 label of training and validation images may be wrong", 0, id="one"),
        pytest.param(10, "10 labels of training and validation images may be wrong", 9, id="some"),
        pytest.param(11, "The labels to look at first", 0, id="more than a model can know"),
    ],
)
def test_the_number_of_wrong_labels_is_said_only_of_a_model_that_is_mostly_right(
    tmp_path: Path, likely_errors: int, heading: str, more: int
) -> None:
    part = describe([make_dot(0, "a", 0, 0, "b")._replace(doubtful=True)], tmp_path, likely_errors=likely_errors)
    assert (part.doubts[0], part.more_doubtful) == (heading, more)


def test_pointing_and_keys_show_the_image_of_a_mark_and_a_class_lights_up(tmp_path: Path, browser: Chrome) -> None:
    dots = [make_dot(0, HOSTILE, 0, 0), make_dot(1, "b", 1, 0, "c"), make_dot(2, "b", 1, 1)]
    dots[0] = dots[0]._replace(path=HOSTILE, doubtful=True, predicted="b")
    copytree(TEMPLATE.parent, tmp_path / "templates")
    (tmp_path / "templates" / "page.html").write_text(PAGE)
    part = describe(dots, tmp_path, likely_errors=1)
    page = tmp_path / "page.html"
    rendering.write_page(page, rendering.render(tmp_path / "templates" / "page.html", feature_map=part, side=SIDE))
    for width in (NARROW, 1200):
        assert visit(browser, page, width) == ([], [page.as_uri()], [])
        assert not scrolls_sideways(browser)
    plane = browser.find_element(By.CSS_SELECTOR, ".plane")
    chosen = browser.find_element(By.CSS_SELECTOR, "#feature_map .chosen")
    plane.send_keys(Keys.ARROW_RIGHT)
    assert chosen.text.splitlines() == ["b", "predicted: c", "1.png"]
    plane.send_keys(Keys.ARROW_DOWN)
    assert chosen.text.splitlines() == ["b", "2.png"]
    ActionChains(browser).move_to_element(browser.find_element(By.CSS_SELECTOR, ".plane .dot")).perform()
    name = rendering.clip(HOSTILE, 40)
    assert chosen.text.splitlines() == [name, "predicted: b", rendering.clip(HOSTILE)]
    buttons = browser.find_elements(By.CSS_SELECTOR, "#feature_map .legend button")
    assert [button.text for button in buttons] == [f"{name} 1", "b 2"]
    buttons[1].click()
    lit = browser.execute_script("return [...document.querySelectorAll('.plane.lit .dot')].map(d => d.matches('.on'))")
    assert lit == [False, True, True]
