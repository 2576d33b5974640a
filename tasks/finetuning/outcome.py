"""The outcome of fine-tuning: the best mixture of the start and the tuned network."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tasks.common.params import Finetuning
from tasks.common.progress import say
from tasks.common.summary import Summary
from tasks.common.text import count
from tasks.finetuning import mixtures
from tasks.finetuning.batches import Floats
from tasks.finetuning.experiment import Experiment, Predictor
from tasks.finetuning.fitting import Fit, fit
from tasks.finetuning.mixtures import Mixture
from tasks.finetuning.optimization import Optimization, assign, values
from tasks.finetuning.scores import Scores, smoothed_scores
from tasks.networks import saving
from tasks.networks.logits import divide_by_temperature
from tasks.onnx.sessions import Array

NAME = "finetuning"
PHASES = ("first", "refit")


class Outcome(NamedTuple):
    """The result of training, all mixtures, and the best of them.

    The network of `experiment` has the weights of the best mixture, and its temperature inside, unless the head alone
    is best. `predicted` are the probabilities of the best mixture for the validation images, float32 [n, classes],
    without its temperature; with `finetuning.refit`, they are those from before the images were trained on.
    """

    experiment: Experiment
    result: Fit
    mixtures: list[Mixture]
    best: Mixture
    predicted: Floats


def tune(
    experiment: Experiment, head: Path, params: Finetuning, files: Mapping[str, Path], summary: Summary
) -> Outcome:
    """Train the network, choose the best mixture, and train once more if `params.refit` is true.

    `head` is the folder of the stage `head`, and `files` has a checkpoint for each of PHASES.
    """
    network = experiment.network
    start = values(network.variables)
    predict = Predictor(network, experiment.validation)
    result = _fit(experiment, predict, params, files["first"], summary)
    predictions = []
    for share in mixtures.SHARES:
        assign(network.variables, mixtures.interpolate(start, result.best, share))
        predictions.append(predict())
    compared = mixtures.compare(predictions, experiment.validation.targets.argmax(axis=1))
    best = mixtures.choose(compared, len(predictions[0]))
    if best.share:
        assign(network.variables, mixtures.interpolate(start, result.best, best.share))
        if params.refit:
            experiment = _refit(experiment, start, head, result.best_epoch, best, params, files["refit"], summary)
        divide_by_temperature(experiment.network.head, best.temperature)
    return Outcome(experiment, result, compared, best, predictions[compared.index(best)])


def _fit(experiment: Experiment, predict: Predictor, params: Finetuning, file: Path, summary: Summary) -> Fit:
    targets = experiment.validation.targets

    def score() -> Scores:
        return smoothed_scores(predict(), targets, params.label_smoothing)

    optimization = Optimization(experiment.network, experiment.forward, params, len(experiment.train))
    return fit(optimization, experiment.train, score, params.epochs, params, file, summary.warn)


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
