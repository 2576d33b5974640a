"""The error on the test images by the number of training images, and its extrapolation to more images.

A quick classifier, linear discriminant analysis, is fitted on random parts of the training images at many sizes. It
reads the features that the head reads, so that its curve bends as the head's does. The mean error e at n images a class
is fitted by e = a + b n^-c, the form that holds for most learners (T. Viering and M. Loog, The Shape of Learning
Curves, IEEE TPAMI 45, 2023). The interval is that of the bootstrap over the test images, the random parts and the
smallest size that the fit uses.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tasks.calibration.intervals import wilson_interval
from tasks.evaluation.vectors import Vectors

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Fewer say nothing about a curve.
MIN_TEST_IMAGES = 20
MIN_IMAGES_OF_CLASS = 8
MIN_SIZES = 4
# The smallest part has at least so many images a class on average, and each larger one twice as many.
SMALLEST = 2
MOST_PARTS = 40  # random parts of a size
FEWEST_PARTS = 8
# All parts of all sizes together have about so many images.
IMAGES_IN_ALL = 150_000
# Features beyond that are projected to so many directions, drawn at random (W. B. Johnson and J. Lindenstrauss, 1984).
MAX_FEATURES = 192
MORE_IMAGES = 50
# A curve cannot be prolonged to more than so many times as many images.
MAX_FACTOR = 3
# Two numbers of additional images that differ by a smaller factor say the same.
SIMILAR = 1.5
DRAWS = 300
EXPONENTS = np.geomspace(0.05, 2, 40)
SEED = 0


class Point(NamedTuple):
    """The mean error over `parts` random parts of the training images, in 0..1, with its interval.

    `images` is their mean number a class. An `extrapolated` point comes from the fitted curve and has no parts.
    """

    images: float
    error: float
    error_low: float
    error_high: float
    parts: int
    extrapolated: bool


class Gain(NamedTuple):
    """The points of accuracy, in 0..1, that `images` a class bring, beyond those that there are, with its interval."""

    images: float
    gain: float
    low: float
    high: float


class LearningCurve(NamedTuple):
    """The measured points, then the extrapolated ones, and the gains that those mean."""

    points: list[Point]
    gains: list[Gain]


def measure_learning_curve(vectors: Vectors, confidence: float) -> LearningCurve | None:
    """Return the curve, or None if there are too few images to draw one.

    All images but those of the split test are images to train on. A class without any counts as mistakes.
    """
    is_test = vectors.splits == "test"
    classes, numbers = np.unique(vectors.labels, return_inverse=True)
    training, targets = vectors.values[~is_test], numbers[~is_test]
    testing, test_targets = vectors.values[is_test], numbers[is_test]
    counts = np.bincount(targets, minlength=len(classes))
    present = counts[counts > 0]
    full = float(present.mean()) if len(present) else 0.0
    halvings = int(np.log2(full / SMALLEST)) if full >= SMALLEST else 0
    if (
        len(test_targets) < MIN_TEST_IMAGES
        or full < MIN_IMAGES_OF_CLASS
        or halvings + 1 < MIN_SIZES
        or len(present) < 2  # noqa: PLR2004  one class cannot be mistaken
    ):
        return None
    random = np.random.default_rng(SEED)
    with threadpool_limits(1, user_api="blas"):  # the number affects the last bits
        scaled, scaled_test = _scale(training, testing, random)
        shares = [0.5**halving for halving in range(halvings, -1, -1)]
        wrong = [
            np.array(
                [
                    _classify(scaled[part], targets[part], scaled_test) != test_targets
                    for part in _draw_parts(counts, targets, share, random)
                ]
            )
            for share in shares
        ]
        sizes = np.array([_images_of(counts, share) / len(present) for share in shares])
        return _fit(sizes, wrong, full, confidence, random)


def _scale(
    vectors: npt.NDArray[np.float32], test_vectors: npt.NDArray[np.float32], random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return standardised features, at most MAX_FEATURES of them."""
    mean, spread = vectors.mean(axis=0, dtype=np.float64), vectors.std(axis=0, dtype=np.float64)
    spread[spread == 0] = 1
    width = vectors.shape[1]
    directions = random.normal(size=(width, MAX_FEATURES)) / np.sqrt(width) if width > MAX_FEATURES else np.eye(width)
    return ((vectors - mean) / spread) @ directions, ((test_vectors - mean) / spread) @ directions


def _images_of(counts: Indices, share: float) -> int:
    return int(np.ceil(counts * share).sum())


def _draw_parts(counts: Indices, targets: Indices, share: float, random: np.random.Generator) -> list[Indices]:
    """Return random parts with that share of each class, at least one image of each; all images once if it is 1."""
    if share == 1:
        return [np.arange(len(targets))]
    number = int(np.clip(IMAGES_IN_ALL / 6 / _images_of(counts, share), FEWEST_PARTS, MOST_PARTS))
    taken = np.ceil(counts * share).astype(np.int64)
    parts = []
    for _ in range(number):
        order = random.permutation(len(targets))
        by_class = order[np.argsort(targets[order], kind="stable")]
        rank = np.arange(len(targets)) - np.repeat(np.cumsum(counts) - counts, counts)
        parts.append(np.sort(by_class[rank < np.repeat(taken, counts)]))
    return parts


def _classify(vectors: Floats, targets: Indices, test_vectors: Floats) -> Indices:
    """Return predictions of linear discriminant analysis with equal priors.

    The covariance within the classes is shrunk towards a multiple of the identity by the share of Y. Chen, A. Wiesel,
    Y. C. Eldar and A. O. Hero (IEEE Transactions on Signal Processing 58, 2010).
    """
    classes, numbers = np.unique(targets, return_inverse=True)
    counts = np.bincount(numbers)
    order = np.argsort(numbers, kind="stable")
    sums = np.add.reduceat(vectors[order], np.cumsum(counts) - counts, axis=0)
    means = sums / counts[:, None]
    residuals = vectors - means[numbers]
    rows, width = residuals.shape
    covariance = residuals.T @ residuals / rows
    mean_variance = np.trace(covariance) / width
    spread = float((covariance**2).mean())
    divisor = (rows + 1) * (spread - mean_variance**2 / width)
    shrinkage = min(1.0, (spread + mean_variance**2) / divisor) if divisor > 0 else 1.0
    covariance *= 1 - shrinkage
    # Images that are all alike have no variance.
    covariance[np.diag_indices(width)] += shrinkage * mean_variance + 1e-9
    weights = np.linalg.solve(covariance, means.T)
    scores = test_vectors @ weights - 0.5 * np.einsum("cw,wc->c", means, weights)
    return np.asarray(classes[scores.argmax(axis=1)])


def _fit(
    sizes: Floats, wrong: Sequence[Mask], full: float, confidence: float, random: np.random.Generator
) -> LearningCurve:
    """Return the points of the curve and its extrapolation; `wrong` has an array [parts, test images] a size."""
    images = wrong[0].shape[1]
    errors = np.array([part.mean() for part in wrong])
    draws = np.empty((DRAWS, len(sizes)))
    for draw in range(DRAWS):
        weights = np.bincount(random.integers(0, images, images), minlength=images) / images
        for number, part in enumerate(wrong):
            chosen = random.integers(0, len(part), len(part))
            draws[draw, number] = (part[chosen] @ weights).mean()
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    lows, highs = np.quantile(draws, ends, axis=0)
    points = [
        Point(float(size), float(error), float(low), float(high), len(part), extrapolated=False)
        for size, error, low, high, part in zip(sizes, errors, lows, highs, wrong, strict=True)
    ]
    # All images are used once, so that the bootstrap of few mistakes is narrow or has no width at all.
    low, high = wilson_interval(round(errors[-1] * images), images, confidence)
    points[-1] = points[-1]._replace(error_low=low, error_high=high)
    more = [number for number in (MORE_IMAGES, full) if full + number <= MAX_FACTOR * full]
    if len(more) > 1 and max(more) < SIMILAR * min(more):
        more = [MORE_IMAGES]
    more.sort()
    targets = np.array([full, *(full + images for images in more)])
    # Small sizes often follow another curve: fits without some of the smallest show how much this matters.
    skips = range(len(sizes) - MIN_SIZES + 1)
    fitted = np.mean([_extrapolate(sizes[skip:], errors[None, skip:], targets)[0] for skip in skips], axis=0)
    drawn = np.concatenate(
        [_extrapolate(sizes[skip:], draws[skip :: len(skips), skip:], targets) for skip in skips], axis=0
    )
    lows, highs = _surround(fitted, drawn, ends)
    points += [
        Point(float(target), float(error), float(low), float(high), 0, extrapolated=True)
        for target, error, low, high in zip(targets[1:], fitted[1:], lows[1:], highs[1:], strict=True)
    ]
    gain_lows, gain_highs = _surround(fitted[0] - fitted[1:], drawn[:, :1] - drawn[:, 1:], ends)
    return LearningCurve(
        points,
        [
            Gain(float(images), float(fitted[0] - error), float(low), float(high))
            for images, error, low, high in zip(more, fitted[1:], gain_lows, gain_highs, strict=True)
        ],
    )


def _surround(values: Floats, draws: Floats, ends: Sequence[float]) -> tuple[Floats, Floats]:
    """Return the ends of the intervals of the columns of `draws`, which contain the values."""
    lows, highs = np.quantile(draws, ends, axis=0)
    return np.minimum(lows, values), np.maximum(highs, values)


def _extrapolate(sizes: Floats, errors: Floats, targets: Floats) -> Floats:
    """Fit each row of `errors`, [draws, sizes], and return the errors at the target sizes, [draws, targets].

    For each exponent, a and b are those of least squares, with a not below 0 and b not below 0.
    """
    best = np.full(len(errors), np.inf)
    fitted = np.zeros((len(errors), len(targets)))
    for exponent in EXPONENTS:
        basis = sizes**-exponent
        centred = basis - basis.mean()
        slope = np.maximum((errors - errors.mean(axis=1, keepdims=True)) @ centred / (centred @ centred), 0)
        level = errors.mean(axis=1) - slope * basis.mean()
        # Where the level would be negative, the curve falls to 0.
        through_zero = np.maximum(errors @ basis / (basis @ basis), 0)
        slope = np.where(level < 0, through_zero, slope)
        level = np.maximum(level, 0)
        losses = ((level[:, None] + slope[:, None] * basis - errors) ** 2).sum(axis=1)
        better = losses < best
        best[better] = losses[better]
        fitted[better] = level[better, None] + slope[better, None] * targets**-exponent
    return fitted
