"""The stage `backbone`: from params to the files that the later stages read."""

import json
from collections.abc import Sequence
from pathlib import Path

from tasks.backbone import pretrained
from tasks.backbone.parity import parity_error
from tasks.backbone.taps import select_taps
from tasks.common.errors import GateError
from tasks.common.files import atomic_folder
from tasks.common.hashing import hash_file
from tasks.common.params import Backbone
from tasks.common.progress import say
from tasks.networks import cuts, saving
from tasks.networks.conversion.keras_to_onnx import convert_base
from tasks.onnx import graphs


def prepare_backbone(params: Backbone, taps: Sequence[cuts.Choice] | None, out: Path) -> None:
    """Write the base into the folder `out`: ONNX graph, Keras architecture and weights, and a JSON file of its facts.

    The base reaches from the image up to `params.cut` (None: the last layer) and has an output at each of `taps` (None:
    only at its top); layers that no tap needs are left out.

    Raises:
        GraftError: there is no such network, weights file, cut or tap, or they do not fit together.
        GateError: ONNX and Keras differ by more than `params.tolerance`.
    """
    network = pretrained.load(params)
    source, size = network.source, network.source.input_size
    base = select_taps(network.model, network.name, params.cut, taps)
    say(f"backbone: {network.name}, weights {source.name}, {size}x{size} pixels, {base.count_params():,} parameters")
    graph = convert_base(base, size, network.mode, params.pooling)
    error = parity_error(base, graph, size, network.mode, params.pooling)
    if not error <= params.tolerance:  # so that NaN fails too
        message = (
            f"the ONNX graph of {network.name} differs from Keras by {error:.1e} of the largest value; "
            f"expected at most {params.tolerance:.1e} (backbone.tolerance)."
        )
        raise GateError(message)
    say(f"backbone: ONNX equals Keras within {params.tolerance:.0e}, {graphs.output_width(graph)} features an image")
    facts = {
        "name": network.name,
        "weights": source.name,
        "weights_sha256": hash_file(source.path) if source.path else None,
        "licence": network.licence,
        "include_top": params.include_top,
        "input_size": size,
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
