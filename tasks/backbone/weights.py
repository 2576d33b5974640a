"""Where a base's weights come from."""

from pathlib import Path
from typing import NamedTuple

from tasks.backbone.registry import Architecture
from tasks.common.errors import GraftError
from tasks.common.params import Backbone

STARTER = Path(__file__).parent / "starter" / "mobilenet_0.25_64.weights.h5"
STARTER_SIZE = 64
STARTER_ALPHA = 0.25


class Source(NamedTuple):
    """Weights by name and file (None: random), with the input size in pixels and the width they are for."""

    name: str
    path: Path | None
    input_size: int
    alpha: float | None


def find(row: Architecture, params: Backbone) -> Source:
    """Return the weights that params.yaml asks for; raises GraftError when they do not fit or are not there."""
    if params.alpha is not None and row.name != "MobileNet":
        message = f"backbone.alpha is {params.alpha}, but {row.name} has no width multiplier. Set it to null."
        raise GraftError(message)
    if params.weights == "starter":
        return _starter(row, params)
    size = params.input_size or row.input_size
    alpha = (params.alpha or 1.0) if row.name == "MobileNet" else None
    if params.weights == "none":
        return Source("none", None, size, alpha)
    if params.weights == "imagenet":
        from tasks.backbone.download import imagenet

        return Source("imagenet", imagenet(row, alpha, params.mirror), size, alpha)
    path = Path(params.weights)
    if not path.is_file():
        message = f"backbone.weights is '{params.weights}'; expected starter, imagenet, none, or an existing .h5 file."
        raise GraftError(message)
    if path.suffix not in {".h5", ".hdf5"}:
        message = f"backbone.weights is '{params.weights}'; expected Keras weights in HDF5 (.h5), no other format."
        raise GraftError(message)
    return Source(path.name, path, size, alpha)


def _starter(row: Architecture, params: Backbone) -> Source:
    alpha = params.alpha or STARTER_ALPHA
    if (row.name, alpha) != ("MobileNet", STARTER_ALPHA):
        found = row.name if row.name != "MobileNet" else f"MobileNet with alpha {alpha:g}"
        message = (
            f"the starter weights are for MobileNet with alpha {STARTER_ALPHA}; found {found}. "
            "Set backbone.weights to imagenet, none, or a file."
        )
        raise GraftError(message)
    return Source("starter", STARTER, params.input_size or STARTER_SIZE, alpha)
