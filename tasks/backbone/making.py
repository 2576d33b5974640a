"""From a row of the registry to files that the other stages run."""

import json
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np
import onnx

from tasks.backbone.cuts import cuts
from tasks.backbone.registry import Architecture
from tasks.backbone.weights import Source, find
from tasks.common import graphs, networks
from tasks.common.conversion import base_graph, normalised, pooling_layer
from tasks.common.errors import GateError
from tasks.common.files import atomic_folder
from tasks.common.params import Backbone
from tasks.common.progress import say
from tasks.common.sessions import Session

PARITY_BATCHES = (1, 5)


def make(row: Architecture, out: Path, params: Backbone) -> None:
    """Write the base into the folder `out`: ONNX graph, Keras architecture and weights, and what there is to know."""
    source = find(row, params)
    size, base = source.input_size, build(row, source, params.seed)
    say(f"backbone: {row.name}, weights {source.name}, {size}x{size} pixels, {base.count_params():,} parameters")
    graph = base_graph(base, size, row.mode, params.pooling)
    error = parity(base, graph, size, row.mode, params.pooling)
    if not error <= params.tolerance:  # a NaN is no parity
        message = (
            f"the ONNX graph of {row.name} differs from Keras by {error:.1e} of the largest value; "
            f"expected at most {params.tolerance:.1e} (backbone.tolerance)."
        )
        raise GateError(message)
    say(f"backbone: ONNX equals Keras within {params.tolerance:.0e}, {graphs.width(graph)} features an image")
    facts = {
        "name": row.name,
        "weights": source.name,
        "weights_sha256": sha256(source.path.read_bytes()).hexdigest() if source.path else None,
        "input_size": size,
        "alpha": source.alpha,
        "mode": row.mode,
        "pooling": params.pooling,
        "width": graphs.width(graph),
        "parameters": base.count_params(),
        "cuts": cuts(base),
    }
    with atomic_folder(out) as folder:
        graphs.describe(graph, {"backbone": json.dumps({key: facts[key] for key in facts if key != "cuts"})})
        graphs.save(graph, folder / "backbone.onnx")
        networks.save(base, folder, "base")
        (folder / "backbone.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def build(row: Architecture, source: Source, seed: int) -> keras.Model:
    """Return the Keras base without its top, with its weights loaded, or random ones of that seed."""
    keras.utils.set_random_seed(seed)
    options = {"alpha": source.alpha} if source.alpha is not None else {}
    base = getattr(keras.applications, row.name)(
        input_shape=(source.input_size, source.input_size, 3), include_top=False, weights=None, **options
    )
    if source.path is not None:
        networks.load_weights(base, source.path)
    return base


def parity(base: keras.Model, graph: onnx.ModelProto, size: int, mode: str, pooling: str) -> float:
    """Return the largest difference between Keras and the graph, as a share of the largest value, on random images."""
    run, pool, random = Session(graph, threads=1), pooling_layer(pooling), np.random.default_rng(0)
    errors = []
    for count in PARITY_BATCHES:
        images = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        expected = np.asarray(pool(base(normalised(images, mode), training=False)))
        errors.append(np.abs(run(images) - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))
    return float(np.max(errors))
