"""Recipes of vectors: the graph and its taps, the runtime with its precision, and the augmentation of views."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from tasks.common import params
from tasks.features.runtimes import Precision, Runtime, versioned_name
from tasks.images import augmentation
from tasks.images.augmentation import AugmentationSpec
from tasks.images.decoding import VERSION as DECODING_VERSION
from tasks.onnx import graphs
from tasks.onnx.canonical_form import digest
from tasks.onnx.int8.quantization import quantize_backbone
from tasks.store import Collection, Description, Keys

Mask = npt.NDArray[np.bool_]


class Tap(NamedTuple):
    """An output of the base: the layer that it comes from, its tensor in the graph, the length of its vectors."""

    layer: str
    tensor: str
    width: int


class Augmentation(NamedTuple):
    """The making of views beyond the plain image."""

    spec: AugmentationSpec
    seed: int


class Recipe(NamedTuple):
    """Everything that decides a vector besides its image and its view.

    `model` is the serialized graph from `image` to the taps. `plain` and `augmented` are the collections, one a tap, in
    which the store keeps the vectors of plain images and of augmented views.
    """

    backbone: str
    model: bytes
    taps: tuple[Tap, ...]
    runtime: Runtime
    precision: Precision
    augmentation: Augmentation
    plain: tuple[Collection, ...]
    augmented: tuple[Collection, ...]

    @property
    def width(self) -> int:
        """The length of a vector of features: the taps side by side."""
        return sum(tap.width for tap in self.taps)

    def descriptions(self) -> list[Description]:
        """Return the description of each tap."""
        return [Description(self.backbone, tap.layer) for tap in self.taps]

    def by_collections(self, keys: Keys) -> Iterator[tuple[Mask, tuple[Collection, ...]]]:
        """Yield which keys, bool [n], belong to which collections: those of plain images, then those of views."""
        is_plain = keys.views == 0
        for mask, collections in ((is_plain, self.plain), (~is_plain, self.augmented)):
            if mask.any():
                yield mask, collections

    def with_runtime(self, runtime: Runtime, precision: Precision) -> "Recipe":
        """Return the recipe with the same graph run in another way; raises GraftError when the runtime is missing."""
        name = versioned_name(runtime)
        plain, augmented = (
            tuple(collection._replace(runtime=name, precision=precision) for collection in collections)
            for collections in (self.plain, self.augmented)
        )
        return self._replace(runtime=runtime, precision=precision, plain=plain, augmented=augmented)


def read_augmentation(section: params.Augmentation) -> Augmentation:
    """Return the augmentation that a section of the params asks for."""
    return Augmentation(AugmentationSpec(**section.model_dump(exclude={"seed"})), section.seed)


def make_recipe(model: onnx.ModelProto, views: Augmentation, runtime: Runtime, precision: Precision) -> Recipe:
    """Return the recipe of a backbone graph, quantized first if the precision is int8.

    Raises GraftError when the runtime is missing.
    """
    runtime_name = versioned_name(runtime)  # before quantization, which takes long
    if precision == "int8":
        model = quantize_backbone(model)
    metadata = graphs.metadata(model)
    taps = tuple(Tap(**row) for row in json.loads(metadata["taps"]))
    resize = digest(model, "image", "resized")
    preprocessing = sha256(f"decoding {DECODING_VERSION}, resizing {resize}".encode()).hexdigest()
    plain = tuple(
        Collection(preprocessing, digest(model, "resized", tap.tensor), "", runtime_name, precision, tap.width)
        for tap in taps
    )
    view_digest = augmentation.identity(views.spec, views.seed)
    augmented = tuple(collection._replace(augmentation=view_digest) for collection in plain)
    backbone = json.loads(metadata["backbone"])["name"]
    return Recipe(backbone, model.SerializeToString(), taps, runtime, precision, views, plain, augmented)
