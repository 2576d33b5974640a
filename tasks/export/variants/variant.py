"""The frame of a variant: what it is made from, what it promises, and how it is refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from tasks.common.errors import GraftError
from tasks.common.params import Export
from tasks.common.text import count
from tasks.export.inputs import Inputs
from tasks.export.validation_sample import ValidationSample
from tasks.onnx.model_metadata import ModelMetadata
from tasks.onnx.sessions import Array
from tasks.tables.accepted import Accepted
from tasks.tables.reference import Reference


@dataclass(frozen=True, eq=False)
class Sources:
    """The sources of all variants.

    Attributes:
        model: the graph of `model.onnx`, with its metadata.
        metadata: the same metadata.
        sample: validation images with the outputs of `model.onnx`.
        images: folder of the images.
        rows: the accepted images.
        expected: the probabilities of the training side for all validation images.
        inputs: the files that the stage reads.
        params: section `export`.
    """

    model: onnx.ModelProto
    metadata: ModelMetadata
    sample: ValidationSample
    images: Path
    rows: Sequence[Accepted]
    expected: Reference
    inputs: Inputs
    params: Export


class Product(NamedTuple):
    """A variant that passed its check: its bytes, and a sentence about its form and its difference from the model."""

    content: bytes
    facts: str


class Variant(NamedTuple):
    """A variant: its file, its use in a sentence, and the function that makes and checks it.

    `make` raises RefusedError where the result would not be good enough, or cannot be had.
    """

    file: str
    use: str
    make: Callable[[Sources], Product]


class RefusedError(GraftError):
    """A variant that is not written; the message is the reason, and the run goes on."""


def check_equal(outputs: Mapping[str, Array], sample: ValidationSample, tolerance: float) -> str:
    """Return in words how close the outputs of a variant are to those of the model.

    Raises:
        RefusedError: The top class of an image differs, or a probability or `known` by more than `tolerance`.
    """
    expected = sample.outputs
    images = count(len(sample.resized), "validation image")
    changed = int((outputs["probabilities"].argmax(axis=1) != expected["probabilities"].argmax(axis=1)).sum())
    errors = {name: float(np.abs(values - expected[name]).max()) for name, values in outputs.items()}
    # A comparison with NaN is false, so that it never passes.
    if changed or not all(error <= tolerance for error in errors.values()):
        differences = " and ".join(f"{name} by up to {error:.1e}" for name, error in errors.items())
        message = (
            f"on {images} its top class differs from that of model.onnx {changed:,} times, and {differences}; at most "
            f"{tolerance:.0e} is allowed"
        )
        raise RefusedError(message)
    return f"same top class on {images}, {' and '.join(errors)} within {tolerance:.0e}"
