import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.common.errors import GraftError
from tasks.comparison.comparison import Comparison, compare
from tasks.comparison.pairs import Answer
from tasks.comparison.report import write_comparison
from tasks.comparison.run import read_run
from tasks.comparison.summary import document, remarks, text_lines
from tasks.comparison.untested import find_untested, place_untested
from tests.tasks.comparison.runs import write_images, write_run

PATHS = [f"{label}/{number}.png" for number in range(30) for label in ("cat", "dog")]


def labels_of(paths: list[str]) -> list[str]:
    return [path.partition("/")[0] for path in paths]


def guesses(wrong: int) -> list[str]:
    """Return predictions for PATHS, of which the first ones are wrong."""
    return ["owl" if number < wrong else label for number, label in enumerate(labels_of(PATHS))]


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_images(tmp_path_factory.mktemp("images"), PATHS)


def comparison_of(folder: Path, digests: dict[str, str], before: list[str], after: list[str]) -> Comparison:
    older = write_run(folder / "before", digests, labels_of(PATHS), before)
    newer = write_run(folder / "after", digests, labels_of(PATHS), after)
    return compare(read_run(older, "old"), read_run(newer, "new"), {})


@pytest.mark.parametrize(
    ("wrong_before", "wrong_after", "verdict"),
    [(8, 0, "better"), (0, 8, "worse"), (4, 4, "same"), (5, 0, "same"), (60, 60, "same")],
    ids=["eight images won", "eight images lost", "the same mistakes", "too few to say", "nothing recognised"],
)
def test_the_verdict_is_a_difference_only_if_interval_and_exact_test_exclude_chance(
    tmp_path: Path, digests: dict[str, str], wrong_before: int, wrong_after: int, verdict: str
) -> None:
    comparison = comparison_of(tmp_path, digests, guesses(wrong_before), guesses(wrong_after))
    assert comparison.verdict == verdict
    assert document(comparison)["verdict"] == verdict


def test_the_headline_gives_the_verdict_with_its_figures(tmp_path: Path, digests: dict[str, str]) -> None:
    comparison = comparison_of(tmp_path, digests, guesses(9), guesses(0))
    assert comparison.headline() == (
        "better: accuracy 85.0 % to 100.0 %, +15.0 points (95 % interval +5.8 to +26.1) on 60 images that both "
        "predicted"
    )
    assert list(text_lines(comparison)) == [
        "images    9 newly right, 0 newly wrong (McNemar's exact test: p = 0.0039)",
        "improved  'cat' +16.7, 'dog' +13.3",
    ]


def test_images_are_matched_by_content_with_the_labels_of_the_newer_run_and_the_others_counted(
    tmp_path: Path, digests: dict[str, str]
) -> None:
    labels = labels_of(PATHS)
    older = write_run(
        tmp_path / "before",
        {f"moved/{path}": digests[path] for path in PATHS[:50]},
        ["owl", *labels[1:50]],
        labels[:50],
        "head:\n  epochs: 60\n  hidden: [128]\n",
    )
    newer = write_run(
        tmp_path / "after",
        {path: digests[path] for path in PATHS[10:]} | {PATHS[0]: digests[PATHS[0]]},
        [*labels[10:], labels[0]],
        [*labels[10:], labels[0]],
        "head:\n  epochs: 80\n  hidden: []\n  extra: {}\n",
    )
    comparison = compare(read_run(older, "old"), read_run(newer, "new"), {digests[PATHS[55]]: Answer("owl", 0.5)})
    assert len(comparison.pairs.paths) == 42
    assert [comparison.pairs.paths[row] for row in comparison.newly_right] == [PATHS[55]]
    assert comparison.params == [("head.epochs", 60, 80), ("head.extra", None, {}), ("head.hidden", [128], [])]
    assert comparison.metrics == [("images", 50, 51), ("accuracy", 0.98, 1.0)]
    assert remarks(comparison) == [
        "Not compared: 9 test images of old alone and 9 test images of new alone.",
        "1 image with another label in old: the label of new counts.",
    ]


def test_runs_without_a_common_image_are_not_compared(tmp_path: Path, digests: dict[str, str]) -> None:
    labels = labels_of(PATHS)
    halves = [dict(list(digests.items())[:30]), dict(list(digests.items())[30:])]
    older = read_run(write_run(tmp_path / "before", halves[0], labels[:30], labels[:30]), "old\n")
    newer = read_run(write_run(tmp_path / "after", halves[1], labels[:30], labels[:30]), "new")
    with pytest.raises(GraftError, match=re.escape(r"'old\n' and 'new' have no test image in common. Compare runs on")):
        compare(older, newer, {})


def test_what_the_older_run_has_not_seen_is_placed_under_its_digest_and_what_trained_it_is_counted(
    tmp_path: Path, digests: dict[str, str]
) -> None:
    images = tmp_path / "images"
    assert write_images(images, PATHS) == digests
    labels = labels_of(PATHS)
    seen = dict(list(digests.items())[:50])
    trained = [digests[path] for path in PATHS[50:53]]
    older = write_run(tmp_path / "before", seen, labels[:50], labels[:50], trained=trained)
    newer = write_run(tmp_path / "after", digests, labels, labels)
    untested = find_untested(older, newer)
    assert untested.trained_on == 3
    assert list(untested.paths.values()) == PATHS[53:]
    place_untested(untested, images, tmp_path / "out")
    assert sorted(file.stem for file in (tmp_path / "out").iterdir()) == sorted(untested.paths)
    (images / PATHS[53]).write_bytes(b"another image")
    message = f"{PATHS[53]} differs from the committed run. Run `dvc checkout` or `dvc pull`, then run again."
    with pytest.raises(GraftError, match=re.escape(message)):
        place_untested(untested, images, tmp_path / "again")


def test_predictions_of_an_older_version_are_named(tmp_path: Path, digests: dict[str, str]) -> None:
    labels = labels_of(PATHS)
    older = write_run(tmp_path / "before", digests, labels, labels)
    file = older / "artifacts" / "evaluation" / "predictions.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["sha256"]), file)
    with pytest.raises(GraftError, match=r"predictions.parquet of 'v1' lacks the column sha256"):
        read_run(older, "v1")


def test_the_command_prints_the_table_and_writes_page_and_document(
    tmp_path: Path, digests: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    older = write_run(tmp_path / "before", digests, labels_of(PATHS), guesses(9))
    newer = write_run(tmp_path / "after", digests, labels_of(PATHS), guesses(2), "head:\n  epochs: 80\n")
    write_comparison(
        (older, "old"),
        (newer, "new"),
        None,
        tmp_path / "nowhere",
        tmp_path / "out",
        tmp_path / "out" / "comparison.json",
        leave_out_trained=True,
    )
    captured = capsys.readouterr()
    assert [line.split() for line in captured.out.splitlines()[:2]] == [
        ["old", "new", "difference", "interval"],
        ["accuracy", "85.0", "%", "96.7", "%", "+11.7", "+2.9", "to", "+22.3"],
    ]
    assert "params    head.epochs 60 -> 80\n" in captured.out
    assert captured.err.startswith("graft report: warning: the page has no pictures: ")
    figures = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (figures["newly_right"], figures["newly_wrong"], figures["images"]) == (7, 0, 60)
    assert "new is better than old" in (tmp_path / "out" / "report.html").read_text()
