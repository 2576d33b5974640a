"""The preprocessing that an encoder expects: from the params, or from the file that its publisher wrote."""

from pathlib import Path
from typing import NamedTuple

from tasks.backbone.encoder.json_values import read_json
from tasks.backbone.encoder.published import PublishedPreprocessing, is_timm, read_huggingface, read_timm
from tasks.common.errors import GraftError
from tasks.common.params import Backbone, EncoderPreprocessing
from tasks.common.text import printable
from tasks.onnx.resize import Resize, resize_of

HUGGINGFACE, TIMM = "preprocessor_config.json", "config.json"
SECTION = "backbone.preprocessing"


class Preprocessing(NamedTuple):
    """The values that an encoder expects, (pixel * scale - mean) / std, and where that is stated.

    `published` is the whole content of the publisher's file; None: the params alone decide.
    """

    origin: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    published: PublishedPreprocessing | None

    @property
    def size(self) -> int | None:
        """The input size in pixels that the publisher's file states."""
        return self.published.size if self.published else None


def read_preprocessing(params: Backbone, encoder: Path) -> Preprocessing:
    """Return the preprocessing of an encoder.

    The section `backbone.preprocessing` decides if it gives mean, std or scale. Otherwise the publisher's file beside
    the encoder does.

    Raises:
        GraftError: there is no such file and no such section, or they are incomplete, contradictory or unknown.
    """
    section = params.preprocessing
    if section is not None and (section.mean, section.std, section.scale) != (None, None, None):
        return _from_section(section)
    for name in (HUGGINGFACE, TIMM):
        path = encoder.with_name(name)
        if not path.exists():
            continue
        document = read_json(path)
        if name == TIMM and not is_timm(document):
            continue  # transformers writes a file of that name too, about the network alone
        published = read_huggingface(document, name) if name == HUGGINGFACE else read_timm(document, name)
        return Preprocessing(name, published.scale, published.mean, published.std, published)
    message = (
        f"there is no {HUGGINGFACE} and no {TIMM} of timm beside {printable(encoder.name)}. Put the one there that the "
        f"network was published with, or set {SECTION} (mean, std, scale)."
    )
    raise GraftError(message)


def choose_resize(params: Backbone, preprocessing: Preprocessing, size: int) -> Resize:
    """Return the resize to `size` pixels: the published one where params.yaml has defaults.

    `backbone.fit` and `backbone.crop_share` belong together: if either is no default, both are taken from the params.
    """
    resize, default, published = resize_of(params, size), Resize(size), preprocessing.published
    if published is None:
        return resize
    if (resize.fit, resize.crop_share) == (default.fit, default.crop_share):
        resize = resize._replace(fit=published.fit, crop_share=published.crop_share)
    if resize.interpolation == default.interpolation:
        resize = resize._replace(interpolation=published.interpolation)
    return resize


def _from_section(section: EncoderPreprocessing) -> Preprocessing:
    if (section.mean is None) != (section.std is None):
        missing, given = ("mean", "std") if section.mean is None else ("std", "mean")
        message = f"{SECTION}.{missing} is null, but {SECTION}.{given} is set; set both, or neither."
        raise GraftError(message)
    (red, green, blue), std = section.mean or (0.0, 0.0, 0.0), section.std or (1.0, 1.0, 1.0)
    if not all(value > 0 for value in std):
        message = f"{SECTION}.std is {section.std}; expected three numbers above 0."
        raise GraftError(message)
    return Preprocessing(SECTION, section.scale or 1 / 255, (red, green, blue), (std[0], std[1], std[2]), None)
