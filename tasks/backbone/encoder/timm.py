"""The file config.json that timm publishes with a network, of which `pretrained_cfg` states the preprocessing."""

import math
from collections.abc import Mapping
from typing import Any

from tasks.backbone.encoder.published import Published, read_number, read_side, read_three, refuse
from tasks.onnx.resize import Fit, Interpolation

INTERPOLATIONS: dict[object, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic"}
CHANNELS = 3
FITS: dict[object, Fit] = {"center": "crop", "squash": "stretch"}


def read_timm(document: Mapping[str, Any], file: str) -> Published:
    """Return the preprocessing for evaluation (timm/data/transforms_factory.py, transforms_imagenet_eval).

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
    interpolation = INTERPOLATIONS.get(str(section.get("interpolation")))
    if interpolation is None:
        raise refuse(file, "interpolation", section.get("interpolation"), "bilinear or bicubic")
    fit = FITS.get(str(section.get("crop_mode", "center")))
    if fit is None:
        raise refuse(file, "crop_mode", section.get("crop_mode"), "center or squash")
    share = read_number(section, "crop_pct", file, 0.875)
    if share > 1:
        raise refuse(file, "crop_pct", share, "at most 1")
    mean = read_three(section, "mean", file, positive=False)
    std = read_three(section, "std", file, positive=True)
    return Published(size, fit, size / math.floor(size / share), interpolation, 1 / 255, mean, std)
