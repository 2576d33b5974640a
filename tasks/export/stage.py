"""From base and head to one file from image to probabilities, checked against the training side's predictions."""

from pathlib import Path
from typing import Any

import numpy as np

from tasks.common.errors import GateError
from tasks.common.files import atomic_folder, require
from tasks.common.hashing import hash_file
from tasks.common.params import Evaluation, Export
from tasks.common.progress import say
from tasks.common.summary import Summary
from tasks.common.text import count
from tasks.export import metadata
from tasks.export.class_files import write_class_files
from tasks.export.coverage import choose_sets
from tasks.export.inputs import Inputs
from tasks.export.metrics import measure
from tasks.export.model_card import File, write_card
from tasks.export.operating_points import choose_thresholds
from tasks.export.validation_sample import ValidationSample, predict
from tasks.export.variants.registry import VARIANTS
from tasks.export.variants.variant import RefusedError, Sources
from tasks.images.sources import image_folder
from tasks.onnx import graphs
from tasks.onnx.sessions import Array
from tasks.tables import accepted, held_out, reference

NAME = "export"
MODEL = "model.onnx"


def export_model(inputs: Inputs, out: Path, params: Export, evaluation: Evaluation) -> None:
    """Join base (tuned, if fine-tuning won), head and novelty score, and write the file and its variants into `out`.

    A variant that fails its check is not written, and a warning says why.

    Raises:
        GraftError: A part is missing, an image can no longer be used, or a wanted threshold cannot be had.
        GateError: The file's probabilities differ from the training side's by more than `params.tolerance` on the
            validation images compared, or a variant that should be exact is not.
    """
    images = image_folder(inputs.images)
    parts = inputs.read_parts()
    expected = reference.read(inputs.tuned / "reference.parquet")
    rows, accepted_sha256 = accepted.read(inputs.accepted), hash_file(require(inputs.accepted, "validation"))
    model = parts.join()
    facts = metadata.describe(parts, expected.classes, rows, accepted_sha256, _tested(inputs, evaluation))
    graphs.set_metadata(model, facts.to_texts())
    paths = expected.paths[: params.parity_images]
    sample = predict(model, images, paths)
    _check_parity(sample, expected.probabilities[: len(paths)], params.tolerance)
    checked = f"equal to the training side within {params.tolerance:.0e} on {count(len(paths), 'validation image')}"
    summary = Summary(NAME)
    sources = Sources(model, facts, sample, images, rows, expected, inputs, params)
    with atomic_folder(out) as folder:
        graphs.save(model, folder / MODEL)
        write_class_files(folder, facts.classes)
        size = (folder / MODEL).stat().st_size
        use = f"for ONNX Runtime: takes images of any size; opset {graphs.opset(model)}; {checked}"
        files = [File(MODEL, size, use), *_write_variants(sources, folder, summary)]
        (folder / "model_card.md").write_text(write_card(facts, files, summary.warnings), encoding="utf-8")
        others = [file.name for file in files[1:]]
        summary.write(folder, f"{MODEL}, {checked}" + (f"; {', '.join(others)}" if others else ""))


def _write_variants(sources: Sources, folder: Path, summary: Summary) -> list[File]:
    """Write the variants that pass their check into the folder; warn of the others."""
    files = []
    for name in dict.fromkeys(sources.params.variants):
        variant = VARIANTS[name]
        try:
            content, facts = variant.make(sources)
        except RefusedError as error:
            summary.warn(f"{variant.file} was not written: {str(error).rstrip('.')}.")
            continue
        (folder / variant.file).write_bytes(content)
        files.append(File(variant.file, len(content), f"{variant.use}; {facts}"))
        say(f"{NAME}: {variant.file}, {facts}")
    return files


def _tested(inputs: Inputs, evaluation: Evaluation) -> dict[str, Any]:
    """Return the metadata that come from predictions for images which the model had not seen."""
    table = held_out.read(inputs.tuned / "held_out.parquet")
    return {
        "metrics": measure(table, evaluation.confidence),
        "operating_points": choose_thresholds(table, evaluation.operating_points),
        "coverage": {} if evaluation.coverage is None else choose_sets(table, evaluation.coverage),
    }


def _check_parity(sample: ValidationSample, expected: Array, tolerance: float) -> None:
    error = float(np.abs(sample.outputs["probabilities"] - expected).max())
    # A comparison with NaN is false, so that it never passes.
    if not error <= tolerance:
        message = (
            f"the exported file's probabilities differ from the training side's by up to {error:.1e}; "
            f"expected at most {tolerance:.1e} (export.tolerance)."
        )
        raise GateError(message)
