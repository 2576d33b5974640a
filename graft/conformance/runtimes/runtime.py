"""The description of a runtime, and how those that are Python packages are started."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
# From one image, uint8 or float32 [1, H, W, 3], to the outputs by name.
Predict = Callable[[Array], Mapping[str, Array]]

ONNX, TFLITE = ".onnx", ".tflite"
EXTRA = "pip install 'graft[conformance]'"


@dataclass(frozen=True)
class Runtime:
    """A runtime, which predicts in a process of its own.

    Attributes:
        name: the name in reports.
        suffix: ending of the files that it reads.
        find: its version, given the folder of JavaScript packages; None if it is not installed.
        install: the command that installs it, given that folder.
        command: the program and its arguments before the request (`worker.py`), given that folder.
        remark: a setting that a user has to know of; may be empty.
        without_file: how to get a file with that ending.
    """

    name: str
    suffix: str
    find: Callable[[Path], str | None]
    install: Callable[[Path], str]
    command: Callable[[Path], list[str]]
    remark: str = ""
    without_file: str = ""


def python_runtime(
    module: str,
    name: str,
    package: str,
    suffix: str = ONNX,
    install: str = EXTRA,
    remark: str = "",
    without_file: str = "",
) -> Runtime:
    """Return the runtime of a Python package; `module` has a function `load`, from a path and output names to Predict.

    All runtimes use one thread, so that their latencies can be compared.
    """

    def find(_: Path) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    def command(_: Path) -> list[str]:
        return [sys.executable, "-m", "graft.conformance.worker", module]

    return Runtime(name, suffix, find, lambda _: install, command, remark, without_file)
