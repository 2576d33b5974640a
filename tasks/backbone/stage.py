"""The stage `backbone`: from params to the files that the later stages read."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import keras
import onnx

from tasks.backbone import pretrained
from tasks.backbone.parity import find_not_finite, parity_error
from tasks.backbone.taps import AUTO, select_taps
from tasks.common.errors import GateError, GraftError
from tasks.common.files import atomic_folder
from tasks.common.hashing import hash_file
from tasks.common.params import Backbone
from tasks.common.progress import say
from tasks.networks import cuts, saving
from tasks.networks.conversion.keras_to_onnx import convert_base
from tasks.onnx import graphs
from tasks.onnx.resize import resize_of


def prepare_backbone(params: Backbone, taps: Sequence[cuts.Choice] | str | None, out: Path) -> None:
    """Write the base into the folder `out`: ONNX graph, Keras architecture and weights, and a JSON file of its facts.

    The base reaches from the image up to `params.cut` (None: the last layer) and has an output at each of `taps` (None:
    only at its top; `auto`: at several depths); layers that no tap needs are left out.

    Raises:
        GraftError: there is no such network, weights file, cut or tap, they do not fit together, or a layer gives
            values that are not finite.
        GateError: ONNX and Keras differ by more than `params.tolerance`.
    """
    network = pretrained.load(params)
    source, size = network.source, network.source.input_size
    base = select_taps(network.model, network.name, params.cut, taps, params.pooling)
    say(f"backbone: {network.name}, weights {source.name}, {size}x{size} pixels, {base.count_params():,} parameters")
    if taps == AUTO:
        say(f"backbone: features.taps is auto, which means {', '.join(cuts.tap_names(base))}")
    resize = resize_of(params, size)
    graph = convert_base(base, resize, network.mode, params.pooling)
    _check_parity(network, base, graph, params)
    say(f"backbone: ONNX equals Keras within {params.tolerance:.0e}, {graphs.output_width(graph)} features an image")
    facts = {
        "name": network.name,
        "weights": source.name,
        "weights_sha256": hash_file(source.path) if source.path else None,
        "licence": network.licence,
        "include_top": params.include_top,
        "input_size": size,
        "resize": resize.to_json(),
        "alpha": source.alpha,
        "mode": network.mode,
        "pooling": params.pooling,
        "taps": cuts.tap_names(base),
        "width": graphs.output_width(graph),
        "parameters": base.count_params(),
        "opset": graphs.OPSET,
    }
    with atomic_folder(out) as folder:
        graphs.set_metadata(graph, graphs.metadata(graph) | {"backbone": json.dumps(facts)})
        graphs.save(graph, folder / "backbone.onnx")
        saving.save(base, folder / "keras", "base")
        _, layers, base_cuts = cuts.list_layers(base, network.name)
        text = json.dumps(facts | {"layers": layers, "cuts": base_cuts}, indent=1)
        (folder / "backbone.json").write_text(text + "\n", encoding="utf-8")


def _check_parity(network: pretrained.Network, base: keras.Model, graph: onnx.ModelProto, params: Backbone) -> None:
    """Raise an error when the graph differs from the base too much, or either gives values that are not finite."""
    size = network.source.input_size
    error = parity_error(base, graph, size, network.mode, params.pooling)
    if error <= params.tolerance:
        return
    if math.isfinite(error):
        message = (
            f"the ONNX graph of {network.name} differs from Keras by {error:.1e} of the largest value; "
            f"expected at most {params.tolerance:.1e} (backbone.tolerance)."
        )
        raise GateError(message)
    fault = find_not_finite(base, size, network.mode)
    if fault is None:
        message = f"the ONNX graph of {network.name} gives values that are not finite, but Keras gives finite ones."
        raise GateError(message)
    message = (
        f"layer '{fault.layer}' of {network.name} gives values that are not finite ({fault.value}). Check its weights."
    )
    raise GraftError(message)
