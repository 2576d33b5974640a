from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.common.params import Head, Params
from tasks.head.rows import Rows
from tasks.head.search.parallel_networks import Setting, train
from tasks.head.search.search import Search, find_head, fit_choice
from tests.tasks.head.examples import blobs, make_rows


@pytest.fixture
def params(settings: Params) -> Head:
    return settings.head


def predict(search: Search, vectors: np.ndarray) -> np.ndarray:
    """Return the classes that the choice predicts, fitted on all rows."""
    candidate = search.winner.candidate
    kernels, biases = fit_choice(search, candidate, search.rows.weights[None])
    columns = search.rows.columns(candidate.taps)
    values = (vectors[:, columns] - search.scaling.mean[columns]) * search.scaling.factor[columns]
    return np.asarray((values @ kernels[0] + biases[0]).argmax(axis=1))


def two_taps(useful: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features of two taps, 6 and 30 columns, of which one is noise, and targets."""
    width = (6, 30)[useful]
    vectors, targets = blobs([20] * 4, width, seed, apart=1.0)
    noise = np.random.default_rng(seed + 50).normal(size=(80, 36 - width)).astype(np.float32)
    return np.concatenate([noise, vectors] if useful else [vectors, noise], axis=1), targets


@pytest.mark.parametrize("widths", [(6,), (2, 4)], ids=["one tap", "two taps"])
def test_the_choice_predicts_new_images(params: Head, widths: tuple[int, ...]) -> None:
    search = find_head(make_rows(*blobs([20] * 3), widths), params, choose_taps=True)
    vectors, targets = blobs([100] * 3, seed=1)
    accuracy = (predict(search, vectors) == targets).mean()
    assert accuracy > 0.95
    assert search.winner.accuracy == pytest.approx(accuracy, abs=0.06)


@pytest.mark.parametrize("useful", [0, 1])
def test_the_group_lasso_ranks_the_useful_tap_first(params: Head, useful: int) -> None:
    vectors, targets = two_taps(useful)
    search = find_head(make_rows(vectors, targets, (6, 30)), params, choose_taps=True)
    assert search.ranking[0] == useful
    alone = {tap: [row.accuracy for row in search.scored if row.candidate.taps == (tap,)] for tap in (0, 1)}
    assert max(alone[useful]) > 0.7
    assert max(alone[1 - useful]) < 0.5


def test_taps_that_the_user_gave_are_all_used(params: Head) -> None:
    search = find_head(make_rows(*two_taps(0), (6, 30)), params, choose_taps=False)
    assert search.winner.candidate.taps == (0, 1)


def test_views_count_as_one_image(params: Head) -> None:
    vectors, targets = blobs([12] * 3)
    plain, viewed = (find_head(make_rows(vectors, targets, views=views), params, choose_taps=True) for views in (1, 3))
    assert len(viewed.winner.hits) == 36
    np.testing.assert_array_equal(plain.folds.of_images, viewed.folds.of_images)
    # Copies of an image add nothing, and none was seen before its image was predicted.
    assert viewed.winner.accuracy == pytest.approx(plain.winner.accuracy, abs=0.06)


def test_images_of_a_group_are_predicted_by_others(params: Head) -> None:
    """Classes are noise here; pairs of equal images with the same class would be predicted right by each other."""
    random = np.random.default_rng(0)
    vectors = np.repeat(random.normal(size=(40, 60)).astype(np.float32), 2, axis=0)
    rows = make_rows(vectors, np.repeat(random.permutation(np.arange(40) % 2), 2))
    alone = find_head(rows, params, choose_taps=True)
    grouped = find_head(replace(rows, groups=[index // 2 for index in range(80)]), params, choose_taps=True)
    assert alone.winner.accuracy > 0.75
    assert grouped.winner.accuracy < 0.65


def small(counts: list[int], groups: list[int | None] | None = None) -> Rows:
    rows = make_rows(*blobs(counts))
    return rows if groups is None else replace(rows, groups=groups)


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        pytest.param(small([2, 1]), "5 folds need as many images or groups, so there are 3 folds", id="3 images"),
        pytest.param(
            small([4, 4], [0, 0, 0, 0, 1, 1, 1, 1]),
            "5 folds need as many images or groups, so there are 2 folds",
            id="2 groups",
        ),
        pytest.param(
            small([8, 1]),
            "the class 'class 1' has a single image, so no fold can test it",
            id="a class with one image",
        ),
        pytest.param(
            small([8, 3], [*range(8), 9, 9, 9]),
            "all images of the class 'class 1' are in one group, so no fold can test it",
            id="a class of one group",
        ),
        pytest.param(
            small([1] * 6),
            "the class 'class 5' has a single image, so no fold can test it",
            id="one each",
        ),
    ],
)
def test_few_images_get_fewer_folds_and_a_warning(params: Head, rows: Rows, warning: str) -> None:
    search = find_head(rows, params, choose_taps=True)
    assert warning in search.warnings
    assert np.isfinite([row.losses for row in search.scored]).all()


def test_one_group_cannot_be_divided(params: Head) -> None:
    with pytest.raises(GraftError) as error:
        find_head(small([4, 4], [1] * 8), params, choose_taps=True)
    assert str(error.value) == (
        "The search needs images of two groups or more, and all 8 images for training and validation are in the same "
        "one. Add images, or set head.search: off."
    )


def test_500_classes_are_searched(params: Head) -> None:
    vectors, targets = blobs([2] * 500, width=24)
    search = find_head(make_rows(vectors, targets), params, choose_taps=True)
    assert search.winner.accuracy > 0.5


@pytest.mark.parametrize(
    ("change", "weights"),
    [
        ({"criterion": "macro_f1"}, "balanced"),
        ({"class_weight": "balanced"}, "balanced"),
        ({"class_weight": "none"}, "none"),
        ({"class_weight": {"class 0": 1.0, "class 1": 8.0}}, "given"),
    ],
    ids=str,
)
def test_weights_of_a_rare_class_make_it_predicted_more_often(
    params: Head, change: dict[str, Any], weights: str
) -> None:
    rows = make_rows(*blobs([120, 12], width=3, apart=0.5))
    plain = find_head(rows, params.model_copy(update={"class_weight": "none"}), choose_taps=True)
    search = find_head(rows, params.model_copy(update=change), choose_taps=True)
    candidate = search.winner.candidate
    assert {member.class_weight for member in candidate.members} == {weights}
    rare, rare_before = ((predict(result, rows.vectors) == 1).sum() for result in (search, plain))
    assert rare > rare_before if weights != "none" else rare == rare_before


def test_networks_side_by_side_learn_and_differ_in_their_settings_alone(params: Head) -> None:
    vectors, targets = blobs([60] * 3)
    settings = [Setting((8,), dropout, 1e-4, (1.0, 1.0, 1.0)) for dropout in (0.2, 0.2, 0.9)]
    held_out = np.tile(np.arange(180) % 3 == 0, (3, 1))
    changed = params.model_copy(update={"epochs": 12, "learning_rate": 0.03})
    trained = train(vectors, targets, settings, (~held_out).astype(float), held_out, changed)
    right = (trained.logits.argmax(axis=2) == targets)[:, held_out[0]].mean(axis=1)
    assert right[0] > 0.9
    np.testing.assert_allclose(trained.logits[0], trained.logits[1], atol=1e-5)
    assert right[2] < right[0] or trained.epochs[2] != trained.epochs[0]
    assert trained.curves[-1][0] < trained.curves[0][0]
    assert [kernel.shape for kernel in trained.kernels] == [(3, 6, 8), (3, 8, 3)]
