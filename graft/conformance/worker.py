"""The process in which a runtime predicts: `python -m graft.conformance.worker MODULE REQUEST`.

The request is a JSON file: `model`; `outputs`, their names; `pixels`, a file of uint8 images, one after the other;
`shapes` of these images; `dtype` in which the model takes them; `seconds` after which no further image is begun; and
`answer`, the file to write. The answer has `outputs`, by name a list of numbers for each image, and `seconds`, the time
of each image; or `error`. `runtimes/worker.mjs` does the same in JavaScript.
"""

import json
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from graft.conformance.runtimes.runtime import Array, Predict


def answer(module: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs and the times of as many images as the time allows, at least of one."""
    predict: Predict = import_module(module).load(Path(request["model"]), request["outputs"])
    outputs: dict[str, list[list[float]]] = {}
    seconds: list[float] = []
    start = time.perf_counter()
    for image in read_pixels(Path(request["pixels"]), request["shapes"]):
        pixels = image[None].astype(request["dtype"])
        for name, values in predict(pixels).items():
            outputs.setdefault(name, []).append(np.asarray(values, np.float64).ravel().tolist())
        # A size that is new may be prepared for, so the second time counts.
        again = time.perf_counter()
        predict(pixels)
        end = time.perf_counter()
        seconds.append(end - again)
        if end - start > request["seconds"]:
            break
    return {"outputs": outputs, "seconds": seconds}


def read_pixels(path: Path, shapes: list[list[int]]) -> Iterator[Array]:
    """Yield the images of a file, uint8 [H, W, 3]."""
    offset = 0
    for shape in shapes:
        image = np.fromfile(path, np.uint8, int(np.prod(shape)), offset=offset)
        offset += image.size
        yield image.reshape(shape)


def main() -> None:
    """Answer the request that the command line names."""
    module, path = sys.argv[1:]
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        results = answer(module, request)
    except Exception as error:  # noqa: BLE001  The runtimes raise anything.
        results = {"error": f"{error}" or type(error).__name__}
    Path(request["answer"]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
