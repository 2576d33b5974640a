"""Measurement of networks on this machine: conversion to ONNX, and the forward pass on prepared batches."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx

from tasks.backbone.catalogue import speeds
from tasks.backbone.construction import build, randomize_batch_norm
from tasks.backbone.parity import parity_error
from tasks.backbone.registry import Architecture, resolve_size
from tasks.common.progress import say
from tasks.common.threads import available_cores
from tasks.networks.conversion.keras_to_onnx import convert_base
from tasks.onnx import graphs
from tasks.onnx.resize import Resize
from tasks.onnx.sessions import Session

BATCH_SIZE = 16
MIN_BATCHES = 3
MIN_SECONDS = 3.0


class Measurement(NamedTuple):
    """Costs of one network.

    `seconds` is the time of the conversion, `error` its relative error, `transposes` the number of Transpose nodes that
    are left in the graph, and `size` the size of the graph in bytes.
    """

    seconds: float
    error: float
    images_per_second: float
    transposes: int
    size: int


def measure(architecture: Architecture, min_seconds: float = MIN_SECONDS) -> Measurement:
    """Build the network at its default size with random weights, convert it, and run it on all cores.

    The forward pass is repeated for at least `min_seconds`.
    """
    size, alpha = resolve_size(architecture, None, None)
    base = build(architecture, size, alpha, seed=0, include_top=False, imagenet=False)
    randomize_batch_norm(base, seed=0)
    start = time.perf_counter()
    graph = convert_base(base, Resize(size), architecture.mode, "avg")
    seconds = time.perf_counter() - start
    error = parity_error(base, graph, size, architecture.mode, "avg")
    transposes = sum(node.op_type == "Transpose" for node in graph.graph.node)
    return Measurement(seconds, error, _measure_speed(graph, size, min_seconds), transposes, graph.ByteSize())


def measure_all(architectures: Sequence[Architecture], min_seconds: float = MIN_SECONDS) -> None:
    """Measure the networks one after the other, report each, and keep the speeds."""
    for architecture in architectures:
        measurement = measure(architecture, min_seconds)
        speeds.save(architecture.name, measurement.images_per_second)
        say(
            f"{architecture.name}: {measurement.images_per_second:,.1f} images/s at {architecture.input_size} pixels, "
            f"converted in {measurement.seconds:,.1f} s, relative error {measurement.error:.0e}, "
            f"{measurement.size / 1e6:,.0f} MB"
        )


def _measure_speed(graph: onnx.ModelProto, input_size: int, min_seconds: float) -> float:
    """Return the images a second of the fastest batch; the resize is left out, and the first batches warm up."""
    forward = Session(graphs.extract(graph, "resized", "features"), threads=available_cores())
    batch = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, input_size, input_size, 3), dtype=np.uint8)
    times: list[float] = []
    while len(times) < MIN_BATCHES or sum(times) < min_seconds:
        start = time.perf_counter()
        forward(batch)
        times.append(time.perf_counter() - start)
    return BATCH_SIZE / min(times)
