"""Recipes of vectors: the graph and its taps, the runtime with its precision, and the augmentation of views."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import onnx

from tasks.common import params
from tasks.extraction.runtimes import Precision, Runtime, versioned_name
from tasks.images import augmentation
from tasks.images.augmentation import AugmentationSpec
from tasks.images.preprocessing import Mask, Preprocessing, Variant, by_variant
from tasks.onnx import graphs
from tasks.onnx.canonical_form import digest
from tasks.onnx.int8.quantization import quantize_backbone
from tasks.onnx.resizing import read_preprocessing
from tasks.store import Collection, Description, Keys


class Tap(NamedTuple):
    """An output of the base: its layer, its tensor in the graph, the length of its vectors, its depth, in (0, 1]."""

    layer: str
    tensor: str
    width: int
    depth: float


class Augmentation(NamedTuple):
    """The making of views beyond the plain image."""

    spec: AugmentationSpec
    seed: int


class Recipe(NamedTuple):
    """Everything that decides a vector besides its image, its view, and whether the image is decoded exactly.

    `model` is the serialized graph from `image` to the taps, `graphs` are the SHA-256 of its parts from the resized
    image to each of them.
    """

    backbone: str
    model: bytes
    taps: tuple[Tap, ...]
    runtime: Runtime
    precision: Precision
    augmentation: Augmentation
    preprocessing: Preprocessing
    graphs: tuple[str, ...]

    @property
    def width(self) -> int:
        """The length of a vector of features: the taps side by side."""
        return sum(tap.width for tap in self.taps)

    def descriptions(self) -> list[Description]:
        """Return the description of each tap."""
        return [Description(self.backbone, tap.layer) for tap in self.taps]

    def by_collections(self, keys: Keys, scaled: Mask) -> Iterator[tuple[Mask, tuple[Collection, ...]]]:
        """Yield which keys, bool [n], belong to which collections, one a tap, of the store.

        `scaled`, bool [n], says which images are decoded at a reduced scale.
        """
        for mask, variant in by_variant(keys.views, scaled):
            yield mask, self._collections(variant)

    def _collections(self, variant: Variant) -> tuple[Collection, ...]:
        preprocessing = self.preprocessing.identity(scaled=variant.scaled)
        augmentation = self.preprocessing.augmentation if variant.is_view else ""
        runtime = versioned_name(self.runtime)
        return tuple(
            Collection(preprocessing, graph, augmentation, runtime, self.precision, tap.width)
            for graph, tap in zip(self.graphs, self.taps, strict=True)
        )


def read_augmentation(section: params.Augmentation) -> Augmentation:
    """Return the augmentation that a section of the params asks for."""
    return Augmentation(AugmentationSpec(**section.model_dump(exclude={"seed"})), section.seed)


def make_recipe(model: onnx.ModelProto, views: Augmentation, runtime: Runtime, precision: Precision) -> Recipe:
    """Return the recipe of a backbone graph, quantized first if the precision is int8.

    Raises GraftError when the runtime is missing.
    """
    versioned_name(runtime)  # raises before quantization, which takes long
    if precision == "int8":
        model = quantize_backbone(model)
    metadata = graphs.metadata(model)
    taps = tuple(Tap(**row) for row in json.loads(metadata["taps"]))
    preprocessing = read_preprocessing(model, augmentation.identity(views.spec, views.seed))
    digests = tuple(digest(model, "resized", tap.tensor) for tap in taps)
    backbone = json.loads(metadata["backbone"])["name"]
    return Recipe(backbone, model.SerializeToString(), taps, runtime, precision, views, preprocessing, digests)
