import json

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.covariance import ledoit_wolf

from tasks.novelty.distance import fit_distance
from tasks.novelty.graph import novelty_graph
from tasks.novelty.score import METHOD, Novelty, Refusal, fit_novelty
from tasks.onnx import graphs
from tasks.onnx.sessions import Session

Array = npt.NDArray[np.floating]
WIDTHS = (6, 10)


def clusters(images: int, seed: int, classes: int = 3, width: int = sum(WIDTHS)) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return features of images around the centres of their classes, [n, D], and class numbers."""
    centres = np.random.default_rng(0).uniform(1, 3, (classes, width))
    random = np.random.default_rng(seed)
    targets = np.arange(images) % classes
    return (centres[targets] + random.normal(0, 0.2, (images, width))).astype(np.float32), targets


def fit(images: int = 120, validation: int = 99, false_alarms: float = 0.1) -> Novelty:
    features, targets = clusters(images, 1)
    novelty = fit_novelty(features, targets, clusters(validation, 2)[0], WIDTHS, false_alarms)
    assert isinstance(novelty, Novelty)
    return novelty


@pytest.mark.parametrize(("images", "width"), [(300, 16), (30, 60)], ids=["more images", "more features"])
def test_the_distance_is_that_of_mahalanobis_to_the_nearest_class_by_a_shrunken_covariance(
    images: int, width: int
) -> None:
    features, targets = clusters(images, 1, width=width)
    distance = fit_distance(features, targets, (width,))
    assert distance is not None
    unit = features.astype(np.float64) / np.linalg.norm(features, axis=1, keepdims=True)
    means = np.stack([unit[targets == number].mean(axis=0) for number in range(3)])
    precision = np.linalg.inv(ledoit_wolf(unit - means[targets], assume_centered=True)[0])
    others = clusters(20, 2, width=width)[0]
    differences = (others / np.linalg.norm(others, axis=1, keepdims=True))[:, None] - means
    expected = np.einsum("ncd,de,nce->nc", differences, precision, differences).min(axis=1)
    np.testing.assert_allclose(distance.measure(others), expected, rtol=1e-5)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_length_of_a_vector_does_not_matter(factor: float) -> None:
    features = clusters(30, 3)[0]
    novelty = fit()
    np.testing.assert_allclose(novelty.known(features * np.float32(factor)), novelty.known(features), rtol=1e-4)


@pytest.mark.parametrize(("validation", "rank"), [(99, 90), (19, 18), (9, 9)])
def test_the_threshold_is_the_quantile_of_split_conformal_prediction(validation: int, rank: int) -> None:
    novelty = fit(validation=validation)
    known = np.sort(novelty.known(clusters(validation, 2)[0]))[::-1]
    assert known[rank - 1] == pytest.approx(0.5)
    assert (known[:rank] >= 0.5 - 1e-9).all()
    assert novelty.facts()["false_alarms"] == pytest.approx(0.1)


def test_with_few_validation_images_the_rate_that_they_allow_is_stated() -> None:
    novelty = fit(validation=4)
    assert novelty.facts() == {
        "threshold": 0.5,
        "false_alarms": 0.2,
        "training_images": 120,
        "validation_images": 4,
        "method": METHOD,
    }
    assert novelty.warning == (
        "head.false_alarms 0.1 needs 9 validation images, found 4: the model may call 20.0% of images like these "
        "unknown"
    )
    assert (novelty.known(clusters(4, 2)[0]) >= 0.5 - 1e-9).all()


def test_foreign_vectors_are_unknown_and_keep_their_order() -> None:
    novelty = fit()
    features = clusters(40, 5)[0]
    away = features[:1] + np.linspace(0, 3, 8)[:, None] * np.random.default_rng(9).normal(0, 1, (1, features.shape[1]))
    known = Session(novelty_graph(novelty), threads=1)(away.astype(np.float32))
    assert (novelty.known(features) >= 0.5).mean() > 0.8
    assert (known[2:] < 0.01).all()
    assert len(set(known.tolist())) == len(known)


@pytest.mark.parametrize("seed", range(3))
def test_the_graph_gives_the_scores_of_numpy(seed: int) -> None:
    novelty = fit()
    features = np.concatenate(
        [clusters(20, seed)[0], np.random.default_rng(seed).normal(0, 5, (20, sum(WIDTHS))), np.zeros((1, sum(WIDTHS)))]
    ).astype(np.float32)
    model = novelty_graph(novelty)
    np.testing.assert_allclose(Session(model, threads=1)(features), novelty.known(features), atol=2e-4)
    assert json.loads(graphs.metadata(model)["novelty"]) == novelty.facts()


def test_the_graph_of_many_features_stays_small() -> None:
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (700, 3840)).astype(np.float32)
    novelty = fit_novelty(features, np.arange(700) % 5, features[:50], (3840,), 0.05)
    assert isinstance(novelty, Novelty)
    model = novelty_graph(novelty)
    assert model.ByteSize() < 2_500_000
    others = random.normal(1, 1, (50, 3840)).astype(np.float32)
    np.testing.assert_allclose(Session(model, threads=1)(others), novelty.known(others), rtol=1e-3)


@pytest.mark.parametrize(
    ("features", "targets", "validation", "reason"),
    [
        pytest.param(
            clusters(3, 1)[0],
            np.arange(3),
            clusters(9, 2)[0],
            "the features of 3 training images do not vary within 3 classes",
            id="one image a class",
        ),
        pytest.param(
            np.ones((9, 16), np.float32),
            np.arange(9) % 3,
            clusters(9, 2)[0],
            "the features of 9 training images do not vary within 3 classes",
            id="equal features",
        ),
        pytest.param(
            *clusters(9, 1),
            clusters(1, 2)[0],
            "the threshold needs 2 validation images, found 1",
            id="one validation image",
        ),
    ],
)
def test_images_that_do_not_suffice_are_refused(
    features: Array, targets: npt.NDArray[np.int64], validation: Array, reason: str
) -> None:
    assert fit_novelty(features, targets, validation, WIDTHS, 0.05) == Refusal(reason)


def test_two_images_of_one_class_suffice() -> None:
    features, targets = clusters(4, 1)
    assert isinstance(fit_novelty(features, targets, clusters(9, 2)[0], WIDTHS, 0.05), Novelty)


def test_the_same_images_give_the_same_bytes() -> None:
    first, second = (novelty_graph(fit()).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
