"""The novelty score of a tuned base, whose features are not those that the stage `features` computed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from tasks.common.params import Features
from tasks.extraction.recipe import Augmentation, make_recipe
from tasks.extraction.stored_vectors import Part
from tasks.extraction.vectors import extract
from tasks.finetuning.sample import Sample
from tasks.novelty.score import Novelty, Refusal, fit_novelty
from tasks.onnx import graphs
from tasks.store import Store

NAME = "finetuning: novelty score"


def fit_tuned_novelty(
    images: Path,
    tuned: onnx.ModelProto,
    layers: Sequence[str],
    sample: Sample,
    views: Augmentation,
    store: Store,
    params: Features,
    false_alarms: float,
) -> Novelty | Refusal:
    """Return the score for the features of a tuned base at these layers.

    They are computed by the extraction engine for the plain images of the sample, as the exported file computes them.

    Raises:
        GraftError: An image can no longer be used, or the store cannot be used.
    """
    plain = sample.take(sample.is_plain)
    recipe = make_recipe(graphs.select_taps(tuned, layers), views, "onnxruntime", "float32")
    positions = np.arange(len(plain.request))
    extraction = extract(images, plain.request, [Part(positions, recipe)], store, params, NAME)
    used = np.flatnonzero(extraction.used)
    vectors, targets, in_validation = extraction.read(used), plain.targets[used], plain.in_validation[used]
    widths = [tap.width for tap in recipe.taps]
    training = ~in_validation
    return fit_novelty(vectors[training], targets[training], vectors[in_validation], widths, false_alarms)
