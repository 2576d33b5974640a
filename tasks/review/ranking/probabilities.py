"""Probabilities of the classes of each image, from models and images that have not seen its label."""

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from tasks.review.ranking.neighbours import Indices
from tasks.review.ranking.vectors import Vectors

FOLDS = 5
# The inverse of the strength of L2 regularisation, for vectors of length 1; docs/review.md has the comparison.
INVERSE_REGULARISATION = 10.0
ITERATIONS = 200
TOLERANCE = 1e-3
MAX_TRAINING = 50_000

Probabilities = npt.NDArray[np.float64]


def predict_held_out(vectors: Vectors, labels: Indices, groups: Indices, classes: int) -> Probabilities:
    """Return probabilities, float64 [N, classes], from multinomial logistic regression in FOLDS-fold cross-validation.

    `labels` are class numbers, int64 [N]. Images of a group are in the same fold, so a near-duplicate with the same
    wrong label cannot confirm it. At most MAX_TRAINING random images train the model of a fold. All classes are equally
    probable where there is no second fold: all images are in one group, or no class has two images.
    """
    # The splitter refuses more folds than there are groups, or images in the largest class.
    folds = min(FOLDS, len(np.unique(groups)), int(np.bincount(labels).max()))
    if folds < 2:  # noqa: PLR2004
        return np.full((len(labels), classes), 1 / classes)
    probabilities = np.zeros((len(labels), classes))
    random = np.random.default_rng(0)
    with warnings.catch_warnings():
        # A ranking needs neither the last digits nor a full set of classes in every fold.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
        for training, held_out in splitter.split(vectors, labels, groups):
            if len(training) > MAX_TRAINING:
                training = np.sort(random.choice(training, MAX_TRAINING, replace=False))  # noqa: PLW2901
            trained = np.unique(labels[training])
            if len(trained) == 1:
                probabilities[held_out, trained[0]] = 1
                continue
            model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=ITERATIONS, tol=TOLERANCE)
            model.fit(vectors[training], labels[training])
            probabilities[np.ix_(held_out, model.classes_)] = model.predict_proba(vectors[held_out])
    return probabilities


def count_votes(neighbours: Indices, labels: Indices, classes: int) -> Probabilities:
    """Return the shares of the classes among each image's neighbours, float64 [N, classes].

    `neighbours`, int64 [N, k], has -1 where there is none; an image without neighbours gets equal shares.
    """
    votes = np.zeros((len(neighbours), classes))
    for column in neighbours.T:
        voting = column >= 0
        votes[voting, labels[column[voting]]] += 1
    totals = votes.sum(axis=1, keepdims=True)
    return np.where(totals > 0, votes / np.maximum(totals, 1), 1 / classes)
