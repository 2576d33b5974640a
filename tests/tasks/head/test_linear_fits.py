"""The closed forms and the logistic regression, compared with scikit-learn's."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge

from tasks.head.search import discriminant, logistic, ridge
from tasks.head.search.linear import Linear, Sample
from tests.tasks.head.examples import blobs

VECTORS, TARGETS = blobs([30, 20, 10], apart=0.6)
SAMPLE = Sample(VECTORS.astype(np.float64), TARGETS, 3, VECTORS.shape[1])
# The second model leaves every third row out.
WEIGHTS = np.stack([np.ones(60), np.where(np.arange(60) % 3, 1.0, 0.0)])
ROWS = [np.arange(60), np.flatnonzero(np.arange(60) % 3)]


def centred(values: np.ndarray) -> np.ndarray:
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def logits(linear: Linear, setting: int, model: int) -> np.ndarray:
    return np.asarray(SAMPLE.coordinates @ linear.kernels[setting, model] + linear.biases[setting, model])


@pytest.mark.parametrize("model", [0, 1])
@pytest.mark.parametrize("shrinkage", [0.1, 0.9])
def test_discriminants_are_those_of_scikit_learn(model: int, shrinkage: float) -> None:
    other = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    # It standardises before it shrinks only with shrinkage=auto.
    other.fit(SAMPLE.coordinates[ROWS[model]], TARGETS[ROWS[model]])
    expected = SAMPLE.coordinates @ other.coef_.T + other.intercept_
    own = logits(discriminant.fit(SAMPLE, WEIGHTS, [shrinkage]), 0, model)
    np.testing.assert_allclose(centred(own), centred(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("model", [0, 1])
def test_ridge_is_that_of_scikit_learn(model: int) -> None:
    rows = SAMPLE.coordinates[ROWS[model]]
    penalty = 0.3 * rows.var(axis=0).mean() * len(rows)
    other = Ridge(penalty).fit(rows, np.eye(3)[TARGETS[ROWS[model]]])
    own = logits(ridge.fit(SAMPLE, WEIGHTS, [0.3]), 0, model)
    np.testing.assert_allclose(own, other.predict(SAMPLE.coordinates), atol=1e-9)


@pytest.mark.parametrize("model", [0, 1])
@pytest.mark.parametrize(("setting", "penalty"), [(0, 0.03), (1, 0.3)])
def test_logistic_regression_is_close_to_that_of_scikit_learn(model: int, setting: int, penalty: float) -> None:
    rows = ROWS[model]
    other = LogisticRegression(C=1 / (penalty * len(rows)), tol=1e-9, max_iter=1000)
    other.fit(SAMPLE.coordinates[rows], TARGETS[rows])
    own = logits(logistic.fit(SAMPLE, WEIGHTS, [0.03, 0.3]), setting, model)
    np.testing.assert_allclose(centred(own), centred(other.decision_function(SAMPLE.coordinates)), atol=0.1)


def test_a_class_without_rows_is_not_predicted() -> None:
    weights = (TARGETS != 1)[None].astype(np.float64)
    for linear in (discriminant.fit(SAMPLE, weights, [None]), logistic.fit(SAMPLE, weights, [0.03])):
        assert not (logits(linear, 0, 0).argmax(axis=1) == 1).any()


def test_more_features_than_rows_are_no_obstacle() -> None:
    vectors, targets = blobs([4, 4], width=40)
    sample = Sample(vectors.astype(np.float64), targets, 2, 40)
    weights = np.ones((1, 8))
    for linear in (
        discriminant.fit(sample, weights, [None, 0.5]),
        ridge.fit(sample, weights, [0.1]),
        logistic.fit(sample, weights, [0.1]),
    ):
        predicted = sample.coordinates @ linear.kernels[-1, 0] + linear.biases[-1, 0]
        np.testing.assert_array_equal(predicted.argmax(axis=1), targets)
