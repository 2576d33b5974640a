"""A network as it came, with its own 1,000-class top."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.backbone import pretrained
from tasks.backbone.download.cache import fetch
from tasks.backbone.registry import CLASS_INDEX
from tasks.common import console
from tasks.common.errors import GraftError, ImageError
from tasks.common.params import Backbone
from tasks.common.progress import say
from tasks.images import decoding
from tasks.networks.conversion.keras_to_onnx import preprocess
from tasks.onnx import graphs
from tasks.onnx.sessions import Session

CLASSES = 1000
BEST = 5


def classify(name: str, paths: Sequence[Path], weights: str, sha256: str | None, alpha: float | None) -> int:
    """Print the five most probable of ImageNet's classes for each image; return how many images could not be used."""
    names = class_names(fetch(*CLASS_INDEX))
    params = Backbone(
        name=name,
        weights=weights,
        sha256=sha256,
        include_top=True,
        input_size=None,
        alpha=alpha,
        cut=None,
        pooling="avg",
        seed=0,
        tolerance=1.0,
    )
    found = pretrained.load(params)
    resize = Session(graphs.resize_graph(found.source.input_size), threads=1)
    rows: list[tuple[str, ...]] = []
    bad = 0
    for path in paths:
        try:
            pixels = decoding.read(path)
        except ImageError as error:
            say(f"{path}: {error}")
            bad += 1
            continue
        [probabilities] = np.asarray(found.model(preprocess(resize(pixels[None]), found.mode), training=False))
        for rank, (label, probability) in enumerate(best(probabilities, names), start=1):
            rows.append((str(path) if rank == 1 else "", f"{rank}", label, f"{probability:.1%}"))
    console.print_table(("image", ">", "class", ">probability"), rows)
    return bad


def class_names(path: Path) -> list[str]:
    """Return the names by place from Keras's index, place -> (WordNet id, name); raises GraftError if it is none."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        return [str(index[str(place)][1]) for place in range(CLASSES)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        message = f"{path} is no index of ImageNet's {CLASSES:,} classes. Delete it; it is fetched again."
        raise GraftError(message) from error


def best(probabilities: npt.NDArray[np.float32], names: Sequence[str]) -> list[tuple[str, float]]:
    """Return the most probable classes, the best first; raises GraftError when there are not as many as names."""
    if probabilities.shape != (len(names),):
        message = f"the network has an output of {probabilities.shape}; expected ImageNet's {len(names):,} classes."
        raise GraftError(message)
    return [(names[place], float(probabilities[place])) for place in np.argsort(-probabilities, kind="stable")[:BEST]]
