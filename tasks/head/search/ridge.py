"""Ridge regression on class indicators."""

from collections.abc import Sequence

import numpy as np

from tasks.head.search.linear import Array, Linear, Sample, second_moments, solve


def fit(sample: Sample, weights: Array, penalties: Sequence[float]) -> Linear:
    """Return a classifier for each penalty, in units of the mean variance of a feature; its intercept is free.

    `weights` [M, R] weigh the rows, 0 leaves them out. The results are regression values, and logits once they are
    divided by a temperature. Source: Hoerl and Kennard 1970, Ridge Regression.
    """
    rows, indicator = sample.coordinates, sample.indicator()
    kernels = np.empty((len(penalties), len(weights), rows.shape[1], sample.classes), rows.dtype)
    biases = np.empty((len(penalties), len(weights), sample.classes), rows.dtype)
    moments = second_moments(rows, weights)
    for model, row_weights in enumerate(weights):
        share = row_weights / row_weights.sum()
        mean, prior = share @ rows, share @ indicator
        covariance = moments[model] / row_weights.sum() - np.outer(mean, mean)
        cross = rows.T @ (indicator * share[:, None]) - np.outer(mean, prior)
        size = np.trace(covariance) / sample.width or 1.0
        for setting, penalty in enumerate(penalties):
            penalised = covariance.copy()
            penalised.flat[:: len(penalised) + 1] += penalty * size
            kernels[setting, model] = kernel = solve(penalised, cross)
            biases[setting, model] = prior - mean @ kernel
    return Linear(kernels, biases)
