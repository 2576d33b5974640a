"""What a network costs on this machine: conversion, and the forward pass on ready batches."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx

from tasks.backbone.catalogue import speeds
from tasks.backbone.construction import build, randomize_batch_norm
from tasks.backbone.registry import Architecture, sized
from tasks.backbone.stage import parity_error
from tasks.common.progress import say
from tasks.common.threads import available_cores
from tasks.networks.conversion.keras_to_onnx import convert_base
from tasks.onnx import graphs
from tasks.onnx.sessions import Session

BATCH = 16
SECONDS = 3.0


class Measured(NamedTuple):
    """Seconds that the conversion took, its relative error, images a second, leftover Transpose nodes, ONNX bytes."""

    seconds: float
    error: float
    images_per_second: float
    transposes: int
    size: int


def measure(row: Architecture) -> Measured:
    """Build the network at its default size with random weights, convert it, and run it on all cores."""
    base = build(row, *sized(row, None, None), seed=0, include_top=False, imagenet=False)
    randomize_batch_norm(base, seed=0)
    start = time.perf_counter()
    graph = convert_base(base, row.input_size, row.mode, "avg")
    seconds = time.perf_counter() - start
    error = parity_error(base, graph, row.input_size, row.mode, "avg")
    transposes = sum(node.op_type == "Transpose" for node in graph.graph.node)
    return Measured(seconds, error, speed(graph, row.input_size), transposes, graph.ByteSize())


def speed(graph: onnx.ModelProto, input_size: int) -> float:
    """Return the images a second of the forward pass from resized images, the best of several batches."""
    forward = Session(graphs.extract(graph, "resized", "features"), threads=available_cores())
    batch = np.random.default_rng(0).integers(0, 256, (BATCH, input_size, input_size, 3), dtype=np.uint8)
    times: list[float] = []
    while len(times) < 3 or sum(times) < SECONDS:  # noqa: PLR2004  the first warms up
        start = time.perf_counter()
        forward(batch)
        times.append(time.perf_counter() - start)
    return BATCH / min(times)


def measure_all(rows: Sequence[Architecture]) -> None:
    """Measure the networks one after the other, say what was found, and keep the speeds."""
    for row in rows:
        found = measure(row)
        speeds.save(row.name, found.images_per_second)
        say(
            f"{row.name}: {found.images_per_second:,.1f} images/s at {row.input_size} pixels, converted in "
            f"{found.seconds:,.1f} s, relative error {found.error:.0e}, {found.size / 1e6:,.0f} MB"
        )
