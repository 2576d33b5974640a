"""Multinomial logistic regression with an L2 penalty, all settings and folds at once."""

from collections.abc import Sequence

import numpy as np

from tasks.head.search.linear import Array, Linear, Sample

MEMORY = 4  # steps that L-BFGS remembers
STEPS = 11  # a fit with a weak penalty ends early, which acts like a slightly stronger penalty
TOLERANCE = 3e-3  # of the largest preconditioned gradient, relative to the first one
CURVATURE = 0.25  # bound of the second derivative of the loss in a logit
LEAST = 1e-12
ROUNDING = 1e-6  # relative error of a loss in float32

# A step is shortened by this factor until the loss falls by this share of the slope, at most so many times.
SHORTER, DESCENT, TRIALS = 0.4, 1e-4, 12


def fit(sample: Sample, weights: Array, penalties: Sequence[float]) -> Linear:
    """Return a classifier for each penalty: minimises the mean loss + penalty / 2 * squared norm of the kernel.

    `weights` [M, R] weigh the rows, 0 leaves them out. The intercept is free. The solver is L-BFGS (Liu and Nocedal
    1989), preconditioned by the penalty and a bound of the curvature along each coordinate (Boehning 1992).
    """
    objective = _Objective(sample, weights, penalties)
    point = np.zeros((len(objective.scale), len(penalties) * len(weights), sample.classes), objective.scale.dtype)
    loss, gradient = objective.evaluate(point)
    limit = TOLERANCE * np.abs(gradient).max(axis=(0, 2))
    history: list[tuple[Array, Array, Array]] = []
    for _ in range(STEPS):
        active = np.abs(gradient).max(axis=(0, 2)) > limit
        if not active.any():
            break
        direction = _direction(gradient, history)
        slope = _dot(gradient, direction)
        length = active.astype(loss.dtype)
        for _ in range(TRIALS):
            trial = point + length[:, None] * direction
            trial_loss, trial_gradient = objective.evaluate(trial)
            worse = (trial_loss > loss + DESCENT * length * slope + ROUNDING * loss) & active
            if not worse.any():
                break
            length[worse] *= SHORTER
        length[worse] = 0
        trial = np.where(worse[:, None], point, trial)
        step, change = trial - point, np.where(worse[:, None], 0, trial_gradient - gradient)
        loss, gradient, point = np.where(worse, loss, trial_loss), gradient + change, trial
        product = _dot(step, change)
        inverse = np.where(product > LEAST, 1 / np.maximum(product, LEAST), 0)
        history = [*history[-MEMORY + 1 :], (step, change, inverse)]
    kernel = point * objective.scale
    kernel -= kernel.mean(axis=2, keepdims=True)
    shaped = kernel.transpose(1, 0, 2).reshape(len(penalties), len(weights), len(kernel), -1)
    return Linear(shaped[:, :, :-1], shaped[:, :, -1])


class _Objective:
    """The penalised losses of all models at once, as functions of kernels that are divided by `scale`.

    The last row of a kernel is the intercept.
    """

    def __init__(self, sample: Sample, weights: Array, penalties: Sequence[float]) -> None:
        """Take the rows with their weights [M, R]; the models are those of the first penalty, then of the second."""
        self._rows = np.concatenate(
            [sample.coordinates, np.ones((len(sample.coordinates), 1), sample.coordinates.dtype)], axis=1
        )
        self._targets, self._indicator = sample.targets, sample.indicator()[:, None]
        share = weights / weights.sum(axis=1, keepdims=True)
        self._weights = np.tile(share, (len(penalties), 1)).T  # [R, models]
        penalty = np.tile(np.repeat(np.asarray(penalties, self._rows.dtype), len(weights)), (self._rows.shape[1], 1))
        penalty[-1] = 0
        self._penalty = penalty[:, :, None]  # [r + 1, models, 1]
        curvature = CURVATURE * np.tile(share @ self._rows**2, (len(penalties), 1)).T
        self.scale = 1 / np.sqrt(curvature + penalty + LEAST)[:, :, None]

    def evaluate(self, scaled: Array) -> tuple[Array, Array]:
        """Return the losses [models] and the gradient of the scaled kernels [r + 1, models, C]."""
        rows, kernel = self._rows, scaled * self.scale
        logits = (rows @ kernel.reshape(len(kernel), -1)).reshape(len(rows), *kernel.shape[1:])
        logits -= logits.max(axis=2, keepdims=True)
        chosen = logits[np.arange(len(rows)), :, self._targets]
        np.exp(logits, out=logits)
        sums = logits.sum(axis=2)
        loss = np.sum(self._weights * (np.log(sums) - chosen), axis=0)
        logits *= (self._weights / sums)[:, :, None]
        logits -= self._weights[:, :, None] * self._indicator
        gradient = (rows.T @ logits.reshape(len(rows), -1)).reshape(kernel.shape)
        penalised = self._penalty * kernel
        gradient += penalised
        loss += 0.5 * np.sum(penalised * kernel, axis=(0, 2))
        return loss, gradient * self.scale


def _dot(first: Array, second: Array) -> Array:
    """Return the scalar product of each model, [models]."""
    return np.asarray(np.einsum("rmc,rmc->m", first, second))


def _direction(gradient: Array, history: list[tuple[Array, Array, Array]]) -> Array:
    """Return the direction of descent: the gradient times the estimated inverse of the Hessian."""
    direction = -gradient
    factors = []
    for step, change, inverse in reversed(history):
        factor = inverse * _dot(step, direction)
        direction = direction - factor[:, None] * change
        factors.append(factor)
    if history:
        step, change, inverse = history[-1]
        norm = _dot(change, change)
        size = np.where((inverse > 0) & (norm > 0), 1 / np.maximum(inverse * norm, 1e-30), 1)
        direction = direction * size[:, None]
    for (step, change, inverse), factor in zip(history, reversed(factors), strict=True):
        direction = direction + (factor - inverse * _dot(change, direction))[:, None] * step
    return direction
