import numpy as np
import pytest

from tasks.review.ranking import neighbours
from tasks.review.ranking.neighbours import choose_pool, find_neighbours
from tasks.review.ranking.vectors import WIDTH, training_vectors, unit_vectors
from tests.tasks.review.clusters import make_dataset, search

ANGLES = np.radians([0, 10, 30, 60, 90])
UNITS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)


def test_the_nearest_images_come_first_with_one_minus_the_cosine_as_distance() -> None:
    nearest = find_neighbours(UNITS, np.array([0, 4]), np.arange(5), np.arange(5), 2)
    assert nearest.rows.tolist() == [[1, 2], [3, 2]]
    expected = 1 - np.cos(np.radians([[10, 30], [30, 60]]))
    np.testing.assert_allclose(nearest.distances, expected, atol=1e-6)


def test_images_of_the_same_group_are_no_neighbours_and_missing_ones_are_marked() -> None:
    nearest = find_neighbours(UNITS, np.array([0, 2]), np.arange(5), np.array([7, 7, 7, 7, 1]), 2)
    assert nearest.rows.tolist() == [[4, -1], [4, -1]]
    assert np.isinf(nearest.distances[:, 1]).all()


def test_only_rows_of_the_pool_are_neighbours() -> None:
    assert find_neighbours(UNITS, np.array([0]), np.array([3, 4]), np.arange(5), 1).rows.tolist() == [[3]]


def test_no_query_has_no_neighbours() -> None:
    assert find_neighbours(UNITS, np.array([], np.int64), np.arange(5), np.arange(5), 2).rows.shape == (0, 2)


def test_the_size_of_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_dataset()
    whole = search(dataset)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 4 * 7 * len(dataset.paths))
    in_blocks = search(dataset)
    assert (whole.rows == in_blocks.rows).all()
    np.testing.assert_allclose(whole.distances, in_blocks.distances, atol=1e-6)


def test_a_large_dataset_is_sampled_for_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MAX_POOL", 10)
    pool = choose_pool(100)
    assert len(set(pool.tolist())) == 10
    assert (pool == choose_pool(100)).all()
    assert choose_pool(10).tolist() == list(range(10))


def test_a_zero_vector_has_no_direction_and_disturbs_nothing() -> None:
    assert unit_vectors(np.array([[0, 0], [3, 4]], np.float32)).tolist() == [[0, 0], [np.float32(0.6), np.float32(0.8)]]


def test_wide_vectors_are_projected_and_keep_their_distances_within_a_cluster_structure() -> None:
    random = np.random.default_rng(0)
    wide = unit_vectors((random.standard_normal((300, 4)) @ random.standard_normal((4, 400))).astype(np.float32))
    narrowed = training_vectors(wide)
    centred = unit_vectors(wide - wide.mean(axis=0))
    assert narrowed.shape == (300, WIDTH)
    np.testing.assert_allclose(narrowed @ narrowed.T, centred @ centred.T, atol=1e-4)
    assert (narrowed == training_vectors(wide)).all()
