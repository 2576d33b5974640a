"""One file from image to probabilities, held to what the training side predicted."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx

from tasks.common.errors import GateError
from tasks.common.files import require
from tasks.common.params import Export
from tasks.common.progress import say
from tasks.common.threads import available_cores
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tasks.tables import accepted, reference


def export(images: Path, backbone: Path, tuned: Path, out: Path, params: Export) -> None:
    """Join the base (tuned, if fine-tuning was on) with the head and write the file to `out`.

    Raises GateError when its probabilities differ from the training side's by more than `params.tolerance` on the
    validation images compared.
    """
    own_base = tuned / "backbone.onnx"
    base_file = own_base if own_base.exists() else require(backbone / "backbone.onnx", "backbone")
    base = onnx.load(base_file)
    head = onnx.load(require(tuned / "head.onnx", "finetuning"))
    model = graphs.join(base, head)
    paths, expected, classes = reference.load(tuned / "reference.parquet")
    graphs.set_metadata(
        model,
        {
            "classes": json.dumps(classes, ensure_ascii=False),
            "preprocessing": "RGB uint8 with EXIF orientation applied; resizing and normalising are in the graph",
            "backbone": graphs.metadata(base)["backbone"],
            "finetuned": json.dumps(own_base.exists()),
            "base_sha256": sha256(base_file.read_bytes()).hexdigest(),
            "head_sha256": sha256((tuned / "head.onnx").read_bytes()).hexdigest(),
        },
    )
    compared = paths[: params.parity_images]
    run = Session(model, threads=1)
    found = accepted.each(images, compared, run, ahead=4 * available_cores())
    error = float(np.abs(np.stack(list(found)) - expected[: len(compared)]).max())
    if not error <= params.tolerance:
        message = (
            f"the exported file's probabilities differ from the training side's by up to {error:.1e}; "
            f"expected at most {params.tolerance:.1e} (export.tolerance)."
        )
        raise GateError(message)
    graphs.save(model, out)
    say(f"export: {out}, equal to the training side within {params.tolerance:.0e} on {len(compared)} images")
