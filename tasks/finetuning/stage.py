"""Training the top of the base together with the head.

Everything at and below the cut is constant, so its activations are computed once an image and trained from there.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf

from tasks.common.errors import GraftError
from tasks.common.files import atomic_folder, require
from tasks.common.params import Finetuning
from tasks.common.progress import say, track
from tasks.networks import cuts, saving, training
from tasks.networks.conversion.keras_to_onnx import convert_base, convert_head, pool, preprocess, tap_vectors
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tasks.tables import accepted, reference


def tune(images: Path, manifest: Path, backbone: Path, head: Path, out: Path, params: Finetuning) -> None:
    """Train the base above `params.cut` and the head, and write both into the folder `out`.

    Raises GraftError when the base has no such cut.
    """
    facts = json.loads(require(backbone / "backbone.json", "backbone").read_text(encoding="utf-8"))
    among = cuts.LayerList(facts["name"], facts["layers"], facts["cuts"])
    cut = boundary_of(params.cut, among, facts["taps"])
    training.make_repeatable(params.seed, params.threads)
    base = saving.load(backbone, "base")
    classifier = saving.load(require(head, "head"), "head")
    lower, upper = split_at(base, cut)
    model = joint(upper, classifier, facts["pooling"], boundary_is_tap=cut in cuts.tap_names(base))
    by_split: dict[str, list[accepted.Accepted]] = {"train": [], "val": []}
    for row in accepted.load(manifest):
        if row.split in by_split:
            by_split[row.split].append(row)
    rows, first_val = [*by_split["train"], *by_split["val"]], len(by_split["train"])
    classes = sorted({row.label for row in rows})
    resize = Session(graphs.extract(onnx.load(backbone / "backbone.onnx"), "image", "resized"), threads=1)
    with TemporaryDirectory() as scratch:
        activations = boundary(images, rows, resize, lower, facts["mode"], params.batch_size, Path(scratch))
        targets = np.array([classes.index(row.label) for row in rows])
        train, val = (
            (activations[:first_val], targets[:first_val]),
            (activations[first_val:], targets[first_val:]),
        )
        history = training.fit(model, train, val, len(classes), params, "finetuning")
        predicted = model.predict(val[0], batch_size=params.batch_size, verbose=0)
    reached = training.summary(history)
    say(f"finetuning: {len(history)} epochs, validation accuracy {reached['val_accuracy']:.1%}")
    graph = convert_base(base, facts["input_size"], facts["mode"], facts["pooling"])
    graphs.set_metadata(graph, graphs.metadata(onnx.load(backbone / "backbone.onnx")))
    with atomic_folder(out) as folder:
        graphs.save(graph, folder / "backbone.onnx")
        saving.save(base, folder, "base")
        saving.save(classifier, folder, "head")
        graphs.save(convert_head(classifier), folder / "head.onnx")
        training.write_history(history, folder / "history.csv")
        (folder / "metrics.json").write_text(json.dumps(reached, indent=1) + "\n", encoding="utf-8")
        reference.save(folder / "reference.parquet", [row.path for row in by_split["val"]], predicted, classes)
        shutil.copyfile(head / "history.csv", folder / "head_history.csv")


def boundary_of(choice: cuts.Choice, among: cuts.LayerList, taps: list[str]) -> str:
    """Return the cut that `choice` means; raises GraftError unless something to train and every tap lies above it."""
    cut = cuts.resolve(choice, among, "finetuning.cut")
    if among.depth(cut) > among.depth(taps[0]):
        message = (
            f"finetuning.cut '{cut}' lies above the tap '{taps[0]}', whose features would stay as they are. "
            f"Choose '{taps[0]}' or a cut below it, or take that one out of features.taps."
        )
        raise GraftError(message)
    if cut == among.layers[-1]:
        message = f"finetuning.cut '{cut}' is the last layer of {among.name}: nothing is above it to train."
        raise GraftError(message)
    return cut


def split_at(base: keras.Model, cut: str) -> tuple[keras.Model, keras.Model]:
    """Return the base up to and with the layer `cut`, and the rest of it; they share the base's weights.

    The rest has an output at each tap above the cut.
    """
    lower = cuts.truncate(base, [cut])
    above = [base.get_layer(name).output for name in cuts.tap_names(base) if name != cut]
    return lower, keras.Model(lower.output, above, name="upper")


def joint(upper: keras.Model, classifier: keras.Model, pooling: str, *, boundary_is_tap: bool = False) -> keras.Model:
    """Return the model from boundary activations to probabilities that is trained.

    `boundary_is_tap`: the activations themselves are features too, ahead of those from above.
    BatchNorm runs in inference mode and keeps its statistics: with few images its batch statistics wreck the base.
    """
    for layer in upper.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    source = keras.Input(upper.input_shape[1:], name="boundary")
    below = [pool(source, pooling)] if boundary_is_tap else []
    vectors = below + tap_vectors(upper, source, pooling)
    features = vectors[0] if len(vectors) == 1 else keras.layers.Concatenate()(vectors)
    return keras.Model(source, classifier(features), name="joint")


def boundary(
    images: Path,
    rows: list[accepted.Accepted],
    resize: Session,
    lower: keras.Model,
    mode: str,
    batch_size: int,
    scratch: Path,
) -> npt.NDArray[Any]:
    """Return the activations at the cut, float32 [N, ...], in a file of the scratch folder and not in memory."""
    shape = (len(rows), *lower.output_shape[1:])
    say(f"finetuning: {np.prod(shape) * 4 / 1e6:,.0f} MB of activations at the cut, kept on disk while training")
    forward = tf.function(lambda pixels: lower(preprocess(pixels, mode), training=False))
    values = np.lib.format.open_memmap(scratch / "boundary.npy", mode="w+", dtype=np.float32, shape=shape)
    pixels = accepted.each(images, [row.path for row in rows], resize, ahead=2 * batch_size)
    waiting: list[npt.NDArray[Any]] = []
    done = 0
    for image in track(pixels, len(rows), "finetuning: boundary"):
        waiting.append(image)
        if len(waiting) == batch_size or done + len(waiting) == len(rows):
            batch = np.asarray(forward(tf.constant(np.stack(waiting))))
            values[done : done + len(batch)] = batch
            done += len(batch)
            waiting.clear()
    return values
