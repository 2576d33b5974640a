import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tasks.common.errors import GraftError
from tasks.review import page, table
from tasks.review.__main__ import main
from tasks.review.apply import apply_decisions
from tasks.review.dataset import read_dataset
from tasks.review.stage import write_review
from tasks.review.suspects import Review
from tasks.review.table import FindingKind, Suspect
from tasks.tables import corrections, features
from tests.tasks.conftest import hash_file, noise
from tests.tasks.pages.browsing import colours, scrolls_sideways, visit
from tests.tasks.review.clusters import make_dataset, relabel

HOSTILE = '=</script><b title="x\'y">\u202e'
HOSTILE_PATH = """ant/</script><script>document.title='owned'</script>"3.png"""
FLIPPED = [3, 17, 40]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images, features in two views, accepted images and no corrections; three labels are wrong.

    The class `ant` and the first wrong image have hostile names. The last image has no vector, as if it was set aside.
    """
    folder = tmp_path_factory.mktemp("project")
    dataset = relabel(make_dataset(), FLIPPED)
    names = [HOSTILE, *dataset.classes[1:]]
    dataset.paths[FLIPPED[0]] = HOSTILE_PATH
    rows = []
    for number, (path, label) in enumerate(zip(dataset.paths, dataset.labels.tolist(), strict=True)):
        file = folder / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 2 * number, 90)).save(file)
        row = {"path": path, "label": names[label], "split": dataset.splits[number], "sha256": hash_file(file)}
        rows.append(row | {"group": number})
    pq.write_table(pa.Table.from_pylist(rows), folder / "accepted.parquet")
    blocks = (
        features.Block([row["path"]] * 2, [row["label"]] * 2, [row["split"]] * 2, np.array([0, 1], np.uint16), both)
        for row, unit in zip(rows[:-1], dataset.units, strict=False)
        for both in [np.stack([unit, -unit])]
    )
    features.write(folder / "features.parquet", [features.Tap("top", dataset.units.shape[1], 1.0)], blocks)
    corrections.write(folder / "corrections.csv", [])
    return folder


@pytest.fixture(scope="module")
def reviewed(project: Path) -> Path:
    """Review the project and return its folder."""
    review(project, project / "review")
    return project


def review(project: Path, out: Path, limit: int | None = None) -> None:
    features_file, accepted, recorded = (
        project / name for name in ("features.parquet", "accepted.parquet", "corrections.csv")
    )
    write_review(project / "images", features_file, accepted, recorded, out, limit)


def test_the_command_lists_the_wrong_labels_and_says_how_to_go_on(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("images", "features.parquet", "accepted.parquet", "corrections.csv")
    arguments = [word for name in options for word in (f"--{name.partition('.')[0]}", str(project / name))]
    monkeypatch.setattr(sys, "argv", ["review", *arguments, "--out", str(tmp_path)])
    main()
    output = capsys.readouterr()
    hostile = HOSTILE.replace("\u202e", "\\u202e")
    assert [re.split(" {2,}", line.rstrip()) for line in output.out.splitlines()] == [
        ["finding", "label", "likely label", "probability given", "path"],
        ["wrong label", "cat", "bee", "0.00", "bee/10.png"],
        ["wrong label", "bee", hostile, "0.01", HOSTILE_PATH],
        ["wrong label", "bee", hostile, "0.07", "ant/17.png"],
        [""],
        ["About 3 of 89 labels are likely wrong."],
        ["Listed: 3 doubtful labels, 0 near-duplicates, 0 odd images."],
        [f"Decide in {tmp_path / 'review.html'}, or fill the column `action` of {tmp_path / 'review.csv'}."],
        ["Then run `graft data apply FILE` with the table."],
    ]
    assert output.err.splitlines() == ["review: comparing 89 images in 3 classes"]


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "all"])
def test_a_limit_that_is_no_number_of_images_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["review", "--images", "images", f"--limit={limit}"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"python -m tasks.review: error: argument --limit: expected a whole number of at least 1, found '{limit}'"
    )


def test_the_same_project_gives_the_same_bytes(reviewed: Path, tmp_path: Path) -> None:
    review(reviewed, tmp_path)
    for name in ("review.csv", "review.html"):
        assert (tmp_path / name).read_bytes() == (reviewed / "review" / name).read_bytes()


def test_features_of_another_run_are_refused(project: Path, tmp_path: Path) -> None:
    accepted = pq.read_table(project / "accepted.parquet").slice(1)
    pq.write_table(accepted, tmp_path / "accepted.parquet")
    with pytest.raises(GraftError) as error:
        read_dataset(project / "features.parquet", tmp_path / "accepted.parquet")
    assert str(error.value) == (
        f"{project / 'features.parquet'} has ant/0.png, which {tmp_path / 'accepted.parquet'} lacks: they are of "
        "different runs. Run `graft train`."
    )


@pytest.mark.parametrize(("name", "stage"), [("features", "features"), ("accepted", "validation")])
def test_a_missing_table_names_the_stage_that_makes_it(project: Path, tmp_path: Path, name: str, stage: str) -> None:
    files = {table: project / f"{table}.parquet" for table in ("features", "accepted")}
    files[name] = tmp_path / "missing.parquet"
    with pytest.raises(GraftError) as error:
        read_dataset(files["features"], files["accepted"])
    assert str(error.value) == f"{files[name]} is missing: stage '{stage}' makes it. Run `dvc repro {stage}`."


def test_a_single_class_is_not_reviewed(project: Path, tmp_path: Path) -> None:
    accepted = pq.read_table(project / "accepted.parquet")
    same = pa.array(["bee"] * len(accepted))
    pq.write_table(accepted.set_column(accepted.column_names.index("label"), "label", same), tmp_path / "bees.parquet")
    with pytest.raises(GraftError) as error:
        read_dataset(project / "features.parquet", tmp_path / "bees.parquet")
    assert str(error.value) == f"{tmp_path / 'bees.parquet'} has 1 class with features; a review compares at least 2."


def test_a_page_that_is_full_says_how_many_images_are_in_the_table_alone(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_SUSPECTS", 2)
    review(project, tmp_path)
    text = html.unescape((tmp_path / "review.html").read_text())
    assert "1 further image is in review.csv alone." in text
    assert len(re.findall("<article", text)) == 2
    assert len(table.read(tmp_path / "review.csv")) == 3


def test_a_page_of_hundreds_of_noisy_pictures_stays_near_three_megabytes(tmp_path: Path) -> None:
    dataset = make_dataset(per_class=70)
    Image.fromarray(noise(0, page.SIDE, page.SIDE)).save(tmp_path / "noise.png")
    dataset = dataset._replace(paths=[f"{number}.png" for number in range(len(dataset.paths))])
    for path in dataset.paths:
        (tmp_path / path).hardlink_to(tmp_path / "noise.png")
    suspects = [
        Suspect(path, "ant", "bee", 0.1, 0.9, FindingKind.WRONG_LABEL, digest, "")
        for path, digest in zip(dataset.paths, dataset.digests, strict=True)
    ]
    page.write_review_page(tmp_path / "review.html", tmp_path, dataset, Review(suspects, [*range(len(suspects))], 9))
    text = (tmp_path / "review.html").read_text()
    shown = len(re.findall("<article", text))
    assert 50 < shown < len(suspects)
    assert 2_000_000 < len(text) < 3_000_000
    assert f"{len(suspects) - shown} further images are in review.csv alone." in text


@pytest.fixture
def cards(browser: Chrome, reviewed: Path, tmp_path: Path) -> Iterator[list[WebElement]]:
    """Open the page, with downloads going to the test's folder, and return its suspects."""
    parameters = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", parameters)
    browser.get((reviewed / "review" / "review.html").as_uri())
    yield browser.find_elements(By.CLASS_NAME, "suspect")
    browser.execute_script("localStorage.clear()")


def press(card: WebElement, action: str) -> None:
    card.find_element(By.CSS_SELECTOR, f"[data-action={action}]").click()


def save(browser: Chrome, folder: Path) -> Path:
    """Save the decisions and return the downloaded file."""
    browser.find_element(By.ID, "save").click()
    file = folder / "decisions.csv"
    WebDriverWait(browser, 20, 0.05).until(lambda _: file.exists() and file.stat().st_size > 0)
    return file


def counter(browser: Chrome) -> str:
    return browser.find_element(By.ID, "counter").text


def test_decisions_by_keys_and_clicks_survive_a_reload_and_are_saved_and_applied(
    browser: Chrome, cards: list[WebElement], reviewed: Path, tmp_path: Path
) -> None:
    browser.find_element(By.TAG_NAME, "body").send_keys("d")
    browser.switch_to.active_element.send_keys("r")
    press(cards[2], "keep")
    browser.refresh()
    assert counter(browser) == "3 of 3 decided: 1 keep, 1 relabel, 1 drop"
    pressed = browser.find_elements(By.CSS_SELECTOR, "[aria-pressed=true]")
    assert [button.text for button in pressed] == ["Drop", "Relabel", "Keep"]
    saved = save(browser, tmp_path)
    first, second, third = table.read(reviewed / "review" / "review.csv")
    assert [line[1:] for line in table.read(saved)] == [
        ("drop", "", *first[3:]),
        ("relabel", HOSTILE, *second[3:]),
        ("keep", "", *third[3:]),
    ]
    recorded = tmp_path / "corrections.csv"
    corrections.write(recorded, [])
    apply_decisions(saved, recorded, reviewed / "accepted.parquet")
    label, path = (text.replace('"', '""') for text in (HOSTILE, HOSTILE_PATH))
    assert recorded.read_text().splitlines() == [
        "sha256,action,label,path",
        f"{third.sha256},keep,bee,ant/17.png",
        f'{second.sha256},relabel,"{label}","{path}"',
        f"{first.sha256},drop,cat,bee/10.png",
    ]


def test_keys_decide_and_move_on_and_a_second_press_takes_the_decision_back(
    browser: Chrome, cards: list[WebElement]
) -> None:
    body = browser.find_element(By.TAG_NAME, "body")
    for key, text in (
        ("k", "1 of 3 decided: 1 keep, 0 relabel, 0 drop"),
        ("d", "2 of 3 decided: 1 keep, 0 relabel, 1 drop"),
        ("r", "3 of 3 decided: 1 keep, 1 relabel, 1 drop"),
        (Keys.ARROW_UP, "3 of 3 decided: 1 keep, 1 relabel, 1 drop"),
        ("d", "2 of 3 decided: 1 keep, 1 relabel, 0 drop"),
    ):
        body.send_keys(key) if key == "k" else browser.switch_to.active_element.send_keys(key)
        assert counter(browser) == text
    assert browser.switch_to.active_element == cards[1]


def test_another_class_can_be_chosen_and_a_new_one_is_marked(browser: Chrome, cards: list[WebElement]) -> None:
    field = cards[0].find_element(By.TAG_NAME, "input")
    field.clear()
    press(cards[0], "relabel")
    hint = cards[0].find_element(By.CLASS_NAME, "hint")
    assert hint.text == "Choose another class first."
    field.send_keys("wasp")
    press(cards[0], "relabel")
    assert hint.text == "This class is new."
    assert counter(browser) == "1 of 3 decided: 0 keep, 1 relabel, 0 drop"
    press(cards[0], "relabel")
    assert counter(browser) == "0 of 3 decided: 0 keep, 0 relabel, 0 drop"


def test_the_page_asks_for_nothing_and_shows_hostile_names_as_text(
    browser: Chrome, reviewed: Path, tmp_path: Path
) -> None:
    file = reviewed / "review" / "review.html"
    for width in (1200, 400):
        reaction = visit(browser, file, width)
        assert (reaction.messages, reaction.requests, reaction.broken_images) == ([], [file.as_uri()], [])
        assert not scrolls_sideways(browser)
    assert colours(browser, tmp_path / "page.png") > 20
    assert browser.find_elements(By.CSS_SELECTOR, "b[title]") == []
    assert browser.title == "Review of labels"
    assert HOSTILE_PATH in [path.text for path in browser.find_elements(By.CLASS_NAME, "path")]
    offered = browser.execute_script("return [...document.querySelectorAll('option')].map(option => option.value)")
    assert HOSTILE in offered
    assert "\u202e" not in file.read_text()
