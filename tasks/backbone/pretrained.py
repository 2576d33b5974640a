"""Whole pretrained networks: architecture and weights, before any layer is cut off."""

from typing import NamedTuple

import keras

from tasks.backbone.construction import build
from tasks.backbone.custom import build_custom
from tasks.backbone.registry import find_architecture
from tasks.backbone.weight_source import WeightSource, find_explicit_weights, find_weights
from tasks.common.errors import GraftError
from tasks.common.params import Backbone
from tasks.networks.flattening import flatten
from tasks.networks.weight_loading import load_weights

OWN = "own"
"""Licence of weights that the user brought or that are random."""


class Network(NamedTuple):
    """A flat Keras model with its weights, the preprocessing that it expects (`mode`), and its weights' source."""

    name: str
    model: keras.Model
    mode: str
    source: WeightSource
    licence: str


def load(params: Backbone) -> Network:
    """Return the whole network `params.name` with the weights `params.weights`.

    Raises:
        GraftError: there is no such network, or its weights cannot be found, downloaded, or loaded.
    """
    if ":" in params.name:
        return _load_custom(params)
    architecture = find_architecture(params.name)
    source = find_weights(architecture, params)
    model = build(
        architecture,
        source.input_size,
        source.alpha,
        params.seed,
        include_top=params.include_top,
        imagenet=source.imagenet,
    )
    if source.path is not None:
        load_weights(model, source.path)
    licence = architecture.licence if source.imagenet else OWN
    licence = "Apache-2.0" if source.name == "starter" else licence
    return Network(architecture.name, flatten(model), architecture.mode, source, licence)


def _load_custom(params: Backbone) -> Network:
    for key, is_set in (("include_top", params.include_top), ("alpha", params.alpha is not None)):
        if is_set:
            message = f"backbone.{key} is set, but {params.name} is a network of your own: its function decides."
            raise GraftError(message)
    if params.weights in {"starter", "imagenet"}:
        message = (
            f"backbone.weights is {params.weights}, but {params.name} is a network of your own. "
            "Set it to none, a URL or a file."
        )
        raise GraftError(message)
    path = find_explicit_weights(params.weights, params.sha256)
    model = build_custom(params.name, params.input_size, params.seed)
    if path is not None:
        load_weights(model, path)
    source = WeightSource(path.name if path else "none", path, model.input_shape[1], None)
    return Network(params.name, flatten(model), "none", source, OWN)
