"""The trial: how well a linear classifier on frozen features does with few labels, beside what it must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from starter.defects import defect_images
from starter.pretraining import new_base
from starter.warp import SIDE
from tasks.common.errors import GraftError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHOTS = (1, 5, 10, 20)
"""Labelled images per class."""
DEPTHS = ("conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu")
"""The layers whose average-pooled outputs are tried, the last alone and the three joined."""

_PIXELS = 16
_RANDOM_BASES = 3
_DEFECTS_EACH = 150


@dataclass(frozen=True)
class Row:
    """Mean accuracy, 0..1, by labelled images per class, for one kind of features on one target."""

    target: str
    features: str
    accuracy: dict[int, float]


def digit_images() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return scikit-learn's 1,797 digits: pictures, uint8 [n, SIDE, SIDE, 3], and labels, int32 [n].

    The 8x8 originals with 17 grey levels are enlarged bilinearly. They are never trained on.
    """
    bunch = load_digits()
    small = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    size = (SIDE, SIDE)
    large = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in small]
    return np.repeat(np.stack(large)[..., None], 3, axis=-1), bunch.target.astype(np.int32)


def load_base(path: Path) -> keras.Model:
    """Return the base with the weights of a file; GraftError when the file is missing or holds another network."""
    base = new_base()
    if not path.is_file():
        msg = f"expected starter weights at {path}, found no file; make them: make starter"
        raise GraftError(msg)
    try:
        base.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        msg = f"expected the weights of MobileNet 0.25 at 64x64 in {path}, found other content; make them: make starter"
        raise GraftError(msg) from error
    return base


def tapped_features(base: keras.Model, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Run the base once over pictures, uint8 [n, SIDE, SIDE, 3]; average-pooled float32 [n, channels] per depth."""
    pooled = [keras.layers.GlobalAveragePooling2D()(base.get_layer(name).output) for name in DEPTHS]
    taps = keras.Model(base.input, pooled)
    outputs = [taps(pictures[start : start + 256] / np.float32(127.5) - 1) for start in range(0, len(pictures), 256)]
    return [np.concatenate([np.asarray(output[depth]) for output in outputs]) for depth in range(len(DEPTHS))]


def few_shot_accuracy(
    features: NDArray[np.float32], labels: NDArray[np.int32], shots: int, splits: int, seed: int = 0
) -> float:
    """Return the accuracy of logistic regression trained on `shots` images per class, tested on all the others.

    The mean over `splits` random draws of the training images. A feature is scaled by its deviation over the training
    images plus the mean deviation of all the features: purely relative, since activations of a network with random
    weights can be as small as 1e-14, and softened, since a few images say little about one feature's deviation.
    """
    rng = np.random.default_rng((seed, shots))
    scores = []
    for _ in range(splits):
        order = rng.permutation(len(labels))
        chosen = np.concatenate([order[labels[order] == label][:shots] for label in np.unique(labels)])
        rest = np.setdiff1d(order, chosen)
        train = features[chosen].astype(np.float64)
        mean, deviation = train.mean(axis=0), train.std(axis=0)
        scale = deviation + deviation.mean()
        classifier = LogisticRegression(max_iter=2000).fit((train - mean) / scale, labels[chosen])
        scores.append(classifier.score((features[rest] - mean) / scale, labels[rest]))
    return float(np.mean(scores))


def trial(base: keras.Model, splits: int = 20) -> list[Row]:
    """Try a base on the digits and on the made-up defects, with raw pixels and random weights as controls."""
    targets = {"digits": digit_images(), "defects": defect_images(_DEFECTS_EACH, seed=3)}
    rows = []
    for target, (pictures, labels) in targets.items():
        depths = tapped_features(base, pictures)
        kinds = {
            "last layer": [depths[-1]],
            "three depths joined": [_joined(depths)],
            "raw pixels": [_pixels(pictures)],
            "random weights, last layer": [],
            "random weights, three depths joined": [],
        }
        for seed in range(_RANDOM_BASES):
            random_depths = tapped_features(new_base(seed), pictures)
            kinds["random weights, last layer"].append(random_depths[-1])
            kinds["random weights, three depths joined"].append(_joined(random_depths))
        for kind, variants in kinds.items():
            accuracy = {
                shots: float(np.mean([few_shot_accuracy(variant, labels, shots, splits) for variant in variants]))
                for shots in SHOTS
            }
            rows.append(Row(target, kind, accuracy))
    return rows


def _joined(depths: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Join depths, each brought to deviation 1: random networks' activations shrink by orders from layer to layer."""
    return np.concatenate([depth / (depth.std() + np.finfo(np.float32).tiny) for depth in depths], axis=1)


def _pixels(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return grey 16x16 versions as vectors, float32 [n, 256]."""
    block = SIDE // _PIXELS
    grey = pictures.mean(axis=-1, dtype=np.float32)
    return grey.reshape(-1, _PIXELS, block, _PIXELS, block).mean(axis=(2, 4)).reshape(len(pictures), -1)
