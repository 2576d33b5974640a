"""Mixtures of the start and the tuned network: their weights are interpolated, and the best mixture is chosen.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT, arXiv 2109.01903), section 3.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from tasks.calibration.log_loss import log_losses, log_probabilities
from tasks.calibration.temperature import temperatures
from tasks.finetuning.batches import Floats, Ints
from tasks.onnx.sessions import Array

SHARES = tuple(tenth / 10 for tenth in range(11))


class Mixture(NamedTuple):
    """How a share of the tuned weights does on validation images.

    `log_loss` and `accuracy` are means, the loss after division of the logits by `temperature`. `difference` is the
    mean of the loss minus that of the head alone (share 0), and `standard_error` that of this mean, paired by image.
    """

    share: float
    log_loss: float
    accuracy: float
    temperature: float
    difference: float
    standard_error: float


def interpolate(start: Sequence[Array], tuned: Sequence[Array], share: float) -> list[Array]:
    """Return the weights that lie at `share`, in [0, 1], of the way from `start` to `tuned`."""
    return [first + np.float32(share) * (last - first) for first, last in zip(start, tuned, strict=True)]


def compare(predictions: Sequence[Floats], targets: Ints) -> list[Mixture]:
    """Return how the mixtures do, of which the first is the head alone.

    Each is scored after a temperature of its own, because the file that is exported has one too.

    Args:
        predictions: for each of SHARES the probabilities, float32 [n, classes].
        targets: the class of each image, int64 [n].
    """
    mixtures: list[Mixture] = []
    head_losses: npt.NDArray[np.floating] = np.empty(0)
    for share, probabilities in zip(SHARES, predictions, strict=True):
        logits = log_probabilities(probabilities)
        [temperature] = temperatures(logits[None], targets)
        losses = log_losses(logits / temperature, targets)
        if not mixtures:
            head_losses = losses
        differences = losses - head_losses
        error = differences.std(ddof=1) / np.sqrt(len(targets)) if len(targets) > 1 else np.inf
        accuracy = (probabilities.argmax(axis=1) == targets).mean()
        mixtures.append(Mixture(share, *map(float, (losses.mean(), accuracy, temperature, differences.mean(), error))))
    return mixtures


def choose(mixtures: Sequence[Mixture], images: int) -> Mixture:
    """Return the mixture of least loss among those that are better on n images than the head alone by more than noise.

    Those have a loss whose difference has a 95 % interval (Student's t, paired by image) below 0, and an accuracy that
    is not lower. If there are none, the head alone is best. The head's own weights have seen the validation images
    too, so a mixture must be clearly better to make up for that.
    """
    head, margin = mixtures[0], float(t.ppf(0.975, max(images - 1, 1)))
    better = [
        mixture
        for mixture in mixtures[1:]
        if mixture.difference < -margin * mixture.standard_error and mixture.accuracy >= head.accuracy
    ]
    return min(better, key=lambda mixture: mixture.log_loss, default=head)


def describe(mixtures: Sequence[Mixture], best: Mixture, images: int) -> str:
    """Return in a sentence which mixture won and by how much."""
    head = mixtures[0]
    if best.share == 0:
        nearest = min(mixtures[1:], key=lambda mixture: mixture.log_loss)
        won = (
            f"mixture 0, the head alone, won on {images:,} validation images: log loss {head.log_loss:.3f}, accuracy "
            f"{head.accuracy:.1%}"
        )
        if not any(mixture.difference for mixture in mixtures):
            return f"{won}; no epoch of training was better"
        return (
            f"{won}; the next best, mixture {nearest.share:.1f}, differs by {nearest.difference:+.3f} "
            f"± {nearest.standard_error:.3f} and {nearest.accuracy - head.accuracy:+.1%}"
        )
    return (
        f"mixture {best.share:.1f} won on {images:,} validation images: log loss {best.log_loss:.3f}, "
        f"{best.difference:+.3f} ± {best.standard_error:.3f} against the head alone; accuracy {best.accuracy:.1%}, "
        f"{best.accuracy - head.accuracy:+.1%}"
    )


def write(path: Path, mixtures: Sequence[Mixture]) -> None:
    """Write the table as CSV, a row a mixture."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["mixture", *Mixture._fields[1:]])
        writer.writerows(mixtures)
