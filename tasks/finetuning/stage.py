"""From the base and the head to both of them, trained together above a cut, or to the head alone if that is better.

Everything at and below the cut is constant, so its activations are computed once for each view and training starts from
them. The head that was fitted on the training images alone is the start; mixtures of it and the tuned network are
compared on the validation images, which neither has seen.
"""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf

from tasks.common.files import atomic_folder, require
from tasks.common.hashing import hash_file
from tasks.common.params import Augmentation, Features, Finetuning
from tasks.common.summary import Summary
from tasks.extraction.recipe import read_augmentation
from tasks.extraction.request import read_request
from tasks.finetuning import checkpoint, mixtures
from tasks.finetuning.experiment import Base, prepare
from tasks.finetuning.inputs import Inputs
from tasks.finetuning.network import divide_taps
from tasks.finetuning.outcome import PHASES, Outcome, tune
from tasks.finetuning.sample import find_sample
from tasks.finetuning.tuned_files import write_tuned
from tasks.finetuning.tuned_novelty import fit_tuned_novelty
from tasks.finetuning.unchanged_head import copy_head, pass_head_on
from tasks.images.sources import image_folder
from tasks.networks import cuts, saving, training
from tasks.networks.logits import divide_by_temperature
from tasks.novelty.graph import write_novelty
from tasks.onnx import graphs
from tasks.store import open_store
from tasks.tables import features, history, reference

NAME = "finetuning"


def finetune(
    inputs: Inputs,
    out: Path,
    params: Finetuning,
    extraction: Features,
    augmentation: Augmentation,
    false_alarms: float,
) -> None:
    """Train the base above `params.cut` and the head, and write what is best into the folder `out`.

    The best mixture of the start and the tuned network is written, or the head as it is if none is better. Of
    `extraction`, the views, the store and the settings of the computation are used. `false_alarms` is the share of
    images like these that the novelty score of a tuned base may call unknown.

    Raises:
        GraftError: The backbone is an encoder, has no such cut, an image can no longer be used, the store cannot be
            used, or the disk has no room.
    """
    images, summary = image_folder(inputs.images), Summary(NAME)
    facts = inputs.backbone_facts()
    layers = cuts.LayerList(facts["name"], facts["layers"], facts["cuts"])
    cut = cuts.resolve(params.cut, layers, "finetuning.cut")
    head_graph = onnx.load(require(inputs.head / "head.onnx", "head"))
    used = json.loads(graphs.metadata(head_graph)["taps"])
    taps = divide_taps(used, cut, layers)
    if not taps.above:
        summary.warn(
            f"the head uses no tap above finetuning.cut '{cut}' (it uses {', '.join(used)}), so there is nothing to "
            "train and the head is kept as it is. Choose a lower cut."
        )
        pass_head_on(inputs.head, out, summary)
        return
    files = {phase: _checkpoint_file(inputs, params, extraction, augmentation, phase) for phase in PHASES}
    checkpoint.prune(files["first"].parent)
    training.make_repeatable(params.seed, params.threads)
    graph = onnx.load(inputs.backbone / "backbone.onnx")
    base = Base(saving.load(inputs.backbone / "keras", "base"), graph, facts, cut)
    classes = reference.read(inputs.head / "reference.parquet").classes
    table = features.read(inputs.features)
    sample = find_sample(read_request(inputs.accepted, extraction.views), table, classes)
    start_head = saving.load(inputs.head, "start")
    # Logits of a head that no training step has seen, such as one of least squares, may be of any size.
    divide_by_temperature(start_head, inputs.temperature())
    views, store = read_augmentation(augmentation), open_store(extraction.store)
    experiment = prepare(images, base, start_head, taps, sample, table, views, store, params, extraction)

    outcome = tune(experiment, inputs.head, params, files, summary)
    best = outcome.best
    with atomic_folder(out) as folder:
        if best.share:
            validation = sample.take(sample.in_validation)
            tuned = write_tuned(folder, base, outcome, head_graph, validation, classes)
            novelty = fit_tuned_novelty(images, tuned, used, sample, views, store, extraction, false_alarms)
            write_novelty(novelty, folder / "known.onnx", summary.warn)
        else:
            copy_head(inputs.head, folder)
        history.write(folder / "history.csv", outcome.result.history)
        mixtures.write(folder / "mixtures.csv", outcome.mixtures)
        text = json.dumps(_metrics(outcome), indent=1)
        (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
        summary.write(folder, mixtures.describe(outcome.mixtures, best, int(sample.in_validation.sum())))
    for file in files.values():
        file.unlink(missing_ok=True)


def _metrics(outcome: Outcome) -> dict[str, float]:
    result, head, best = outcome.result, outcome.mixtures[0], outcome.best
    return {
        "mixture": best.share,
        "epochs": len(result.history) - 1,
        "best_epoch": result.best_epoch,
        "head_val_loss": head.log_loss,
        "head_val_accuracy": head.accuracy,
        "val_loss": best.log_loss,
        "val_accuracy": best.accuracy,
    }


def _checkpoint_file(
    inputs: Inputs, params: Finetuning, extraction: Features, augmentation: Augmentation, phase: str
) -> Path:
    """Return the checkpoint of a phase of training, by everything that decides its result."""
    libraries = [tf.__version__, keras.__version__, np.__version__, onnxruntime.__version__]
    settings = params.model_dump(exclude={"enabled", "refit"}), extraction.views, augmentation.model_dump()
    files = [hash_file(file) for file in inputs.deciding_files()]
    content = json.dumps([phase, libraries, settings, files])
    return checkpoint.checkpoint_file(hashlib.sha256(content.encode()).hexdigest())
