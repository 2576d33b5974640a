"""The whole network that params.yaml names, with its weights."""

from typing import NamedTuple

import keras

from tasks.backbone.construction import build, build_own
from tasks.backbone.registry import architecture
from tasks.backbone.weight_source import Source, find, given
from tasks.common.errors import GraftError
from tasks.common.params import Backbone
from tasks.networks import saving

OWN = "own"


class Network(NamedTuple):
    """A network and what has to be known to use it: its preprocessing, its weights, the licence they are under."""

    name: str
    model: keras.Model
    mode: str
    source: Source
    licence: str


def load(params: Backbone) -> Network:
    """Return the network of `params.name` with the weights of `params.weights`, whole: nothing is cut off yet.

    Raises GraftError when there is no such network, or its weights cannot be had or do not fit.
    """
    if ":" in params.name:
        return _own(params)
    row = architecture(params.name)
    source = find(row, params)
    model = build(
        row,
        source.input_size,
        source.alpha,
        params.seed,
        include_top=params.include_top,
        imagenet=source.imagenet,
    )
    if source.path is not None:
        saving.load_weights(model, source.path)
    licence = row.licence if source.imagenet else OWN
    return Network(row.name, model, row.mode, source, "Apache-2.0" if source.name == "starter" else licence)


def _own(params: Backbone) -> Network:
    for key, value in (("include_top", params.include_top), ("alpha", params.alpha is not None)):
        if value:
            message = f"backbone.{key} is set, but {params.name} is a network of your own: its function decides."
            raise GraftError(message)
    if params.weights in {"starter", "imagenet"}:
        message = (
            f"backbone.weights is {params.weights}, but {params.name} is a network of your own. "
            "Set it to none, a URL or a file."
        )
        raise GraftError(message)
    path = given(params.weights, params.sha256)
    model = build_own(params.name, params.input_size, params.seed)
    if path is not None:
        saving.load_weights(model, path)
    source = Source(path.name if path else "none", path, model.input_shape[1], None)
    return Network(params.name, model, "none", source, OWN)
