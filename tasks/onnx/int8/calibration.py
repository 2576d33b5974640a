"""Calibration: run the calibration images through a base in float32 and choose each tensor's scale and zero point."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.random import RandomState
from onnx import helper

from tasks.common.threads import available_cores
from tasks.images.decoding import Pixels
from tasks.onnx.int8.calibration_images import calibration_images
from tasks.onnx.int8.fusion import MAP_AXES
from tasks.onnx.sessions import Array, session_options

STEPS = 255  # the greatest uint8
SAMPLES_PER_IMAGE = 1024
RANGE_FRACTIONS = 2.0 ** (-np.arange(32) / 4)  # candidates for the covered range, as fractions of the largest value


class Calibration(NamedTuple):
    """The calibration of a tensor: value = scale * (uint8 level - zero_point).

    `channel_means` are the means of its channels, float64 [C]; `is_single_pixel` is true for maps [N, C, 1, 1].
    """

    scale: np.float32
    zero_point: np.uint8
    channel_means: Array
    is_single_pixel: bool


def calibrate(model: onnx.ModelProto, tensors: Sequence[str], images: Pixels | None = None) -> dict[str, Calibration]:
    """Return the calibration of these float32 tensors of a base whose one input is uint8 [N, S, S, 3].

    `images`, uint8 [n, S, S, 3], are run through it; None: the fixed calibration images.
    """
    if not tensors:
        return {}
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors)
    session = onnxruntime.InferenceSession(
        observed.SerializeToString(), session_options(available_cores()), providers=["CPUExecutionProvider"]
    )
    model_input = session.get_inputs()[0]
    statistics = [_Statistics() for _ in tensors]
    for image in calibration_images(model_input.shape[1]) if images is None else images:
        outputs = session.run(tensors, {model_input.name: image[None]})
        for tensor_statistics, values in zip(statistics, outputs, strict=True):
            tensor_statistics.add(values)
    return {name: entry.calibration() for name, entry in zip(tensors, statistics, strict=True)}


class _Statistics:
    """Statistics of a tensor's values, collected image by image."""

    def __init__(self) -> None:
        self._ranges: list[tuple[float, float]] = []
        self._samples: list[Array] = []
        self._means: list[Array] = []
        self._is_single_pixel = False

    def add(self, values: Array) -> None:
        flat = values.ravel()
        positions = RandomState(0).randint(0, len(flat), SAMPLES_PER_IMAGE)
        self._samples.append(flat[positions].astype(np.float64))
        self._ranges.append((float(flat.min()), float(flat.max())))
        self._means.append(values.mean(axis=(0, *range(2, values.ndim)), dtype=np.float64))
        self._is_single_pixel = values.ndim == MAP_AXES and values.shape[2:] == (1, 1)

    def calibration(self) -> Calibration:
        lows, highs = zip(*self._ranges, strict=True)
        scale, zero_point = choose_grid(np.stack(self._samples), min(lows), max(highs))
        means = np.mean(self._means, axis=0)
        return Calibration(np.float32(scale), np.uint8(zero_point), means, self._is_single_pixel)


def choose_grid(samples: Array, low: float, high: float) -> tuple[float, int]:
    """Return the scale and zero point with the least squared error, relative to the mean square of each image.

    A wide range has coarse steps for every image; a narrow range clips the large values of a few images.

    Args:
        samples: float64 [images, n].
        low: the least of all values.
        high: the greatest of all values.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    power = (samples**2).mean(axis=1)
    samples, power = samples[power > 0], power[power > 0]
    if not len(power):
        return 1.0, 0
    candidates = []
    for limit in max(-low, high) * RANGE_FRACTIONS:
        scale = (min(high, limit) - max(low, -limit)) / STEPS
        zero_point = round(min(-low, limit) / scale)
        rounded = (np.clip(np.rint(samples / scale) + zero_point, 0, STEPS) - zero_point) * scale
        error = float((((rounded - samples) ** 2).mean(axis=1) / power).mean())
        candidates.append((error, scale, zero_point))
    return min(candidates)[1:]
