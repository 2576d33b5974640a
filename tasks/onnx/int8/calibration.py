"""Which values a base computes with: pictures go through it in float32 and tell the grid that suits each tensor."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.random import RandomState
from onnx import helper

from tasks.common.threads import available_cores
from tasks.onnx.int8.calibration_images import calibration_images
from tasks.onnx.int8.fusion import MAPS
from tasks.onnx.sessions import Array, session_options

LEVELS = 255  # steps of uint8
SAMPLES = 1024  # values of a tensor that are looked at, of each picture
REACHES = 2.0 ** (-np.arange(32) / 4)  # shares of the whole range that are tried


class Calibration(NamedTuple):
    """What is known of a tensor: its grid, value = scale * (level - zero), and the means of its channels, float64 [C].

    Maps of one pixel, [N, C, 1, 1], are flat.
    """

    scale: np.float32
    zero: np.uint8
    means: Array
    flat: bool


def calibrate(model: onnx.ModelProto, names: Sequence[str]) -> dict[str, Calibration]:
    """Return what is known of these float32 tensors of a base from uint8 [N, S, S, 3], its one input."""
    if not names:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), session_options(available_cores()), providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0]
    traces = [_Trace() for _ in names]
    for picture in calibration_images(source.shape[1]):
        for trace, values in zip(traces, session.run(names, {source.name: picture[None]}), strict=True):
            trace.add(values)
    return {name: trace.calibration() for name, trace in zip(names, traces, strict=True)}


class _Trace:
    """What is kept of a tensor's values, picture by picture."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, float]] = []
        self._samples: list[Array] = []
        self._means: list[Array] = []
        self._flat = False

    def add(self, values: Array) -> None:
        every = values.ravel()
        places = RandomState(0).randint(0, len(every), SAMPLES)
        self._samples.append(every[places].astype(np.float64))
        self._ends.append((float(every.min()), float(every.max())))
        self._means.append(values.mean(axis=(0, *range(2, values.ndim)), dtype=np.float64))
        self._flat = values.ndim == MAPS and values.shape[2:] == (1, 1)

    def calibrate(self) -> Calibration:
        lows, highs = zip(*self._ends, strict=True)
        scale, zero = grid(np.stack(self._samples), min(lows), max(highs))
        return Calibration(np.float32(scale), np.uint8(zero), np.mean(self._means, axis=0), self._flat)


def grid(samples: Array, low: float, high: float) -> tuple[float, int]:
    """Return scale and zero of the grid with the least squared error, relative to each picture's own values.

    `samples` are float64 [pictures, n], `low` and `high` the ends of all values. A wide grid is coarse for every
    picture, a narrow one cuts off what few pictures hold.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    power = (samples**2).mean(axis=1)
    samples, power = samples[power > 0], power[power > 0]
    if not len(power):
        return 1.0, 0
    found = []
    for reach in max(-low, high) * REACHES:
        scale = (min(high, reach) - max(low, -reach)) / LEVELS
        zero = round(min(-low, reach) / scale)
        rounded = (np.clip(np.rint(samples / scale) + zero, 0, LEVELS) - zero) * scale
        found.append((float((((rounded - samples) ** 2).mean(axis=1) / power).mean()), scale, zero))
    return min(found)[1:]
