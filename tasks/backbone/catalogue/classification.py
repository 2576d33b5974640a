"""Classification of images by a network's own top, with ImageNet's 1,000 classes."""

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
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Session

CLASS_COUNT = 1000
BEST_COUNT = 5


def classify_images(
    paths: Sequence[Path],
    network_name: str,
    weights: str,
    sha256: str | None,
    alpha: float | None,
    class_names: Sequence[str],
) -> int:
    """Print the five most probable classes of each image; return the number of images that cannot be used.

    `weights`, `sha256` and `alpha` are as in the section `backbone` of params.yaml. `class_names` are in the order of
    the network's outputs.
    """
    params = Backbone(
        name=network_name,
        weights=weights,
        sha256=sha256,
        include_top=True,
        input_size=None,
        alpha=alpha,
        cut=None,
        pooling="avg",
        fit="stretch",
        crop_share=1.0,
        pad_colour=[0, 0, 0],
        interpolation="bilinear",
        preprocessing=None,
        seed=0,
        tolerance=1.0,
    )
    network = pretrained.load(params)
    resize = Session(resize_graph(Resize(network.source.input_size)), threads=1)
    rows: list[tuple[str, ...]] = []
    failures = 0
    for path in paths:
        try:
            pixels = decoding.read(path)
        except ImageError as error:
            say(f"{path}: {error}")
            failures += 1
            continue
        [probabilities] = np.asarray(network.model(preprocess(resize(pixels[None]), network.mode), training=False))
        for rank, (class_name, probability) in enumerate(find_best(probabilities, class_names), start=1):
            rows.append((str(path) if rank == 1 else "", f"{rank}", class_name, f"{probability:.1%}"))
    console.print_table(("image", ">", "class", ">probability"), rows)
    return failures


def fetch_class_names() -> list[str]:
    """Return the names of ImageNet's classes in the order of the networks' outputs; download them if necessary."""
    return read_class_names(fetch(*CLASS_INDEX))


def read_class_names(path: Path) -> list[str]:
    """Return the class names of Keras's index, a JSON object from positions to pairs (WordNet id, name).

    Raises:
        GraftError: the file is no such index.
    """
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        return [str(index[str(position)][1]) for position in range(CLASS_COUNT)]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        message = f"{path} is no index of ImageNet's {CLASS_COUNT:,} classes. Delete it; it is fetched again."
        raise GraftError(message) from error


def find_best(probabilities: npt.NDArray[np.float32], class_names: Sequence[str]) -> list[tuple[str, float]]:
    """Return the most probable classes with their probabilities, the best first.

    Raises:
        GraftError: the network does not have one output for each class name.
    """
    if probabilities.shape != (len(class_names),):
        message = (
            f"the network has an output of {probabilities.shape}; expected ImageNet's {len(class_names):,} classes."
        )
        raise GraftError(message)
    positions = np.argsort(-probabilities, kind="stable")[:BEST_COUNT]
    return [(class_names[position], float(probabilities[position])) for position in positions]
