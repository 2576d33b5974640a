"""From features to a head: chosen on folds or trained as the params say, calibrated, with the tables of the choice."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tasks.calibration.temperature import probabilities
from tasks.common.files import atomic_folder
from tasks.common.params import Head
from tasks.common.summary import Summary
from tasks.head import tables
from tasks.head.outcome import Outcome, search_head, train_as_given
from tasks.head.rows import Rows, collect_rows
from tasks.networks import saving, training
from tasks.networks.conversion.keras_to_onnx import convert_head
from tasks.novelty.graph import write_novelty
from tasks.novelty.score import Novelty, Refusal, fit_novelty
from tasks.onnx import graphs
from tasks.tables import accepted, features, held_out, history, reference
from tasks.tables.held_out import HeldOut


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
        outcome = (
            search_head(rows, params, choose_taps=choose_taps)
            if params.search == "grid"
            else train_as_given(rows, params)
        )
    summary = Summary("head")
    for warning in outcome.warnings:
        summary.warn(warning)
    candidate = outcome.scored.candidate
    validation = rows.plain[~rows.training]
    predicted = outcome.head.predict(rows.vectors[validation][:, rows.columns(candidate.taps)], verbose=0)
    graph = convert_head(outcome.head)
    figures = tables.metrics(outcome.scored, outcome.targets, outcome.folds)
    calibration = {
        "temperature": figures["temperature"],
        "before": figures["calibration_error_before"],
        "after": figures["calibration_error_after"],
    }
    layers = rows.layers(candidate.taps)
    graphs.set_metadata(graph, {"taps": json.dumps(layers), "calibration": json.dumps(calibration)})
    novelty = _fit_novelty(rows, candidate.taps, params.false_alarms)
    with atomic_folder(out) as folder:
        saving.save(outcome.head, folder, "head")
        saving.save(outcome.start, folder, "start")
        graphs.save(graph, folder / "head.onnx")
        history.write(folder / "history.csv", outcome.curves)
        tables.write_csv(folder / "candidates.csv", tables.CANDIDATES, outcome.candidates)
        tables.write_csv(folder / "depth.csv", tables.DEPTH, outcome.depth)
        facts = tables.choice_facts(rows, outcome.scored, outcome.reason, outcome.folds)
        tables.write_json(folder / "choice.json", facts)
        tables.write_json(folder / "metrics.json", figures)
        held_out.write(folder / "held_out.parquet", _held_out(rows, outcome))
        write_novelty(novelty, folder / "known.onnx", summary.warn)
        reference.write(
            folder / "reference.parquet",
            [rows.paths[i] for i in np.flatnonzero(~rows.training)],
            predicted,
            rows.classes,
        )
        summary.write(folder, outcome.headline)


def _held_out(rows: Rows, outcome: Outcome) -> HeldOut:
    """Return calibrated predictions for images that the head did not see: all on folds, else the validation images."""
    images = range(len(rows.paths)) if outcome.folds else np.flatnonzero(~rows.training).tolist()
    calibrated = probabilities(outcome.scored.logits / outcome.scored.temperature)
    return HeldOut(
        [rows.paths[image] for image in images],
        [rows.classes[rows.targets[rows.plain[image]]] for image in images],
        ["train" if rows.training[image] else "val" for image in images],
        calibrated.astype(np.float32),
        rows.classes,
    )


def _fit_novelty(rows: Rows, taps: Sequence[int], false_alarms: float) -> Novelty | Refusal:
    """Return the novelty score for the features of the taps in use, from the plain views of the images."""
    vectors, targets = rows.vectors[rows.plain][:, rows.columns(taps)], rows.targets[rows.plain]
    widths = [rows.taps[tap].width for tap in taps]
    training = rows.training
    return fit_novelty(vectors[training], targets[training], vectors[~training], widths, false_alarms)
