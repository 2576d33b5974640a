"""The preprocessing that a publisher's file states: Hugging Face's preprocessor_config.json, or timm's config.json."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tasks.backbone.encoder.json_values import read_channels, read_flag, read_number, read_side, refuse
from tasks.onnx.resize import Fit, Interpolation

HUGGINGFACE_FILTERS: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}
KNOWN_STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}
# Processors whose `size`, given as one number, is the length of the shortest side; for others it is both sides.
SHORTEST_SIDE_PROCESSORS = ("bit", "chineseclip", "clip", "convnext", "mobilenetv1", "mobilenetv2", "poolformer")
# Below this size, ConvNeXt resizes to size / crop_pct and crops; from it on, it stretches.
CONVNEXT_STRETCHED = 384
TIMM_FILTERS: dict[object, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic"}
TIMM_FITS: dict[object, Fit] = {"center": "crop", "squash": "stretch"}
CHANNELS = 3


class PublishedPreprocessing(NamedTuple):
    """A published preprocessing: resize, then (pixel * scale - mean) / std of each channel.

    `crop_share`, in (0, 1], is the share of the sides of the square that is used, around the centre.
    """

    size: int
    fit: Fit
    crop_share: float
    interpolation: Interpolation
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class _Square(NamedTuple):
    """The square that an image becomes: its size in pixels, the fit, and the share of the sides that is used."""

    size: int
    fit: Fit
    crop_share: float


def read_huggingface(document: Mapping[str, Any], file: str) -> PublishedPreprocessing:
    """Return the preprocessing that the file of an image processor states (CLIP, SigLIP, ViT, DINOv2, ConvNeXt, BiT).

    The keys mean what they mean in `transformers.image_processing_utils` and the `image_processing_*` modules.

    Raises:
        GraftError: a key is missing, contradicts another one, or asks for a step that Graft does not have.
    """
    for key in sorted(document):
        if key.startswith("do_") and key not in KNOWN_STEPS and document[key]:
            raise refuse(file, key, document[key], "a step that Graft knows, or false")
    if not read_flag(document, "do_resize", file, default=True):
        raise refuse(file, "do_resize", False, "true, because the network has one input size")  # noqa: FBT003
    if read_flag(document, "rescale_offset", file, default=False):
        raise refuse(file, "rescale_offset", True, "false")  # noqa: FBT003
    resample = document.get("resample")
    if not isinstance(resample, int) or isinstance(resample, bool) or resample not in HUGGINGFACE_FILTERS:
        raise refuse(file, "resample", resample, "2 (bilinear) or 3 (bicubic)")
    square = _read_square(document, _processor(document), file)
    is_rescaled = read_flag(document, "do_rescale", file, default=True)
    scale = read_number(document, "rescale_factor", file, 1 / 255) if is_rescaled else 1.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if read_flag(document, "do_normalize", file, default=True):
        mean = read_channels(document, "image_mean", file, positive=False)
        std = read_channels(document, "image_std", file, positive=True)
    return PublishedPreprocessing(*square, HUGGINGFACE_FILTERS[resample], scale, mean, std)


def read_timm(document: Mapping[str, Any], file: str) -> PublishedPreprocessing:
    """Return the preprocessing for evaluation in `pretrained_cfg` of timm's file.

    Source: timm/data/transforms_factory.py, transforms_imagenet_eval.

    Raises:
        GraftError: a key is missing, or states what Graft does not have.
    """
    section = document["pretrained_cfg"]
    if not isinstance(section, dict):
        raise refuse(file, "pretrained_cfg", section, "an object with keys")
    shape = section.get("input_size")
    if not isinstance(shape, list) or len(shape) != CHANNELS or shape[0] != CHANNELS or shape[1] != shape[2]:
        raise refuse(file, "input_size", shape, "[3, S, S]")
    size = read_side(shape[1], "input_size", file)
    interpolation = TIMM_FILTERS.get(str(section.get("interpolation")))
    if interpolation is None:
        raise refuse(file, "interpolation", section.get("interpolation"), "bilinear or bicubic")
    fit = TIMM_FITS.get(str(section.get("crop_mode", "center")))
    if fit is None:
        raise refuse(file, "crop_mode", section.get("crop_mode"), "center or squash")
    share = read_number(section, "crop_pct", file, 0.875)
    if share > 1:
        raise refuse(file, "crop_pct", share, "at most 1")
    mean = read_channels(section, "mean", file, positive=False)
    std = read_channels(section, "std", file, positive=True)
    return PublishedPreprocessing(size, fit, size / math.floor(size / share), interpolation, 1 / 255, mean, std)


def is_timm(document: Mapping[str, Any]) -> bool:
    """Tell whether a file named config.json is one of timm."""
    return "pretrained_cfg" in document


def _processor(document: Mapping[str, Any]) -> str:
    """Return the family of the processor in lower case, such as `clip`; empty if the file does not name it."""
    kind = document.get("image_processor_type") or document.get("feature_extractor_type") or ""
    family = str(kind).lower().removesuffix("fast")
    return family.removesuffix("imageprocessor").removesuffix("featureextractor")


def _read_square(document: Mapping[str, Any], processor: str, file: str) -> _Square:
    is_cropped = read_flag(document, "do_center_crop", file, default=False)
    side, fit = _read_size(document.get("size"), processor, file, is_cropped=is_cropped)
    if processor == "convnext":
        return _read_convnext_square(document, side, file)
    if not is_cropped:
        if fit == "crop":
            raise refuse(file, "do_center_crop", document.get("do_center_crop"), "true, since size is a shortest_edge")
        return _Square(side, fit, 1.0)
    crop = document.get("crop_size")
    if isinstance(crop, dict):
        if crop.get("height") != crop.get("width"):
            raise refuse(file, "crop_size", crop, "a height that equals the width")
        crop = crop.get("height")
    crop = read_side(crop, "crop_size", file)
    if crop > side:
        raise refuse(file, "crop_size", crop, f"at most the {side} pixels of size")
    return _Square(crop, fit, crop / side)


def _read_size(size: object, processor: str, file: str, *, is_cropped: bool) -> tuple[int, Fit]:
    """Return the pixels that an image is resized to: of its shortest side (crop), or of both sides (stretch)."""
    if isinstance(size, int) and not isinstance(size, bool):
        if not processor and is_cropped:
            expected = "height and width, or shortest_edge, since no image_processor_type is named"
            raise refuse(file, "size", size, expected)
        is_shortest = processor in SHORTEST_SIDE_PROCESSORS
        size = {"shortest_edge": size} if is_shortest else {"height": size, "width": size}
    if isinstance(size, dict):
        size = {edge: pixels for edge, pixels in size.items() if pixels is not None}
    if not isinstance(size, dict) or set(size) not in ({"height", "width"}, {"shortest_edge"}):
        raise refuse(file, "size", size, "a number, height and width, or shortest_edge alone")
    if "shortest_edge" in size:
        return read_side(size["shortest_edge"], "size", file), "crop"
    if size["height"] != size["width"]:
        raise refuse(file, "size", size, "a height that equals the width")
    return read_side(size["height"], "size", file), "stretch"


def _read_convnext_square(document: Mapping[str, Any], side: int, file: str) -> _Square:
    if side >= CONVNEXT_STRETCHED:
        return _Square(side, "stretch", 1.0)
    share = read_number(document, "crop_pct", file, 224 / 256)
    if share > 1:
        raise refuse(file, "crop_pct", share, "at most 1")
    return _Square(side, "crop", side / int(side / share))
