"""From the base and the head to both of them, trained together above a cut.

Everything at and below the cut is constant, so its activations are computed once for each image and training starts
from them.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
import onnx
import tensorflow as tf

from tasks.common.files import atomic_folder, require
from tasks.common.params import Finetuning
from tasks.common.progress import say, track
from tasks.common.threads import available_cores
from tasks.finetuning.parts import join_head, resolve_cut, split_base
from tasks.images.inference import Inference, Item, require_all
from tasks.images.resized import ResizedPixels
from tasks.images.sources import image_folder
from tasks.networks import cuts, saving, training
from tasks.networks.conversion.keras_to_onnx import convert_base, convert_head, preprocess
from tasks.onnx import graphs
from tasks.onnx.resizing import read_preprocessing, resize_session
from tasks.onnx.sessions import Array
from tasks.store import Store
from tasks.tables import accepted, reference
from tasks.tables.accepted import Accepted


def finetune(
    images: Path, accepted_images: Path, backbone: Path, head: Path, out: Path, params: Finetuning, store: Store
) -> None:
    """Train the base above `params.cut` and the head, and write both into the folder `out`.

    Resized pixels that the store has are used instead of the image files.

    Raises:
        GraftError: The base has no such cut, an image can no longer be used, or the store cannot be used.
    """
    images = image_folder(images)
    facts = json.loads(require(backbone / "backbone.json", "backbone").read_text(encoding="utf-8"))
    layers = cuts.LayerList(facts["name"], facts["layers"], facts["cuts"])
    cut = resolve_cut(params.cut, layers, facts["taps"])
    training.make_repeatable(params.seed, params.threads)
    base = saving.load(backbone / "keras", "base")
    classifier = saving.load(require(head, "head"), "head")
    lower, upper = split_base(base, cut)
    model = join_head(upper, classifier, facts["pooling"], boundary_is_tap=cut in cuts.tap_names(base))

    all_rows = accepted.read(accepted_images)
    train, val = ([row for row in all_rows if row.split == split] for split in ("train", "val"))
    classes = sorted({row.label for row in [*train, *val]})
    targets = np.array([classes.index(row.label) for row in [*train, *val]])
    graph = onnx.load(backbone / "backbone.onnx")
    resize, preprocessing = resize_session(graph), read_preprocessing(graph)
    inference = Inference(
        images,
        prepare=lambda pixels, _: resize(pixels[None])[0],
        forward=_forward(lower, facts["mode"]),
        min_side=preprocessing.min_side,
        resized=ResizedPixels(store, preprocessing),
    )
    with TemporaryDirectory() as scratch:
        activations = _write_activations(
            inference, [*train, *val], lower.output_shape[1:], params.batch_size, Path(scratch) / "boundary.npy"
        )
        first_val = len(train)
        history = training.fit(
            model,
            (activations[:first_val], targets[:first_val]),
            (activations[first_val:], targets[first_val:]),
            len(classes),
            params,
            "finetuning",
        )
        predicted = model.predict(activations[first_val:], batch_size=params.batch_size, verbose=0)
    metrics = training.summary(history)
    say(f"finetuning: {len(history)} epochs, validation accuracy {metrics['val_accuracy']:.1%}")
    tuned = convert_base(base, facts["input_size"], facts["mode"], facts["pooling"])
    graphs.set_metadata(tuned, graphs.metadata(graph))
    with atomic_folder(out) as folder:
        graphs.save(tuned, folder / "backbone.onnx")
        saving.save(base, folder, "base")
        saving.save(classifier, folder, "head")
        graphs.save(convert_head(classifier), folder / "head.onnx")
        training.write_history(history, folder / "history.csv")
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        reference.write(folder / "reference.parquet", [row.path for row in val], predicted, classes)
        shutil.copyfile(head / "history.csv", folder / "head_history.csv")


def _forward(lower: keras.Model, mode: str) -> Callable[[Array], list[Array]]:
    """Return the function from resized pixels, uint8 [n, S, S, 3], to one output, the activations at the cut."""
    forward = tf.function(lambda pixels: lower(preprocess(pixels, mode), training=False))
    return lambda batch: [np.asarray(forward(tf.constant(batch)))]


def _write_activations(
    inference: Inference, rows: Sequence[Accepted], shape: tuple[int, ...], batch_size: int, file: Path
) -> Array:
    """Return the activations at the cut, float32 [N, *shape], in `file` and not in memory."""
    size = (len(rows), *shape)
    say(f"finetuning: {np.prod(size) * 4 / 1e6:,.0f} MB of activations at the cut, kept on disk while training")
    activations = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=size)
    items = [Item(row.path, row.sha256, scaled=row.split == "train") for row in rows]
    batches = require_all(inference.run(items, batch_size, available_cores()), inference.root)
    done = 0
    for batch in track(batches, len(rows), "finetuning: boundary", size=len):
        activations[done : done + len(batch)] = batch.outputs[0]
        done += len(batch)
    return activations
