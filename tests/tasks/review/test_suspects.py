from collections.abc import Sequence

import numpy as np
import pytest

from tasks.review.ranking.duplicates import find_duplicates
from tasks.review.ranking.outliers import THRESHOLD, score_outliers
from tasks.review.ranking.probabilities import count_votes, predict_held_out
from tasks.review.ranking.vectors import unit_vectors
from tasks.review.suspects import review_dataset
from tasks.review.table import FindingKind
from tasks.tables.corrections import Action, Correction
from tests.tasks.review.clusters import make_dataset, relabel, search, take


def test_exactly_the_relabelled_images_are_suspects_with_their_true_class_as_likely() -> None:
    flipped = [3, 17, 40, 88]
    dataset = relabel(make_dataset(), flipped)
    review = review_dataset(dataset, search(dataset), {}, limit=50)
    wrong = [suspect for suspect in review.suspects if suspect.finding == FindingKind.WRONG_LABEL]
    assert sorted(suspect.path for suspect in wrong) == sorted(dataset.paths[row] for row in flipped)
    assert all(suspect.likely == suspect.path.partition("/")[0] for suspect in wrong)
    assert all(suspect.label != suspect.likely and suspect.probability < 0.5 < suspect.score for suspect in wrong)
    assert review.wrong_labels == pytest.approx(4, abs=1)


def test_a_clean_dataset_has_no_suspect_labels() -> None:
    dataset = make_dataset()
    review = review_dataset(dataset, search(dataset), {}, limit=50)
    assert review.suspects == []
    assert review.wrong_labels == 0


def test_a_near_duplicate_with_the_same_wrong_label_does_not_confirm_it() -> None:
    dataset = make_dataset()
    copies = np.repeat(5, 3)
    extended = dataset._replace(
        paths=[*dataset.paths, *(f"bee/copy{number}.png" for number in range(3))],
        splits=[*dataset.splits, *("train" for _ in copies)],
        digests=[*dataset.digests, *(f"{number:064x}" for number in range(3))],
        labels=np.concatenate([dataset.labels, np.repeat(1, 3)]),
        groups=np.concatenate([dataset.groups, copies]),
        units=np.concatenate([dataset.units, dataset.units[copies]]),
    )
    extended.labels[5] = 1
    review = review_dataset(extended, search(extended), {}, limit=50)
    listed = {suspect.path for suspect in review.suspects if suspect.finding == FindingKind.WRONG_LABEL}
    assert listed == {"ant/5.png", *(f"bee/copy{number}.png" for number in range(3))}


def test_the_limit_keeps_the_worst() -> None:
    dataset = relabel(make_dataset(), [3, 17, 40, 88])
    neighbours = search(dataset)
    whole = review_dataset(dataset, neighbours, {}, limit=50).suspects
    assert review_dataset(dataset, neighbours, {}, limit=2).suspects == whole[:2]
    scores = [suspect.score for suspect in whole]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("action", "label", "listed"),
    [
        pytest.param(Action.KEEP, "bee", False, id="kept with the label that it has"),
        pytest.param(Action.KEEP, "cat", True, id="kept with a label that it has no more"),
        pytest.param(Action.RELABEL, "ant", False, id="relabelled, and the next run will show it"),
        pytest.param(Action.DROP, "bee", False, id="dropped, and the next run will show it"),
    ],
)
def test_an_image_with_a_decision_is_not_listed_again(action: Action, label: str, listed: bool) -> None:
    dataset = relabel(make_dataset(), [3])
    correction = Correction(dataset.digests[3], action, label, dataset.paths[3])
    review = review_dataset(dataset, search(dataset), {correction.sha256: correction}, limit=50)
    assert [suspect.path for suspect in review.suspects] == (["ant/3.png"] if listed else [])


def test_a_class_in_a_single_group_is_not_judged() -> None:
    dataset = make_dataset()
    groups = dataset.groups.copy()
    groups[dataset.labels == 2] = 1000
    alone = dataset._replace(groups=groups)
    review = review_dataset(alone, search(alone), {}, limit=50)
    assert [suspect for suspect in review.suspects if suspect.finding == FindingKind.WRONG_LABEL] == []
    assert review.wrong_labels == 0


@pytest.mark.parametrize(
    ("rows", "listed"),
    [
        pytest.param(range(90), ["ant/3.png"], id="30 images a class"),
        pytest.param(range(61), ["ant/3.png"], id="a class with one image, which cannot be judged"),
        pytest.param(range(64), ["ant/3.png"], id="a class with four images"),
        pytest.param([0, 30, 60], [], id="one image a class"),
        pytest.param([0, 3, 30, 31, 60, 61], ["ant/3.png"], id="fewer images a class than folds"),
    ],
)
def test_small_classes_do_not_hide_a_wrong_label(rows: Sequence[int], listed: list[str]) -> None:
    dataset = take(relabel(make_dataset(), [3]), rows)
    suspects = review_dataset(dataset, search(dataset), {}, limit=50).suspects
    assert [suspect.path for suspect in suspects if suspect.finding == FindingKind.WRONG_LABEL] == listed


def test_images_in_a_single_group_are_not_judged() -> None:
    dataset = make_dataset()
    whole = dataset._replace(groups=np.zeros_like(dataset.groups))
    assert review_dataset(whole, search(whole), {}, limit=50) == ([], [], 0)


def test_the_order_of_the_rows_does_not_decide_who_is_listed() -> None:
    dataset = relabel(make_dataset(), [3, 17, 40, 88])
    order = np.random.default_rng(0).permutation(len(dataset.paths)).tolist()
    listed = []
    for arranged in (dataset, dataset, take(dataset, order)):
        suspects = review_dataset(arranged, search(arranged), {}, limit=50).suspects
        listed.append({(suspect.path, suspect.label, suspect.likely, suspect.finding) for suspect in suspects})
    assert listed[0] == listed[1] == listed[2]
    assert len(listed[0]) >= 4


def test_twins_and_far_images_follow_the_wrong_labels() -> None:
    dataset = relabel(make_dataset(spread=0.1), [20])
    units = dataset.units.copy()
    units[0] = unit_vectors(units[:1] + np.eye(8, dtype=np.float32)[5:6])
    units[11] = units[10]
    odd = dataset._replace(units=units)
    suspects = review_dataset(odd, search(odd), {}, limit=50).suspects
    assert [(suspect.finding, suspect.path) for suspect in suspects[:3]] == [
        (FindingKind.WRONG_LABEL, "ant/20.png"),
        (FindingKind.DUPLICATE, "ant/10.png"),
        (FindingKind.OUTLIER, "ant/0.png"),
    ]
    assert suspects[1].nearest == "ant/11.png"
    assert (suspects[1].likely, suspects[2].likely) == ("", "")


def test_an_image_is_listed_once() -> None:
    dataset = make_dataset()
    units = dataset.units.copy()
    units[40] = units[10]
    twins = dataset._replace(units=units)
    suspects = review_dataset(twins, search(twins), {}, limit=50).suspects
    assert [(suspect.finding, suspect.path) for suspect in suspects] == [(FindingKind.WRONG_LABEL, "bee/10.png")]


def test_votes_are_shares_and_equal_without_neighbours() -> None:
    votes = count_votes(np.array([[0, 1], [2, -1], [-1, -1]]), np.array([0, 1, 1]), 2)
    assert votes.tolist() == [[0.5, 0.5], [0, 1], [0.5, 0.5]]


def test_held_out_probabilities_are_the_same_in_every_run() -> None:
    dataset = make_dataset()
    first, second = (predict_held_out(dataset.units, dataset.labels, dataset.groups, 4) for _ in range(2))
    assert (first == second).all()
    np.testing.assert_allclose(first.sum(axis=1), 1, rtol=1e-6)
    assert (first[:, 3] == 0).all()


def test_an_odd_image_is_far_beyond_the_others_but_not_all_of_a_varied_class() -> None:
    random = np.random.default_rng(0)
    distances = np.concatenate([random.normal(0.3, 0.02, 200), random.normal(0.6, 0.02, 20), [0.9, np.inf]])
    labels = np.concatenate([np.zeros(200), np.ones(20), [0, 0]]).astype(np.int64)
    scores = score_outliers(distances[:, None].astype(np.float32), labels)
    assert np.flatnonzero(scores > THRESHOLD).tolist() == [220]


def test_duplicates_of_two_labels_come_first_then_those_of_two_splits() -> None:
    dataset = make_dataset(spread=0.3)
    units = dataset.units.copy()
    units[[1, 3, 5]] = units[[0, 2, 4]]
    labels = dataset.labels.copy()
    labels[5] = 1
    twins = dataset._replace(units=units, labels=labels)
    pairs = find_duplicates(search(twins), twins.labels, twins.splits)
    assert [(pair.first, pair.second) for pair in pairs] == [(4, 5), (2, 3), (0, 1)]
    assert pairs[0].distance == pytest.approx(0, abs=1e-6)
