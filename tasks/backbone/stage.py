"""From params to the files that the other stages run."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np
import onnx

from tasks.backbone import pretrained
from tasks.common.errors import GateError, GraftError
from tasks.common.files import atomic_folder
from tasks.common.params import Backbone
from tasks.common.progress import say
from tasks.networks import cuts, saving
from tasks.networks.conversion.keras_to_onnx import convert_base, keras_forward
from tasks.onnx import graphs
from tasks.onnx.sessions import Session

PARITY_BATCHES = (1, 5)


def make(params: Backbone, taps: Sequence[cuts.Choice] | None, out: Path) -> None:
    """Write the base into the folder `out`: ONNX graph, Keras architecture and weights, and what there is to know.

    The base reaches from the image up to `params.cut` (None: the last layer) and has an output at each of `taps` (None:
    at its top); what no tap needs is left out. Raises GraftError, and GateError when ONNX and Keras differ too much.
    """
    whole = pretrained.load(params)
    size, source = whole.source.input_size, whole.source
    base = select_taps(whole.model, whole.name, params.cut, taps)
    say(f"backbone: {whole.name}, weights {source.name}, {size}x{size} pixels, {base.count_params():,} parameters")
    graph = convert_base(base, size, whole.mode, params.pooling)
    error = parity_error(base, graph, size, whole.mode, params.pooling)
    if not error <= params.tolerance:  # a NaN is no parity
        message = (
            f"the ONNX graph of {whole.name} differs from Keras by {error:.1e} of the largest value; "
            f"expected at most {params.tolerance:.1e} (backbone.tolerance)."
        )
        raise GateError(message)
    say(f"backbone: ONNX equals Keras within {params.tolerance:.0e}, {graphs.output_width(graph)} features an image")
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
        "taps": cuts.tap_names(base),
        "width": graphs.output_width(graph),
        "parameters": base.count_params(),
        "opset": graphs.OPSET,
    }
    with atomic_folder(out) as folder:
        graphs.set_metadata(graph, graphs.metadata(graph) | {"backbone": json.dumps(facts)})
        graphs.save(graph, folder / "backbone.onnx")
        saving.save(base, folder, "base")
        _, layers, possible = cuts.list_layers(base, whole.name)
        text = json.dumps(facts | {"layers": layers, "cuts": possible}, indent=1)
        (folder / "backbone.json").write_text(text + "\n", encoding="utf-8")


def select_taps(
    model: keras.Model, name: str, cut: cuts.Choice | None, taps: Sequence[cuts.Choice] | None
) -> keras.Model:
    """Return the part of the model called `name` up to `cut`, with an output at each of `taps`, from the input up.

    Raises GraftError when one is no cut of the model, lies above the cut, or is named twice.
    """
    last = model.layers[-1].name if cut is None else cuts.resolve(cut, cuts.list_layers(model, name), "backbone.cut")
    base = cuts.truncate(model, [last])
    among = cuts.list_layers(base, name)
    names = [cuts.resolve(choice, among, f"features.taps[{place}]") for place, choice in enumerate(taps or [])]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        message = f"features.taps names the cut '{twice}' twice; name each once."
        raise GraftError(message)
    return cuts.truncate(base, sorted(names, key=among.layers.index) or [last])


def parity_error(base: keras.Model, graph: onnx.ModelProto, size: int, mode: str, pooling: str) -> float:
    """Return the largest difference between Keras and graph on random images, as a share of a tap's largest value."""
    run, keras_run = Session(graph, threads=1), keras_forward(base, size, mode, pooling)
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
