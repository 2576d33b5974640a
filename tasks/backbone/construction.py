"""Networks of keras.applications, built by name with random weights."""

import math
from typing import Any

import keras
import numpy as np

from tasks.backbone.registry import Architecture

# EfficientNet's ImageNet weights expect inputs divided by the roots of ImageNet's standard deviations as well:
# tensorflow/tensorflow#49930.
IMAGENET_DEVIATIONS = (0.229, 0.224, 0.225)


def build(
    architecture: Architecture, input_size: int, alpha: float | None, seed: int, *, include_top: bool, imagenet: bool
) -> keras.Model:
    """Return the network for images of `input_size` pixels, with random weights that follow from `seed`.

    `imagenet` says that the ImageNet weights will be loaded: for them EfficientNet has one more layer. The names of the
    layers are the same in every process.
    """
    reset_keras(seed)
    options = {} if alpha is None else {"alpha": alpha}
    base = getattr(keras.applications, architecture.name)(
        input_shape=(input_size, input_size, 3), include_top=include_top, weights=None, **options
    )
    return _add_rescaling(base) if imagenet and architecture.quirk == "rescales_imagenet" else base


def randomize_batch_norm(model: keras.Model, seed: int) -> None:
    """Give every BatchNorm of the model random parameters and statistics.

    With those of a new BatchNorm the values of a deep random network shrink layer by layer until rounding errors
    dominate. The ranges here keep them at one scale; growing values would make Keras differ from itself.
    """
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            if layer.scale:
                layer.gamma.assign(random.uniform(0.8, 1, shape))
            if layer.center:
                layer.beta.assign(random.normal(0, 0.02, shape))
            layer.moving_mean.assign(random.normal(0, 0.02, shape))
            layer.moving_variance.assign(random.uniform(1, 1.2, shape))


def reset_keras(seed: int) -> None:
    """Fix the seeds and restart the numbering of layers, so that no name depends on what was built before."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)


def _add_rescaling(base: keras.Model) -> keras.Model:
    """Return the network with a rescaling after its normalization, as keras.applications builds it for ImageNet."""

    def call_layer(layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
        output = layer(*inputs, **options)
        if isinstance(layer, keras.layers.Normalization):
            return keras.layers.Rescaling([1 / math.sqrt(deviation) for deviation in IMAGENET_DEVIATIONS])(output)
        return output

    return keras.models.clone_model(base, call_function=call_layer)
