"""The classifier: images in, predictions out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from graft.model_file import FEATURES, IMAGE, KNOWN, PROBABILITIES, ModelFile
from graft.sources import FileSource, Source
from tasks.common.errors import GraftError, ImageError
from tasks.common.threads import available_cores, ordered_map
from tasks.images.decoding import MAX_MEGAPIXELS, Pixels, decode
from tasks.images.memory import PixelBudget, decoded_pixels
from tasks.onnx.model_metadata import ModelMetadata

Floats = npt.NDArray[np.float32]

# Photographs of 12 megapixels are decoded on all cores at once, and of those of 48 megapixels one for four cores.
BUDGET = PixelBudget(max(64_000_000, 16_000_000 * available_cores()))


class Outputs(NamedTuple):
    """The outputs for N pictures of one size.

    `probabilities` is float32 [N, classes]; `known`, float32 [N] in [0, 1], says how much each resembles the training
    images, and is None for a file without that output; `features`, float32 [N, D], are None unless asked for.
    """

    probabilities: Floats
    known: Floats | None
    features: Floats | None


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one image, or the reason why there is none.

    Attributes:
        path: the image as it was named.
        error: the reason why the image cannot be used; everything below is then None or empty.
        label: the most probable class.
        probability: of that class, calibrated.
        probabilities: of all classes, float32 [classes].
        known: how much the image resembles the training images, in [0, 1]; None if the file does not say.
        is_known: false if `known` is below the file's threshold, so that the prediction is not to be trusted.
        features: float32 [D], if asked for.
    """

    path: str
    error: str | None = None
    label: str | None = None
    probability: float | None = None
    probabilities: Floats | None = None
    known: float | None = None
    is_known: bool | None = None
    features: Floats | None = None


class Classifier:
    """A model that Graft exported. Its methods may be called from several threads.

    Attributes:
        classes: the names of the classes, in the order of the probabilities.
        metadata: the facts that the file states about itself.
    """

    def __init__(self, model: str | Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> None:
        """Load the file; images of more than `max_megapixels` are refused.

        Raises:
            GraftError: The file is not a model that this Graft can use.
        """
        self._model = ModelFile(model)
        self._max_megapixels = max_megapixels
        if self._model.input != IMAGE:
            message = (
                f"{self._model.name} takes resized pixels. Give the variant that takes images of any size: model.onnx."
            )
            raise GraftError(message)
        self.classes = self._model.metadata.classes
        self.metadata: ModelMetadata = self._model.metadata

    def predict(self, images: Iterable[str | Path], *, features: bool = False) -> list[Prediction]:
        """Return a prediction for each image file, in their order; a file that cannot be used has its reason in it."""
        sources = [FileSource(str(path), Path(path)) for path in images]
        if len(sources) == 1:
            return [self.predict_source(sources[0], features=features, threads=available_cores())]
        return list(self.stream(sources, features=features))

    def stream(self, sources: Iterable[Source], *, features: bool = False) -> Iterator[Prediction]:
        """Yield a prediction for each source in order; memory does not grow with their number.

        Each core decodes and classifies images of its own.
        """
        workers = available_cores()

        def predict_source(source: Source) -> Prediction:
            return self.predict_source(source, features=features)

        yield from ordered_map(predict_source, sources, workers, ahead=8 * workers)

    def predict_source(self, source: Source, *, features: bool = False, threads: int = 1) -> Prediction:
        """Return the prediction for one source, computed by `threads`; it waits while large images fill the memory."""
        try:
            content = source.read()
            with BUDGET.reserve(decoded_pixels(content, None)):
                pixels = decode(content, self._max_megapixels).pixels
                outputs = self.run(pixels[None], features=features, threads=threads)
        except ImageError as error:
            return Prediction(source.name, str(error))
        return self._prediction(source.name, outputs, 0)

    def decode(self, content: bytes) -> Pixels:
        """Return the pixels of an encoded image, uint8 [H, W, 3], as training decoded them.

        Raises:
            ImageError: The content is no image, is damaged, or has too many pixels.
        """
        return decode(content, self._max_megapixels).pixels

    def run(self, pixels: Pixels, *, features: bool = False, threads: int | None = None) -> Outputs:
        """Return the outputs for decoded images of one size, uint8 [N, H, W, 3].

        `threads` compute them; None: one a core.

        Raises:
            GraftError: The pixels have another shape or type, or the file has no output `features`.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or 0 in pixels.shape:  # noqa: PLR2004
            message = f"expected pixels uint8 [N, H, W, 3], found {pixels.dtype} {list(pixels.shape)}."
            raise GraftError(message)
        if features and FEATURES not in self._model.outputs:
            message = f"{self._model.name} has no output '{FEATURES}'. Export it again with this version of Graft."
            raise GraftError(message)
        names = [name for name in (PROBABILITIES, KNOWN) if name in self._model.outputs]
        names += [FEATURES] if features else []
        arrays: dict[str, Any] = dict(
            zip(names, self._model.run(pixels, names, threads or available_cores()), strict=True)
        )
        return Outputs(arrays[PROBABILITIES], arrays.get(KNOWN), arrays.get(FEATURES))

    def predictions(self, names: Sequence[str], outputs: Outputs) -> list[Prediction]:
        """Return the outputs as predictions for images of these names."""
        return [self._prediction(name, outputs, row) for row, name in enumerate(names)]

    def _prediction(self, name: str, outputs: Outputs, row: int) -> Prediction:
        probabilities = outputs.probabilities[row]
        best = int(probabilities.argmax())
        known = None if outputs.known is None else float(outputs.known[row])
        threshold = self.metadata.novelty.get("threshold")
        return Prediction(
            name,
            None,
            self.classes[best],
            float(probabilities[best]),
            probabilities,
            known,
            None if known is None or threshold is None else known >= threshold,
            None if outputs.features is None else outputs.features[row],
        )
