"""Candidates with hidden layers, added to a search where there are enough images for them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from tasks.common.params import Head
from tasks.common.progress import say
from tasks.head.search import choice, parallel_networks
from tasks.head.search.candidate import Candidate
from tasks.head.search.linear import Array
from tasks.head.search.scores import score
from tasks.head.search.search import Search

# With fewer images, linear candidates are as good, and the search would take longer than it is worth.
LEAST_IMAGES = 2000
# The folds of all candidates may take so many multiplications.
MOST_MULTIPLICATIONS = 5e12
DROPOUTS = (0.5, 1.0)
DECAYS = (1.0, 100.0)


def add_hidden(search: Search, params: Head) -> tuple[Search, dict[Candidate, int], list[tuple[float, float]]]:
    """Return the search with candidates that have the hidden layers of the params, and the choice made again.

    Half and all of `head.dropout`, and one and 100 times `head.weight_decay`, are tried on the taps of the choice.

    Returns:
        The search, the number of epochs for each such candidate, and the learning curves (`parallel_networks.Trained`).
    """
    rows, folds = search.rows, search.folds
    taps = search.winner.candidate.taps
    columns = rows.columns(taps)
    widths = [len(columns), *params.hidden, len(rows.classes)]
    names = [name for name in search.class_weights if params.criterion != "accuracy" or name != "balanced"]
    candidates = [
        Candidate("hidden", taps, params.weight_decay * decay, name, tuple(params.hidden), params.dropout * dropout)
        for name in names or list(search.class_weights)
        for decay in DECAYS
        for dropout in DROPOUTS
    ]
    products = sum(first * second for first, second in pairwise(widths))
    needed = 6.0 * products * len(rows.targets) * params.epochs * len(candidates) * folds.number
    if not params.hidden or len(rows.plain) < LEAST_IMAGES:
        return search, {}, []
    if needed > MOST_MULTIPLICATIONS:
        say("head: networks with hidden layers are left out, since their search would take minutes; head.hidden")
        return search, {}, []
    settings = [_setting(search, candidate) for candidate in candidates for _ in range(folds.number)]
    training = np.tile(folds.training_weights(), (len(candidates), 1))
    held_out = np.zeros(training.shape, bool)
    held_out[:, rows.plain] = training[:, rows.plain] == 0
    vectors = search.features[:, columns].astype(np.float32)
    trained = parallel_networks.train(vectors, rows.targets, settings, training, held_out, params)
    logits = trained.logits.reshape(len(candidates), folds.number, *trained.logits.shape[1:])
    images = np.arange(len(rows.plain))
    scored = score(candidates, logits[:, folds.of_images, rows.plain[images]].astype(np.float64), search.targets)
    epochs = trained.epochs.reshape(len(candidates), folds.number)
    winner = choice.choose(search.winner, scored, search.image_weights)
    ranked = choice.order([*search.scored, *scored], params.criterion, search.image_weights)
    middle = {candidate: int(np.median(row)) for candidate, row in zip(candidates, epochs, strict=True)}
    return replace(search, scored=ranked, winner=winner), middle, trained.curves


def fit_hidden(
    search: Search, candidate: Candidate, row_weights: Array, params: Head, epochs: int
) -> tuple[list[list[parallel_networks.Floats]], list[tuple[float, float]]]:
    """Return the weights of a candidate, kernel and bias of each layer, for each of M sets of row weights [M, R]."""
    vectors = search.features[:, search.rows.columns(candidate.taps)].astype(np.float32)
    number = len(row_weights)
    trained = parallel_networks.train(
        vectors,
        search.rows.targets,
        [_setting(search, candidate)] * number,
        row_weights,
        np.zeros(row_weights.shape, bool),
        params,
        max(1, epochs),
    )
    layers = list(zip(trained.kernels, trained.biases, strict=True))
    return [[array[model] for layer in layers for array in layer] for model in range(number)], trained.curves


def _setting(search: Search, candidate: Candidate) -> parallel_networks.Setting:
    weights = tuple(search.class_weights[candidate.class_weight].tolist())
    return parallel_networks.Setting(candidate.hidden, candidate.dropout, candidate.strength or 0.0, weights)
