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
from tasks.common.progress import say
from tasks.common.summary import Summary
from tasks.common.text import count
from tasks.extraction.recipe import read_augmentation
from tasks.extraction.request import read_request
from tasks.finetuning import checkpoint, mixtures
from tasks.finetuning.experiment import Base, Experiment, Predictor, prepare
from tasks.finetuning.fitting import Fit, Scores, fit, smoothed_scores
from tasks.finetuning.inputs import Inputs
from tasks.finetuning.mixtures import Mixture
from tasks.finetuning.optimization import Optimization, assign, values
from tasks.finetuning.parts import divide_taps, fold_temperature
from tasks.finetuning.sample import find_sample
from tasks.finetuning.unchanged_head import copy_head, pass_head_on
from tasks.images.sources import image_folder
from tasks.networks import cuts, saving, training
from tasks.networks.conversion.keras_to_onnx import convert_base, convert_head
from tasks.onnx import graphs
from tasks.onnx.resize import resize_from_json
from tasks.onnx.sessions import Array
from tasks.store import open_store
from tasks.tables import features, history, reference

NAME = "finetuning"
PHASES = ("first", "refit")


def finetune(inputs: Inputs, out: Path, params: Finetuning, extraction: Features, augmentation: Augmentation) -> None:
    """Train the base above `params.cut` and the head, and write what is best into the folder `out`.

    The best mixture of the start and the tuned network is written, or the head as it is if none is better. Of
    `extraction`, the views, the store and the settings of the computation are used.

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
    fold_temperature(start_head, inputs.temperature())
    views, store = read_augmentation(augmentation), open_store(extraction.store)
    experiment = prepare(images, base, start_head, taps, sample, table, views, store, params, extraction)

    start = values(experiment.network.variables)
    predict = Predictor(experiment.network, experiment.validation)
    result = _fit(experiment, predict, params, files["first"], summary)
    table_of_mixtures = _compare(experiment, predict, start, result.best)
    best = mixtures.choose(table_of_mixtures, int(sample.in_validation.sum()))
    if best.share:
        assign(experiment.network.variables, mixtures.interpolate(start, result.best, best.share))
        if params.refit:
            epochs = result.best_epoch
            experiment = _refit(experiment, start, inputs.head, epochs, best, params, files["refit"], summary)
        fold_temperature(experiment.network.head, best.temperature)
    with atomic_folder(out) as folder:
        if best.share:
            _write_tuned(folder, base, experiment, head_graph)
            validation = sample.take(sample.in_validation)
            predicted = Predictor(experiment.network, experiment.validation)()
            reference.write(folder / "reference.parquet", validation.paths, predicted, classes)
        else:
            copy_head(inputs.head, folder)
        history.write(folder / "history.csv", result.history)
        mixtures.write(folder / "mixtures.csv", table_of_mixtures)
        text = json.dumps(_metrics(result, table_of_mixtures[0], best), indent=1)
        (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
        summary.write(folder, mixtures.describe(table_of_mixtures, best, int(sample.in_validation.sum())))
    for file in files.values():
        file.unlink(missing_ok=True)


def _fit(experiment: Experiment, predict: Predictor, params: Finetuning, file: Path, summary: Summary) -> Fit:
    targets = experiment.validation.targets

    def score() -> Scores:
        return smoothed_scores(predict(), targets, params.label_smoothing)

    optimization = Optimization(experiment.network, experiment.forward, params, len(experiment.train))
    return fit(optimization, experiment.train, score, params.epochs, params, file, summary.warn)


def _compare(experiment: Experiment, predict: Predictor, start: list[Array], tuned: list[Array]) -> list[Mixture]:
    predictions = []
    for share in mixtures.SHARES:
        assign(experiment.network.variables, mixtures.interpolate(start, tuned, share))
        predictions.append(predict())
    return mixtures.compare(predictions, experiment.validation.targets.argmax(axis=1))


def _refit(
    experiment: Experiment,
    start: list[Array],
    head: Path,
    epochs: int,
    mixture: Mixture,
    params: Finetuning,
    file: Path,
    summary: Summary,
) -> Experiment:
    """Return the experiment trained again, on validation images too, from the head that was fitted on both.

    When training diverges, the experiment is returned as it was.
    """
    say(f"{NAME}: training once more for {count(epochs, 'epoch')}, on training and validation images")
    chosen = values(experiment.network.variables)
    assign(experiment.network.variables, start)
    again = experiment.with_head(saving.load(head, "head"))
    new_start = values(again.network.variables)
    optimization = Optimization(again.network, again.forward, params, len(again.both))
    result = fit(optimization, again.both, None, epochs, params, file, summary.warn)
    if result.diverged:
        summary.warn("the mixture that was trained on training images alone is kept")
        assign(experiment.network.variables, chosen)
        return experiment
    assign(again.network.variables, mixtures.interpolate(new_start, result.best, mixture.share))
    return again


def _write_tuned(folder: Path, base: Base, experiment: Experiment, head_graph: onnx.ModelProto) -> None:
    facts, head = base.facts, experiment.network.head
    tuned = convert_base(base.model, resize_from_json(facts["resize"]), facts["mode"], facts["pooling"])
    graphs.set_metadata(tuned, graphs.metadata(base.graph))
    graphs.save(tuned, folder / "backbone.onnx")
    saving.save(base.model, folder / "keras", "base")
    saving.save(head, folder, "head")
    tuned_head = convert_head(head)
    graphs.set_metadata(tuned_head, graphs.metadata(head_graph))
    graphs.save(tuned_head, folder / "head.onnx")


def _metrics(result: Fit, head: Mixture, best: Mixture) -> dict[str, float]:
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
