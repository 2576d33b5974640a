"""From params to the files that the other stages run."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np
import onnx

from tasks.backbone import network
from tasks.common import cuts, graphs, networks
from tasks.common.conversion import base_graph, reference
from tasks.common.errors import GateError, GraftError
from tasks.common.files import atomic_folder
from tasks.common.params import Backbone
from tasks.common.progress import say
from tasks.common.sessions import Session

PARITY_BATCHES = (1, 5)


def make(params: Backbone, taps: Sequence[cuts.Choice] | None, out: Path) -> None:
    """Write the base into the folder `out`: ONNX graph, Keras architecture and weights, and what there is to know.

    The base reaches from the image up to `params.cut` (None: the last layer) and has an output at each of `taps` (None:
    at its top); what no tap needs is left out. Raises GraftError, and GateError when ONNX and Keras differ too much.
    """
    whole = network.load(params)
    size, source = whole.source.input_size, whole.source
    base = tap(whole.model, whole.name, params.cut, taps)
    say(f"backbone: {whole.name}, weights {source.name}, {size}x{size} pixels, {base.count_params():,} parameters")
    graph = base_graph(base, size, whole.mode, params.pooling)
    error = parity(base, graph, size, whole.mode, params.pooling)
    if not error <= params.tolerance:  # a NaN is no parity
        message = (
            f"the ONNX graph of {whole.name} differs from Keras by {error:.1e} of the largest value; "
            f"expected at most {params.tolerance:.1e} (backbone.tolerance)."
        )
        raise GateError(message)
    say(f"backbone: ONNX equals Keras within {params.tolerance:.0e}, {graphs.width(graph)} features an image")
    facts = {
        "name": whole.name,
        "weights": source.name,
        "weights_sha256": sha256(source.path.read_bytes()).hexdigest() if source.path else None,
        "licence": whole.licence,
        "include_top": params.include_top,
        "input_size": size,
        "alpha": source.alpha,
        "mode": whole.mode,
        "pooling": params.pooling,
        "taps": cuts.taps(base),
        "width": graphs.width(graph),
        "parameters": base.count_params(),
        "opset": graphs.OPSET,
    }
    with atomic_folder(out) as folder:
        graphs.describe(graph, graphs.metadata(graph) | {"backbone": json.dumps(facts)})
        graphs.save(graph, folder / "backbone.onnx")
        networks.save(base, folder, "base")
        _, layers, possible = cuts.survey(base, whole.name)
        text = json.dumps(facts | {"layers": layers, "cuts": possible}, indent=1)
        (folder / "backbone.json").write_text(text + "\n", encoding="utf-8")


def tap(model: keras.Model, name: str, cut: cuts.Choice | None, taps: Sequence[cuts.Choice] | None) -> keras.Model:
    """Return the part of the model called `name` up to `cut`, with an output at each of `taps`, from the input up.

    Raises GraftError when one is no cut of the model, lies above the cut, or is named twice.
    """
    last = model.layers[-1].name if cut is None else cuts.chosen(cut, cuts.survey(model, name), "backbone.cut")
    base = cuts.up_to(model, [last])
    among = cuts.survey(base, name)
    names = [cuts.chosen(choice, among, f"features.taps[{place}]") for place, choice in enumerate(taps or [])]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        message = f"features.taps names the cut '{twice}' twice; name each once."
        raise GraftError(message)
    return cuts.up_to(base, sorted(names, key=among.layers.index) or [last])


def parity(base: keras.Model, graph: onnx.ModelProto, size: int, mode: str, pooling: str) -> float:
    """Return the largest difference between Keras and graph on random images, as a share of a tap's largest value."""
    run, keras_run = Session(graph, threads=1), reference(base, size, mode, pooling)
    random, errors = np.random.default_rng(0), [0.0]
    for count in PARITY_BATCHES:
        images = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        expected = keras_run(images)
        found = np.split(run(images), np.cumsum([vector.shape[1] for vector in expected])[:-1], axis=1)
        errors += [
            np.abs(one - other).max() / max(np.abs(other).max(), np.finfo(np.float32).tiny)
            for one, other in zip(found, expected, strict=True)
        ]
    return float(np.max(errors))
