"""The trial: few-shot accuracy of a linear classifier on frozen features, compared with controls."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from starter.defects import defect_images
from starter.pretraining import new_base
from starter.warp import SIDE
from tasks.common.errors import GraftError

SHOTS = (1, 5, 10, 20)
"""Labelled images per class."""
TAPS = ("conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu")
"""Layers whose average-pooled outputs are measured: the last alone, and the three joined."""

PIXEL_GRID = 16
RANDOM_BASES = 3
IMAGES_PER_DEFECT = 150


@dataclass(frozen=True)
class Row:
    """Mean accuracy, 0..1, by labelled images per class, for one kind of features on one dataset."""

    dataset: str
    features: str
    accuracy: dict[int, float]


def digit_images() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Return scikit-learn's 1,797 digits: images, uint8 [n, SIDE, SIDE, 3], and class indexes, int32 [n].

    The 8x8 originals with 17 grey levels are enlarged bilinearly. The pretraining never uses them.
    """
    bunch = load_digits()
    small = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    size = (SIDE, SIDE)
    large = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in small]
    return np.repeat(np.stack(large)[..., None], 3, axis=-1), bunch.target.astype(np.int32)


def load_base(path: Path) -> keras.Model:
    """Return the base with the weights of a file.

    Raises:
        GraftError: The file is missing or holds other content than the weights of this network.
    """
    base = new_base()
    if not path.is_file():
        message = f"expected starter weights at {path}, found no file; make them: make starter"
        raise GraftError(message)
    try:
        base.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        message = (
            f"expected the weights of MobileNet 0.25 at 64x64 in {path}, found other content; make them: make starter"
        )
        raise GraftError(message) from error
    return base


def tap_features(base: keras.Model, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
    """Run the base once over images, uint8 [n, SIDE, SIDE, 3].

    Returns:
        For each tap its average-pooled output, float32 [n, channels].
    """
    pooled = [keras.layers.GlobalAveragePooling2D()(base.get_layer(name).output) for name in TAPS]
    model = keras.Model(base.input, pooled)
    outputs = [model(images[start : start + 256] / np.float32(127.5) - 1) for start in range(0, len(images), 256)]
    return [np.concatenate([np.asarray(output[tap]) for output in outputs]) for tap in range(len(TAPS))]


def few_shot_accuracy(
    features: npt.NDArray[np.float32], targets: npt.NDArray[np.int32], shots: int, splits: int, seed: int = 0
) -> float:
    """Return the accuracy of logistic regression trained on `shots` images per class, tested on all the others.

    It is the mean over `splits` random draws of the training images. Each feature is divided by its standard deviation
    over the training images plus the mean deviation of all features. The scale is relative because activations of a
    network with random weights can be as small as 1e-14; the mean is added because a few images are not enough to
    estimate the deviation of one feature.
    """
    rng = np.random.default_rng((seed, shots))
    scores = []
    for _ in range(splits):
        order = rng.permutation(len(targets))
        train_rows = np.concatenate([order[targets[order] == target][:shots] for target in np.unique(targets)])
        test_rows = np.setdiff1d(order, train_rows)
        train = features[train_rows].astype(np.float64)
        mean, deviation = train.mean(axis=0), train.std(axis=0)
        scale = deviation + deviation.mean()
        classifier = LogisticRegression(max_iter=2000).fit((train - mean) / scale, targets[train_rows])
        scores.append(classifier.score((features[test_rows] - mean) / scale, targets[test_rows]))
    return float(np.mean(scores))


def trial(base: keras.Model, splits: int = 20) -> list[Row]:
    """Measure a base on the digits and on the generated defects, with raw pixels and random weights as controls."""
    datasets = {"digits": digit_images(), "defects": defect_images(IMAGES_PER_DEFECT, seed=3)}
    rows = []
    for dataset, (images, targets) in datasets.items():
        taps = tap_features(base, images)
        kinds = {
            "last layer": [taps[-1]],
            "three taps joined": [_concatenate(taps)],
            "raw pixels": [_pixels(images)],
            "random weights, last layer": [],
            "random weights, three taps joined": [],
        }
        for seed in range(RANDOM_BASES):
            random_taps = tap_features(new_base(seed), images)
            kinds["random weights, last layer"].append(random_taps[-1])
            kinds["random weights, three taps joined"].append(_concatenate(random_taps))
        for kind, variants in kinds.items():
            accuracy = {
                shots: float(np.mean([few_shot_accuracy(variant, targets, shots, splits) for variant in variants]))
                for shots in SHOTS
            }
            rows.append(Row(dataset, kind, accuracy))
    return rows


def _concatenate(taps: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Join taps, each scaled to deviation 1, because the activations of random networks shrink greatly with depth."""
    return np.concatenate([tap / (tap.std() + np.finfo(np.float32).tiny) for tap in taps], axis=1)


def _pixels(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the images as grey 16x16 pixels, float32 [n, 256]."""
    block = SIDE // PIXEL_GRID
    grey = images.mean(axis=-1, dtype=np.float32)
    blocks = grey.reshape(-1, PIXEL_GRID, block, PIXEL_GRID, block)
    return np.asarray(blocks.mean(axis=(2, 4)).reshape(len(images), -1))
