"""The exported file over the test images.

The file's graph runs in two parts, up to the resized image and from there, because the feature store may have resized
pixels already: they were made by the same resize from pixels decoded in the same way, so that the probabilities are
those of the whole file, bit for bit.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from tasks.common.progress import track
from tasks.common.threads import available_cores
from tasks.evaluation.occlusion import Explanation, explain
from tasks.evaluation.test_set import TestSet
from tasks.images.inference import Inference, Item, require_all
from tasks.images.resized import ResizedPixels
from tasks.onnx import graphs
from tasks.onnx.resizing import read_preprocessing, resize_session
from tasks.onnx.sessions import Array, Session
from tasks.store import Store
from tasks.tables.accepted import Accepted

BATCH_SIZE = 8


class Outputs(NamedTuple):
    """Outputs for N images: probabilities, float32 [N, classes], and `known`, float32 [N], if the file has it."""

    probabilities: Array
    known: Array | None = None


def predict_test_images(
    graph: onnx.ModelProto, images: Path, rows: Sequence[Accepted], classes: list[str], confidence: float, store: Store
) -> TestSet:
    """Run the exported graph over the images of `rows`, each by itself, as a client sends it.

    Resized pixels that the store has are used instead of the image files. The classes of the result are `classes`,
    those of the file, and after them those that only test images have, with probability 0.

    Raises:
        GraftError: An image can no longer be used, or the store cannot be used.
    """
    inference = _inference(images, graph, store)
    batches = require_all(
        inference.run([Item(row.path, row.sha256) for row in rows], BATCH_SIZE, available_cores()), images
    )
    tracked = track(batches, len(rows), "evaluation", size=len)
    columns = zip(*(batch.outputs for batch in tracked), strict=True)
    probabilities, known = Outputs(*(np.concatenate(column) for column in columns))
    predicted = probabilities.argmax(axis=1).astype(np.int64)
    # A class without training images is not in the file: its test images count, and their predictions are wrong.
    unseen = sorted({row.label for row in rows} - set(classes))
    probabilities = np.pad(probabilities, ((0, 0), (0, len(unseen))))
    numbers = {name: number for number, name in enumerate([*classes, *unseen])}
    actual = np.array([numbers[row.label] for row in rows], np.int64)
    return TestSet([row.path for row in rows], actual, predicted, probabilities, known, list(numbers), confidence)


def explain_predictions(
    graph: onnx.ModelProto, images: Path, rows: Sequence[Accepted], test: TestSet, chosen: Sequence[int], store: Store
) -> dict[int, Explanation]:
    """Return what in each of the chosen images counts for its predicted class, by position in the test set.

    `rows` are those of `test`. Each image costs PASSES_PER_IMAGE forward passes.

    Raises:
        GraftError: An image can no longer be used, or the store cannot be used.
    """
    resize = resize_session(graph)
    resized = ResizedPixels(store, read_preprocessing(graph))
    inference = Inference(images, lambda pixels, _: resize(pixels[None])[0], lambda batch: [batch], resized=resized)
    items = [Item(rows[position].path, rows[position].sha256) for position in chosen]
    batches = require_all(inference.run(items, BATCH_SIZE, available_cores()), images)
    pixels = [image for batch in batches for image in batch.outputs[0]]
    classify = _classifier(graph)
    predicted = [int(test.predicted[position]) for position in chosen]
    explanations = explain(pixels, predicted, lambda batch: classify.outputs(batch, ["probabilities"])[0])
    return dict(zip(chosen, explanations, strict=True))


def _classifier(graph: onnx.ModelProto) -> Session:
    """Return the part of the graph from resized pixels to its outputs."""
    # All outputs stay, because the runtime may compute a graph with fewer of them in another way.
    return Session(graphs.extract(graph, "resized", [output.name for output in graph.graph.output]), threads=1)


def _inference(images: Path, graph: onnx.ModelProto, store: Store) -> Inference:
    """Return the inference from images to the fields of Outputs."""
    resize = resize_session(graph)
    classify = _classifier(graph)
    names = [output.name for output in graph.graph.output]
    wanted = [name for name in Outputs._fields if name in names]

    def forward(batch: Array) -> list[Array]:
        columns = zip(*(classify.outputs(pixels[None], wanted) for pixels in batch), strict=True)
        return [np.concatenate(column) for column in columns]

    resized = ResizedPixels(store, read_preprocessing(graph))
    return Inference(images, lambda pixels, _: resize(pixels[None])[0], forward, resized=resized)
