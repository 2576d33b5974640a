"""Comparison of an ONNX graph with the Keras network that it was converted from."""

import keras
import numpy as np
import onnx

from tasks.networks.conversion.keras_to_onnx import keras_forward
from tasks.onnx.sessions import Session

BATCH_SIZES = (1, 5)


def parity_error(base: keras.Model, graph: onnx.ModelProto, size: int, mode: str, pooling: str) -> float:
    """Return the largest difference between ONNX Runtime and Keras on random images of `size` pixels.

    It is relative to the largest value of the tap; NaN when either result holds NaN.
    """
    run_onnx, run_keras = Session(graph, threads=1), keras_forward(base, size, mode, pooling)
    random, errors = np.random.default_rng(0), [0.0]
    for batch_size in BATCH_SIZES:
        images = random.integers(0, 256, (batch_size, size, size, 3), dtype=np.uint8)
        expected = run_keras(images)
        tap_ends = np.cumsum([vectors.shape[1] for vectors in expected])
        actual = np.split(run_onnx(images), tap_ends[:-1], axis=1)
        errors += [
            np.abs(onnx_vectors - keras_vectors).max() / max(np.abs(keras_vectors).max(), np.finfo(np.float32).tiny)
            for onnx_vectors, keras_vectors in zip(actual, expected, strict=True)
        ]
    return float(np.max(errors))
