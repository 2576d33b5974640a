import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tasks.common.params import Finetuning, Params
from tasks.common.summary import Summary
from tasks.finetuning.batches import Floats, StoredBatches, one_hot
from tasks.finetuning.experiment import Predictor
from tasks.finetuning.fitting import Fit, fit
from tasks.finetuning.network import Network
from tasks.finetuning.optimization import Optimization, values
from tasks.finetuning.scores import Scores, smoothed_scores
from tests.tasks.finetuning.small_inputs import build_head

TARGETS = np.arange(24) % 2
INPUTS = np.random.default_rng(0).normal(TARGETS[:, None, None, None], 0.5, (24, 3, 3, 2)).astype(np.float32)


def small_network() -> Network:
    keras.utils.set_random_seed(0)
    source = keras.Input((3, 3, 2))
    return Network(keras.Model(source, keras.layers.Conv2D(4, 3, name="top")(source)), build_head(4, 0), "avg", 0)


def batches(inputs: Floats = INPUTS, rows: slice = slice(0, 16)) -> StoredBatches:
    return StoredBatches([inputs], one_hot(TARGETS, 2), np.arange(24)[rows], batch_size=8, seed=0)


@pytest.fixture(scope="session")
def params(settings: Params) -> Finetuning:
    update = {"epochs": 4, "learning_rate": 0.01, "patience": 2, "batch_size": 8, "label_smoothing": 0.1}
    return settings.finetuning.model_copy(update=update)


def train(
    file: Path, params: Finetuning, inputs: Floats = INPUTS, score: Callable[[Predictor], Scores] | None = None
) -> tuple[Fit, Network]:
    network = small_network()
    predictor = Predictor(network, batches(rows=slice(16, 24)))

    def measure() -> Scores:
        if score:
            return score(predictor)
        return smoothed_scores(predictor(), one_hot(TARGETS[16:], 2), params.label_smoothing)

    optimization = Optimization(network, network, params, steps=2)
    return fit(optimization, batches(inputs), measure, params.epochs, params, file, Summary("finetuning").warn), network


def test_validation_scores_are_those_of_keras() -> None:
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 9).astype(np.float32)
    targets = one_hot(np.arange(9) % 3, 3)
    scores = smoothed_scores(probabilities, targets, 0.1)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)(targets, probabilities)
    assert scores.loss == pytest.approx(float(loss), rel=1e-5)
    accuracy = keras.metrics.CategoricalAccuracy()
    accuracy.update_state(targets, probabilities)
    assert scores.accuracy == pytest.approx(float(accuracy.result()))


def test_training_lowers_the_loss_and_keeps_the_weights_of_the_best_epoch(tmp_path: Path, params: Finetuning) -> None:
    result, network = train(tmp_path / "any.safetensors", params)
    losses = [row["val_loss"] or math.inf for row in result.history]
    assert [row["epoch"] for row in result.history] == [0, 1, 2, 3, 4]
    assert losses[4] < losses[0]
    assert result.best_epoch == losses.index(min(losses))
    if result.best_epoch == 4:
        for value, expected in zip(values(network.variables), result.best, strict=True):
            np.testing.assert_array_equal(value, expected)


def test_training_stops_after_epochs_without_a_lower_loss_and_the_start_may_be_best(
    tmp_path: Path, params: Finetuning
) -> None:
    start = values(small_network().variables)
    result, _ = train(tmp_path / "any.safetensors", params, score=lambda _: Scores(1.0, 0.5))
    assert (len(result.history), result.best_epoch, result.diverged) == (3, 0, False)
    for value, expected in zip(result.best, start, strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize(
    ("rate", "scale", "validation", "expected"),
    [
        (0.01, np.nan, None, "the loss is not finite in epoch 1 at a learning rate of up to 0.01"),
        (0.01, 1.0, np.inf, "the validation loss is not finite in epoch 1 at a learning rate of up to 0.01"),
        (10.0, 1.0, None, "at a learning rate of up to 10"),
    ],
    ids=["not finite", "validation not finite", "explodes"],
)
def test_training_that_diverges_stops_with_a_warning_and_keeps_the_best_weights(
    tmp_path: Path,
    params: Finetuning,
    capsys: pytest.CaptureFixture[str],
    rate: float,
    scale: float,
    validation: float | None,
    expected: str,
) -> None:
    diverging = params.model_copy(update={"learning_rate": rate, "warmup": 0.0})
    scores = iter([Scores(0.7, 0.5), Scores(validation, 0.5)] if validation else [])
    score = (lambda _: next(scores)) if validation else None
    result, _ = train(tmp_path / "any.safetensors", diverging, INPUTS * np.float32(scale), score)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("finetuning: warning: the ")
    assert expected in line
    assert line.endswith("; training stops and the best weights so far are kept. Lower finetuning.learning_rate.")
    assert result.diverged
    assert all(np.isfinite(value).all() for value in result.best)


def test_lower_layers_learn_at_a_lower_rate(params: Finetuning) -> None:
    changes = []
    for layer_decay in (1.0, 0.1):
        network = small_network()
        settings = params.model_copy(update={"layer_decay": layer_decay, "warmup": 0.0, "weight_decay": 0.0})
        optimization = Optimization(network, network, settings, steps=2)
        before = optimization.weights
        optimization.step([INPUTS[:8]], one_hot(TARGETS[:8], 2))
        changes.append([np.abs(a - b).max() for a, b in zip(optimization.weights, before, strict=True)])
    # The first two are the weights of the head, the others those of the convolution. AdamW's first step is the rate.
    np.testing.assert_allclose(changes[0], [0.01] * 4, rtol=1e-2)
    np.testing.assert_allclose(changes[1], [0.01, 0.01, 0.001, 0.001], rtol=1e-2)


def test_the_rate_rises_and_then_falls_along_a_half_cosine(params: Finetuning) -> None:
    network = small_network()
    settings = params.model_copy(update={"warmup": 0.25})
    optimization = Optimization(network, network, settings, steps=2)
    rates = [optimization.rate(epoch, step) for epoch in range(1, 5) for step in range(2)]
    cosine = [0.005 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    np.testing.assert_allclose(rates, [0, 0.005, *cosine], rtol=1e-5)
