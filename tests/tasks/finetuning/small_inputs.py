"""Small inputs of fine-tuning: images with bars in two directions, their features, and heads."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from tasks.networks import saving
from tasks.networks.conversion.keras_to_onnx import convert_head
from tasks.onnx import graphs
from tasks.tables import features, held_out, reference
from tasks.tables.accepted import Accepted
from tasks.tables.held_out import HeldOut
from tests.tasks.conftest import SPLITS, hash_file, noise

TAP = features.Tap("conv_pw_13_relu", 256, 1.0)
CLASSES = ["horizontal", "vertical"]
TEMPERATURE = 0.5


def write_images(root: Path) -> list[Accepted]:
    """Write 24 images a class, with horizontal bars or with vertical ones, and return their rows."""
    rows = []
    for axis, label in enumerate(CLASSES):
        (root / label).mkdir(parents=True)
        for number in range(24):
            pixels = noise(100 * axis + number, 60 + number, 83 - number) // 8
            bars = (np.arange(pixels.shape[axis]) + number) // 8 % 2 == 1
            pixels[bars if axis == 0 else (slice(None), bars)] += 200
            path = f"{label}/{number}.png"
            Image.fromarray(pixels).save(root / path)
            rows.append(Accepted(path, label, SPLITS[number % len(SPLITS)], hash_file(root / path)))
    return rows


def build_head(width: int, seed: int) -> keras.Model:
    """Return an untrained head."""
    keras.utils.set_random_seed(seed)
    source = keras.Input((width,), name="features")
    values = keras.layers.Dropout(0.1, name="dropout")(source)
    return keras.Model(source, keras.layers.Dense(2, activation="softmax", name="probabilities")(values), name="head")


def write_head(folder: Path, taps: Sequence[str] = (TAP.layer,)) -> None:
    """Write what the stage `head` writes: a head, and another one as the start."""
    head = build_head(TAP.width, seed=1)
    saving.save(head, folder, "head")
    saving.save(build_head(TAP.width, seed=0), folder, "start")
    graph = convert_head(head)
    graphs.set_metadata(graph, {"taps": json.dumps(list(taps))})
    graphs.save(graph, folder / "head.onnx")
    (folder / "choice.json").write_text(json.dumps({"temperature": TEMPERATURE}))
    probabilities = np.full((1, 2), 0.5, np.float32)
    reference.write(folder / "reference.parquet", ["any"], probabilities, CLASSES)
    held_out.write(folder / "held_out.parquet", HeldOut(["any"], CLASSES[:1], ["val"], probabilities, CLASSES))


def write_features(path: Path, rows: Sequence[Accepted], views: int, tap: features.Tap = TAP) -> None:
    """Write features of every row and of `views` views of training images; a vector holds the number of its row."""
    numbered = [(row, view) for row in rows for view in range(views if row.split == "train" else 1)]
    paths, labels, splits = ([str(getattr(row, name)) for row, _ in numbered] for name in ("path", "label", "split"))
    vectors = np.arange(len(numbered), dtype=np.float32)[:, None].repeat(tap.width, axis=1)
    numbers = np.array([view for _, view in numbered], np.uint16)
    features.write(path, [tap], [features.Block(paths, labels, splits, numbers, vectors)])
