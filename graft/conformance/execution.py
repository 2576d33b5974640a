"""A runtime at work in a process of its own: a crash, a hang or a page of messages in it stays there."""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from graft.conformance.pixels import Pixels
from graft.conformance.variants import Variant
from tasks.common.text import printable

Floats = npt.NDArray[np.float64]

# Runtimes differ in how they split work, so each gets one thread.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# The rest of the time is for starting, and for one image.
SHARE_FOR_IMAGES = 0.5
LONGEST_REASON = 240


class Answer(NamedTuple):
    """The outputs by name, float64 [images, numbers], and the median time of an image in milliseconds."""

    outputs: dict[str, Floats]
    milliseconds: float


class Failure(NamedTuple):
    """The reason, on one line, why a runtime gave no answer."""

    reason: str


def run(
    command: Sequence[str], variant: Variant, pixels: Pixels, outputs: list[str], folder: Path, seconds: float
) -> Answer | Failure:
    """Return the answer of a runtime for as many of the images as half of the time allows, at least for one.

    `command` starts the runtime, `folder` is for its request and its answer, and its process is ended after `seconds`.
    """
    request_path, answer_path = folder / "request.json", folder / "answer.json"
    answer_path.unlink(missing_ok=True)
    request = {
        "model": str(variant.path.resolve()),
        "outputs": outputs,
        "pixels": str(pixels.path),
        "shapes": pixels.shapes,
        "dtype": variant.dtype,
        "seconds": seconds * SHARE_FOR_IMAGES,
        "answer": str(answer_path),
    }
    request_path.write_text(json.dumps(request), encoding="utf-8")
    try:
        ended = subprocess.run(
            [*command, str(request_path)],
            env=os.environ | ONE_THREAD,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Failure(f"did not end within {seconds:g} s")
    if not answer_path.exists():
        return Failure(_explain_end(ended))
    answer = json.loads(answer_path.read_text(encoding="utf-8"))
    if "error" in answer:
        return Failure(_shorten(answer["error"]))
    # JavaScript writes null for numbers that are not finite.
    try:
        arrays = {name: np.array(values, np.float64) for name, values in answer["outputs"].items()}
    except ValueError:
        return Failure("its outputs have another size for each image")
    return Answer(arrays, 1000 * float(np.median(answer["seconds"])))


def _explain_end(ended: subprocess.CompletedProcess[bytes]) -> str:
    if ended.returncode < 0:
        return f"its process crashed ({signal.Signals(-ended.returncode).name})"
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    return _shorten(f"its process ended with exit code {ended.returncode}: {lines[-1] if lines else 'without a word'}")


def _shorten(reason: str) -> str:
    text = printable(" ".join(reason.split())).rstrip(".")
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"
