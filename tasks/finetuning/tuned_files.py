"""The files of a tuned network that the export needs."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from tasks.calibration.calibration_error import calibration_error
from tasks.calibration.log_loss import log_probabilities
from tasks.calibration.temperature import probabilities
from tasks.finetuning.experiment import Base, Predictor
from tasks.finetuning.outcome import Outcome
from tasks.finetuning.sample import Sample
from tasks.networks import saving
from tasks.networks.conversion.keras_to_onnx import convert_base, convert_head
from tasks.onnx import graphs
from tasks.onnx.resize import resize_from_json
from tasks.tables import held_out, reference
from tasks.tables.held_out import HeldOut


def write_tuned(
    folder: Path,
    base: Base,
    outcome: Outcome,
    head_graph: onnx.ModelProto,
    validation: Sample,
    classes: Sequence[str],
) -> onnx.ModelProto:
    """Write base, head, and the predictions for validation images, seen or not; return the base's graph."""
    facts, experiment = base.facts, outcome.experiment
    network, temperature = experiment.network, outcome.best.temperature
    tuned = convert_base(base.model, resize_from_json(facts["resize"]), facts["mode"], facts["pooling"])
    graphs.set_metadata(tuned, graphs.metadata(base.graph))
    graphs.save(tuned, folder / "backbone.onnx")
    saving.save(base.model, folder / "keras", "base")
    saving.save(network.head, folder, "head")

    calibrated = probabilities(log_probabilities(outcome.predicted) / temperature).astype(np.float32)
    calibration = {
        "temperature": temperature,
        "before": calibration_error(outcome.predicted, validation.targets),
        "after": calibration_error(calibrated, validation.targets),
    }
    head = convert_head(network.head)
    graphs.set_metadata(head, graphs.metadata(head_graph) | {"calibration": json.dumps(calibration)})
    graphs.save(head, folder / "head.onnx")

    labels = [classes[target] for target in validation.targets]
    table = HeldOut(validation.paths, labels, ["val"] * len(labels), calibrated, list(classes))
    held_out.write(folder / "held_out.parquet", table)
    final = Predictor(network, experiment.validation)()
    reference.write(folder / "reference.parquet", validation.paths, final, classes)
    return tuned
