"""From features to a head: chosen on folds or trained as the params say, calibrated, with the tables of the choice."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tasks.common.files import atomic_folder
from tasks.common.params import Head
from tasks.common.summary import Summary
from tasks.common.text import count, printable
from tasks.head import class_weights, tables
from tasks.head.classifier import build_head, divide_by_temperature, logits
from tasks.head.rows import Rows, collect_rows
from tasks.head.scaling import Scaling
from tasks.head.search import choice
from tasks.head.search.candidate import Candidate
from tasks.head.search.hidden_candidates import add_hidden, fit_hidden
from tasks.head.search.scores import Scored, score
from tasks.head.search.search import Search, find_head, fit_choice, tap_columns
from tasks.networks import saving, training
from tasks.networks.conversion.keras_to_onnx import convert_head
from tasks.onnx import graphs
from tasks.tables import accepted, features, history, reference

Curves = Sequence[Mapping[str, float | None]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """A head with its temperature inside, the same head fitted on training rows alone without it, and their facts."""

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


def train_head(
    features_file: Path, accepted_images: Path, out: Path, params: Head, *, choose_taps: bool = False
) -> None:
    """Write the head, and the tables of its choice, into the folder `out`.

    With `params.search` off, the head is trained on the training rows as the params say. Otherwise candidates are
    compared on folds over training and validation images, and the best is fitted on both; with `choose_taps` it may use
    some of the taps only.

    Raises:
        GraftError: The features or the class weights cannot be used.
    """
    training.make_repeatable(params.seed, params.threads)
    table = features.read(features_file)
    groups = {row.path: row.group for row in accepted.read(accepted_images)}
    rows = collect_rows(table, groups)
    with threadpool_limits(params.threads, user_api="blas"):
        outcome = _search(rows, params, choose_taps=choose_taps) if params.search == "grid" else _train(rows, params)
    summary = Summary("head")
    for warning in outcome.warnings:
        summary.warn(warning)
    candidate = outcome.scored.candidate
    validation = rows.plain[~rows.training]
    predicted = outcome.head.predict(rows.vectors[validation][:, tap_columns(rows, candidate.taps)], verbose=0)
    graph = convert_head(outcome.head)
    graphs.set_metadata(graph, {"taps": json.dumps(tables.layers(rows, candidate.taps))})
    with atomic_folder(out) as folder:
        saving.save(outcome.head, folder, "head")
        saving.save(outcome.start, folder, "start")
        graphs.save(graph, folder / "head.onnx")
        history.write(folder / "history.csv", outcome.curves)
        tables.write_csv(folder / "candidates.csv", tables.CANDIDATES, outcome.candidates)
        tables.write_csv(folder / "depth.csv", tables.DEPTH, outcome.depth)
        facts = tables.choice_facts(rows, outcome.scored, outcome.reason, outcome.folds)
        tables.write_json(folder / "choice.json", facts)
        tables.write_json(folder / "metrics.json", tables.metrics(outcome.scored, outcome.targets, outcome.folds))
        reference.write(
            folder / "reference.parquet",
            [rows.paths[i] for i in np.flatnonzero(~rows.training)],
            predicted,
            rows.classes,
        )
        summary.write(folder, outcome.headline)


def _search(rows: Rows, params: Head, *, choose_taps: bool) -> Outcome:
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
    columns = tap_columns(search.rows, candidate.taps)
    scaling = Scaling(search.scaling.mean[columns], search.scaling.factor[columns])
    head = build_head(
        search.rows.vectors[:1, columns], len(search.rows.classes), candidate.hidden, candidate.dropout, scaling
    )
    head.set_weights([array.astype(np.float32) for array in weights])
    return head


def _headline(search: Search) -> str:
    winner = search.winner
    names = "+".join(printable(layer) for layer in tables.layers(search.rows, winner.candidate.taps))
    logistic = [row for row in search.scored if row.candidate.kind == "logistic"]
    rival = f"; logistic regression {logistic[0].accuracy:.1%}" if logistic else ""
    return (
        f"{winner.candidate.title} on {names}, {winner.accuracy:.1%} ± {winner.standard_error:.1%} over "
        f"{count(search.folds.number, 'fold')} (best of {count(len(search.scored), 'candidate')}{rival})"
    )


def _train(rows: Rows, params: Head) -> Outcome:
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
    predicted = logits(head, rows.vectors[validation])
    [scored] = score([candidate], predicted[None], rows.targets[validation])
    divide_by_temperature(head, scored.temperature)
    headline = f"{count(len(curves), 'epoch')}, validation accuracy {scored.accuracy:.1%}"
    reason = "The search is off, so the head is what the params say."
    row = tables.candidate_row(rows, scored, 1, chosen=True)
    return Outcome(headline, [], head, start, scored, reason, 0, rows.targets[validation], [row], [], curves)
