"""The experiment: the network with its training rows and its validation rows, stored or live."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
import tensorflow as tf

from tasks.common.errors import GraftError
from tasks.common.params import Features, Finetuning
from tasks.common.progress import say
from tasks.extraction.recipe import Augmentation
from tasks.finetuning.batches import Epochs, Floats, StoredBatches, one_hot
from tasks.finetuning.boundary import boundary_recipe, read_activations
from tasks.finetuning.live_batches import LiveBatches, pixel_inference
from tasks.finetuning.network import LiveNetwork, Network, UsedTaps, live_network, split_base
from tasks.finetuning.sample import Sample, fixed_features
from tasks.store import Store
from tasks.tables import features

NAME = "finetuning"


class Experiment(NamedTuple):
    """A network, the rows that train it, and the rows that judge it.

    `forward` contains `network` and takes the inputs of `train` and of `both`, which has the validation images too.
    `validation` has the inputs of `network`.
    """

    network: Network
    forward: Network | LiveNetwork
    train: Epochs
    both: Epochs
    validation: StoredBatches

    def with_head(self, head: keras.Model) -> "Experiment":
        """Return the same experiment with another head of the same shape."""
        network = self.network._replace(head=head)
        if isinstance(self.forward, LiveNetwork):
            return self._replace(network=network, forward=self.forward._replace(network=network))
        return self._replace(network=network, forward=network)


class Base(NamedTuple):
    """A backbone: its Keras network, its graph, the facts of backbone.json, and the cut above which it is trained."""

    model: keras.Model
    graph: onnx.ModelProto
    facts: dict[str, Any]
    cut: str


def prepare(
    images: Path,
    base: Base,
    head: keras.Model,
    taps: UsedTaps,
    sample: Sample,
    table: features.Features,
    views: Augmentation,
    store: Store,
    params: Finetuning,
    extraction: Features,
) -> Experiment:
    """Return the experiment: activations at the cut are read, or computed where the store lacks them.

    Live training needs those of validation images alone.

    Raises:
        GraftError: There are no rows to train on or to judge by, the disk has no room, or an image cannot be used.
    """
    in_validation = sample.in_validation
    for name, mask in (("training", ~in_validation), ("validation", in_validation)):
        if not mask.any():
            message = f"fine-tuning needs {name} images, and there are none. Check the splits of the dataset."
            raise GraftError(message)
    lower, upper = split_base(base.model, base.cut, taps.above)
    stored = sample.take(in_validation) if params.live else sample
    recipe = boundary_recipe(lower, base.facts, base.graph, views)
    activations = read_activations(images, stored.request, recipe, store, extraction, lower.output_shape[1:])
    fixed = fixed_features(stored, table, taps.below)
    network = Network(upper, head, base.facts["pooling"], fixed.shape[1])
    inputs = [activations, fixed] if fixed.shape[1] else [activations]
    classes = int(head.output_shape[-1])

    def stored_batches(mask: Any) -> StoredBatches:
        rows = np.flatnonzero(mask)
        return StoredBatches(inputs, one_hot(stored.targets, classes), rows, params.batch_size, params.seed)

    validation = stored_batches(stored.in_validation)
    if not params.live:
        everything = np.ones(len(stored.targets), np.bool_)
        return Experiment(network, network, stored_batches(~in_validation), stored_batches(everything), validation)
    if not tf.config.list_physical_devices("GPU"):
        say(
            f"{NAME}: live training without a GPU is slow, since every image passes the whole base in every epoch; "
            "finetuning.live false trains from stored activations"
        )
    inference = pixel_inference(images, base.graph, views, store)

    def live_batches(part: Sample) -> LiveBatches:
        targets = one_hot(part.targets, classes)
        return LiveBatches(part.items(), targets, inference, params.batch_size, params.seed)

    forward = live_network(base.model, base.cut, taps.below, network, base.facts["mode"])
    train = live_batches(sample.take(sample.is_plain & ~in_validation))
    return Experiment(network, forward, train, live_batches(sample.take(sample.is_plain)), validation)


class Predictor:
    """Predicts the validation rows with the weights that the network has at the moment."""

    def __init__(self, network: Network, batches: StoredBatches) -> None:
        """Compile the network once."""
        self._batches = batches
        signature: Sequence[tf.TensorSpec] = network.signature
        self._forward = tf.function(lambda *inputs: network(inputs), input_signature=signature)

    def __call__(self) -> Floats:
        """Return probabilities, float32 [n, classes]."""
        return np.concatenate([np.asarray(self._forward(*batch.inputs)) for batch in self._batches.in_order()])
