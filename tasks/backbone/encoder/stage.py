"""The stage `backbone` for an encoder from elsewhere: from its file to the files that the later stages read."""

import json
from collections.abc import Sequence
from pathlib import Path

import onnx

from tasks.backbone.encoder.conversion import Request, convert_encoder
from tasks.backbone.encoder.faults import run_isolated
from tasks.backbone.encoder.preprocessing import choose_resize, read_preprocessing
from tasks.backbone.encoder.source import find_encoder
from tasks.common.files import atomic_folder
from tasks.common.params import Backbone
from tasks.common.progress import say
from tasks.common.text import printable
from tasks.onnx import graphs
from tasks.onnx.resize import resize_graph


def prepare_encoder(params: Backbone, taps: Sequence[str | float] | str | None, out: Path) -> None:
    """Write an encoder's base into the folder `out`: its ONNX graph, a JSON file of its facts, and no Keras model.

    Raises:
        GraftError: the file, its preprocessing or a key of the params cannot be used.
        GateError: the graph differs from the encoder by more than `params.tolerance`.
    """
    path = find_encoder(params, taps)
    preprocessing = read_preprocessing(params, path)
    request = Request(path, preprocessing, params)
    base = run_isolated(convert_encoder, request, params.name)
    resize = choose_resize(params, preprocessing, base.size)
    graph = graphs.join(resize_graph(resize), onnx.load_model_from_string(base.model))
    layer = printable(base.output)
    tap = {"layer": layer, "tensor": "features", "width": base.width, "depth": 1.0}
    facts = {
        "name": params.name,
        "weights": path.name,
        "weights_sha256": params.sha256,
        "licence": "own",
        "include_top": False,
        "input_size": base.size,
        "resize": resize.to_json(),
        "alpha": None,
        "mode": "encoder",
        "preprocessing": {
            "origin": preprocessing.origin,
            "scale": preprocessing.scale,
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
        },
        "pooling": params.pooling,
        "batch": base.form,
        "taps": [layer],
        "width": base.width,
        "parameters": base.parameters,
        "opset": graphs.opset(graph),
    }
    say(f"backbone: {printable(params.name)}, {base.size}x{base.size} pixels, {base.parameters:,} parameters")
    say(
        f"backbone: output {layer}, preprocessing of {preprocessing.origin}, fit {resize.fit} "
        f"(share {resize.crop_share:.3g}), {resize.interpolation}"
    )
    say(f"backbone: the graph equals the encoder within {params.tolerance:.0e}, {base.width:,} features an image")
    with atomic_folder(out) as folder:
        graphs.set_metadata(graph, {"taps": json.dumps([tap]), "backbone": json.dumps(facts)})
        graphs.save(graph, folder / "backbone.onnx")
        (folder / "keras").mkdir()
        text = json.dumps(facts | {"layers": [layer], "cuts": []}, indent=1)
        (folder / "backbone.json").write_text(text + "\n", encoding="utf-8")
