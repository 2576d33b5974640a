"""The speed of fine-tuning: Graft's epochs beside those of plain Keras that trains the same layers.

Keras's side is the textbook's way, with everything but training already done: pixels in memory, decoded, resized and
preprocessed, the frozen base inside the training loop. Both sides start from the same weights and train with the same
optimizer, in another order of images and with other dropout, so two seeds tell how far curves differ by chance. An
epoch includes its validation, and Graft's its checkpoint. The weights of the base are random, and its BatchNorm has the
statistics of some of the images, without which the activations of random weights vanish or explode.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import onnx

from benchmarks import image_sets
from benchmarks.image_sets import ImageSet
from benchmarks.training_run import Sections, TrainingRun, write_images
from tasks.onnx.resizing import resize_session

# Each with the cut before its last block.
NETWORKS = {"MobileNet": "conv_pw_12_relu", "ResNet50": "conv5_block2_out"}
RATIO_WANTED = 0.25
SIDES = ("Keras", "Graft")
CALIBRATION_IMAGES = 64
COLUMNS = (
    *("network", "cut", "images (training + validation)", "Keras, s an epoch", "Graft, s an epoch", "ratio"),
    *("wanted at most", "activations at the cut, s once"),
    *("validation loss: sides differ by at most", "seeds by", "validation accuracy: sides", "seeds"),
)


class SpeedExtent(NamedTuple):
    """The networks, their input size in pixels, the images a class, the epochs, and the seeds."""

    networks: Sequence[str]
    input_size: int
    images_per_class: int
    epochs: int
    seeds: Sequence[int]


class Curve(NamedTuple):
    """The validation after each epoch, the first before training, and the seconds of the epochs but the first."""

    losses: list[float]
    accuracies: list[float]
    seconds: list[float]


Curves = Mapping[tuple[str, int], Curve]
"""The curves by side and seed."""


WEIGHTS = """
import sys
import keras, numpy as np
from keras.applications.imagenet_utils import preprocess_input
name, side, mode, pixels, out = sys.argv[1:]
keras.utils.set_random_seed(0)
base = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(int(side), int(side), 3))
for layer in base.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.0
base(preprocess_input(np.load(pixels).astype(np.float32), mode=mode), training=True)
base.save_weights(out)
"""
KERAS = """
import json, sys, time
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from keras.applications.imagenet_utils import preprocess_input
from tasks.common import params
from tasks.networks import saving
from tasks.networks.logits import divide_by_temperature

arrays, mode, cut = sys.argv[1:]
settings = params.load(Path("params.yaml")).finetuning
tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
keras.utils.set_random_seed(settings.seed)
with np.load(arrays) as file:
    pixels, targets, in_validation = (file[name] for name in ("pixels", "targets", "in_validation"))
values = preprocess_input(pixels.astype(np.float32), mode=mode)
base, head = saving.load(Path("backbone") / "keras", "base"), saving.load(Path("head"), "start")
temperature = json.loads(Path("head/choice.json").read_text())["temperature"]
divide_by_temperature(head, temperature)  # as Graft does
below = True
for layer in base.layers:
    layer.trainable = not below and not isinstance(layer, keras.layers.BatchNormalization)
    below = below and layer.name != cut
source = keras.Input(base.input_shape[1:])
maps = base(source, training=False)
model = keras.Model(source, head(keras.layers.GlobalAveragePooling2D()(maps)))
steps = -(-int((~in_validation).sum()) // settings.batch_size) * settings.epochs
warmup = round(settings.warmup * steps)
rate = keras.optimizers.schedules.CosineDecay(
    0.0, steps - warmup, warmup_target=settings.learning_rate, warmup_steps=warmup
)
model.compile(
    optimizer=keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay),
    loss=keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing),
    metrics=["accuracy"],
    jit_compile=False,  # which is faster on a CPU
)
ends = []
validation = values[in_validation], targets[in_validation]
first = model.evaluate(*validation, batch_size=settings.batch_size, verbose=0)
history = model.fit(
    values[~in_validation],
    targets[~in_validation],
    batch_size=settings.batch_size,
    epochs=settings.epochs,
    validation_data=validation,
    callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))],
    verbose=0,
).history
losses, accuracies = [first[0], *history["val_loss"]], [first[1], *history["val_accuracy"]]
print(json.dumps({"losses": losses, "accuracies": accuracies, "ends": ends}))
"""


def measure_speed(scratch: Path, extent: SpeedExtent) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Yield for each network a row on its speed, and the rows of its curves."""
    digits = image_sets.draw_digits(0, extent.images_per_class)
    known = digits.splits != "test"
    image_set = ImageSet(digits.images[known], digits.labels[known], digits.splits[known], digits.names)
    for name in extent.networks:
        run = TrainingRun(scratch / name)
        write_images(image_set, run.folder)
        mode = _prepare(run, name, image_set, extent)
        curves: dict[tuple[str, int], Curve] = {}
        boundary_seconds = 0.0
        for seed in extent.seeds:
            # The order of the sides changes, so that a machine that grows slower is fair to both.
            for side in reversed(SIDES) if seed % 2 else SIDES:
                run.set_params(_params(name, extent, seed))
                if side == "Keras":
                    curves[side, seed] = _train_keras(run, mode, NETWORKS[name])
                else:
                    curves[side, seed], seconds = _train_graft(run)
                    boundary_seconds = boundary_seconds or seconds
        yield _speed_row(name, image_set, curves, boundary_seconds), list(_curve_rows(name, curves))


def _params(name: str, extent: SpeedExtent, seed: int, weights: str = "none", sha256: str | None = None) -> Sections:
    epochs = extent.epochs
    return {
        "backbone": {"name": name, "weights": weights, "sha256": sha256, "input_size": extent.input_size},
        "features": {"taps": None},  # both sides train the head on the last layer alone
        "finetuning": {"enabled": True, "cut": NETWORKS[name], "seed": seed} | {"epochs": epochs, "patience": epochs},
    }


def _prepare(run: TrainingRun, name: str, image_set: ImageSet, extent: SpeedExtent) -> str:
    """Make weights, backbone, features, head and the arrays for Keras; return the preprocessing of the network."""
    run.set_params(_params(name, extent, 0))
    run.stage("backbone")
    backbone = run.folder / "backbone"
    mode = str(json.loads((backbone / "backbone.json").read_text(encoding="utf-8"))["mode"])
    resize = resize_session(onnx.load(backbone / "backbone.onnx"))
    pixels = np.concatenate([resize(image[None]) for image in image_set.images])
    every = max(1, len(pixels) // CALIBRATION_IMAGES)
    np.save(run.folder / "some.npy", pixels[::every])
    weights = run.folder / "base.weights.h5"
    run.python("-c", WEIGHTS, name, str(extent.input_size), mode, "some.npy", str(weights))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    run.set_params(_params(name, extent, 0, str(weights), digest))
    for stage in ("backbone", "features", "head"):
        run.stage(stage)
    targets = np.eye(len(image_set.names), dtype=np.float32)[image_set.labels]
    np.savez(run.folder / "arrays.npz", pixels=pixels, targets=targets, in_validation=image_set.splits == "val")
    return mode


def _train_keras(run: TrainingRun, mode: str, cut: str) -> Curve:
    values = json.loads(run.python("-c", KERAS, "arrays.npz", mode, cut).splitlines()[-1])
    seconds = [end - start for start, end in pairwise(values["ends"])]
    return Curve(values["losses"], values["accuracies"], seconds)


def _train_graft(run: TrainingRun) -> tuple[Curve, float]:
    """Return the curve, and the seconds that the activations at the cut took, 0 if the store had them."""
    ends, messages = run.finetune()
    match = re.search(r"boundary\b.* in ([\d.,]+) s$", messages, re.MULTILINE)
    with (run.folder / "finetuning" / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curve = Curve(
        [float(row["val_loss"]) for row in rows],
        [float(row["val_accuracy"]) for row in rows],
        [end - start for start, end in pairwise(ends)],
    )
    return curve, float(match[1].replace(",", "")) if match else 0.0


def _speed_row(name: str, image_set: ImageSet, curves: Curves, boundary_seconds: float) -> tuple[str, ...]:
    seconds = {
        side: median(second for (who, _), curve in curves.items() if who == side for second in curve.seconds)
        for side in SIDES
    }
    images = f"{(image_set.splits == 'train').sum()} + {(image_set.splits == 'val').sum()}"
    ratio = seconds["Graft"] / seconds["Keras"]
    times = f"{seconds['Keras']:.2f}", f"{seconds['Graft']:.2f}", f"**{ratio:.2f}**", f"{RATIO_WANTED:g}"
    gaps = (f"{_gap(curves, values, between):.3f}" for values, between in product(("losses", "accuracies"), (0, 1)))
    return name, NETWORKS[name], images, *times, f"{boundary_seconds:.1f}", *gaps


def _gap(curves: Curves, values: str, between: int) -> float:
    """Return the largest difference after any epoch: of the sides' means over seeds (0), or of a side's seeds (1)."""
    sides = [np.array([getattr(curve, values) for (who, _), curve in curves.items() if who == side]) for side in SIDES]
    if between:
        return float(max(np.ptp(side, axis=0).max() for side in sides))
    return float(np.abs(sides[0].mean(axis=0) - sides[1].mean(axis=0)).max())


def _curve_rows(name: str, curves: Curves) -> Iterator[tuple[str, ...]]:
    for (side, seed), curve in sorted(curves.items()):
        pairs = zip(curve.losses, curve.accuracies, strict=True)
        yield name, side, str(seed), *(f"{loss:.3f} ({accuracy:.1%})" for loss, accuracy in pairs)
