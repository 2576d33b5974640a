"""Outcomes of the stage: a head that is chosen by the search, or trained as the params say, with its facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tasks.common.params import Head
from tasks.common.text import count, printable
from tasks.head import class_weights, tables
from tasks.head.classifier import build_head
from tasks.head.rows import Rows
from tasks.head.scaling import Scaling
from tasks.head.search import choice
from tasks.head.search.candidate import Candidate
from tasks.head.search.hidden_candidates import add_hidden, fit_hidden
from tasks.head.search.scores import Scored, score
from tasks.head.search.search import Search, find_head, fit_choice
from tasks.networks import training
from tasks.networks.logits import divide_by_temperature, predict_logits
from tasks.tables import history

Curves = Sequence[Mapping[str, float | None]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """A head with its temperature inside, the same head fitted on training rows alone without it, and their facts.

    `scored` are its scores on images that it was not fitted on, whose class numbers are `targets`: on `folds` folds, or
    with 0 folds on the validation images. `candidates`, `depth` and `curves` are rows of the tables of these names.
    """

    headline: str
    warnings: list[str]
    head: keras.Model
    start: keras.Model
    scored: Scored
    reason: str
    folds: int
    targets: npt.NDArray[np.int64]
    candidates: list[dict[str, Any]]
    depth: list[dict[str, Any]]
    curves: Curves


def search_head(rows: Rows, params: Head, *, choose_taps: bool) -> Outcome:
    """Compare candidates on folds and fit the best one on training and validation rows, and on training rows."""
    search, epochs, curves = add_hidden(find_head(rows, params, choose_taps=choose_taps), params)
    winner = search.winner
    candidate = winner.candidate
    # Rows of validation images have weight 0 in the start.
    weights = np.stack([rows.weights, np.where(rows.training[rows.images], rows.weights, 0)])
    if candidate.kind == "hidden":
        layers, curves = fit_hidden(search, candidate, weights, params, epochs[candidate])
    else:
        kernels, biases = fit_choice(search, candidate, weights)
        layers, curves = [list(pair) for pair in zip(kernels, biases, strict=True)], []
    head, start = (_network(search, candidate, weights_of_layers) for weights_of_layers in layers)
    divide_by_temperature(head, winner.temperature)
    single = next(row for row in search.scored if not row.candidate.members)
    reason = choice.explain(winner, search.reference, single, len(search.scored), search.folds.number)
    return Outcome(
        _headline(search),
        search.warnings,
        head,
        start,
        winner,
        reason,
        search.folds.number,
        search.targets,
        [
            tables.candidate_row(rows, row, rank, chosen=row is winner)
            for rank, row in enumerate(search.scored, start=1)
        ],
        tables.depth_rows(search),
        [
            dict(zip(history.COLUMNS, (epoch, loss, None, None if np.isnan(val) else val, None), strict=True))
            for epoch, (loss, val) in enumerate(curves)
        ],
    )


def _network(search: Search, candidate: Candidate, weights: Sequence[npt.NDArray[Any]]) -> keras.Model:
    """Return the network of a candidate with these weights, a kernel and a bias for each dense layer."""
    columns = search.rows.columns(candidate.taps)
    scaling = Scaling(search.scaling.mean[columns], search.scaling.factor[columns])
    head = build_head(
        search.rows.vectors[:1, columns], len(search.rows.classes), candidate.hidden, candidate.dropout, scaling
    )
    head.set_weights([array.astype(np.float32) for array in weights])
    return head


def _headline(search: Search) -> str:
    winner = search.winner
    names = "+".join(printable(layer) for layer in search.rows.layers(winner.candidate.taps))
    logistic = [row for row in search.scored if row.candidate.kind == "logistic"]
    rival = f"; logistic regression {logistic[0].accuracy:.1%}" if logistic else ""
    return (
        f"{winner.candidate.title} on {names}, {winner.accuracy:.1%} ± {winner.standard_error:.1%} over "
        f"{count(search.folds.number, 'fold')} (least log loss of {count(len(search.scored), 'candidate')}{rival})"
    )


def train_as_given(rows: Rows, params: Head) -> Outcome:
    """Train on the rows of training images as the params say, stop by the validation images, calibrate on these."""
    own = rows.training[rows.images]
    validation = rows.plain[~rows.training]
    vectors, targets = rows.vectors[own], rows.targets[own]
    setting = "none" if params.class_weight == "auto" else params.class_weight
    [(name, weights)] = class_weights.resolve(setting, rows.targets[rows.plain[rows.training]], rows.classes).items()
    head = build_head(vectors, len(rows.classes), params.hidden, params.dropout)
    curves = training.fit(
        head,
        (vectors, targets),
        (rows.vectors[validation], rows.targets[validation]),
        len(rows.classes),
        params,
        "head",
        None if name == "none" else dict(enumerate(weights.tolist())),
    )
    start = keras.models.clone_model(head)
    start.set_weights(head.get_weights())
    every_tap = tuple(range(len(rows.taps)))
    candidate = Candidate(
        "hidden" if params.hidden else "logistic",
        every_tap,
        params.weight_decay,
        name,
        tuple(params.hidden),
        params.dropout,
    )
    predicted = predict_logits(head, rows.vectors[validation])
    [scored] = score([candidate], predicted[None], rows.targets[validation])
    divide_by_temperature(head, scored.temperature)
    headline = f"{count(len(curves), 'epoch')}, validation accuracy {scored.accuracy:.1%}"
    reason = "The search is off, so the head is what the params say."
    row = tables.candidate_row(rows, scored, 1, chosen=True)
    return Outcome(headline, [], head, start, scored, reason, 0, rows.targets[validation], [row], [], curves)
