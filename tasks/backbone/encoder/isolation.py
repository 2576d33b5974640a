"""Work on a file from elsewhere in a process of its own, which the file may crash, fill or keep for ever."""

import resource
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import onnxruntime
import psutil

from tasks.common.errors import GraftError
from tasks.common.processes import Failure, isolated_map
from tasks.common.text import printable

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS = 900.0
"""Processor time for the work, which takes seconds or, for the largest encoders, minutes."""
SILENT = 4
"""Level of ONNX Runtime's messages: its errors are reported as exceptions."""


def run_isolated(function: Callable[[Item], Result], item: Item, name: str) -> Result:
    """Return the result of a function of a module for an item about the file `name`.

    Raises:
        GraftError: the function raised it, or the process crashed, filled the memory that is free, or took too long.
    """

    def failed(_: Item, failure: Failure) -> Result:
        reason = {
            Failure.CRASHED: "it crashed the process that tried it, or filled the memory",
            Failure.TOO_SLOW: f"trying it took more than {SECONDS:g} s of processor time",
        }[failure]
        message = f"{printable(name)} cannot be used: {reason}. Export it again."
        raise GraftError(message)

    [result] = isolated_map(partial(_limited, function), [item], failed, workers=1, ahead=1, seconds=SECONDS)
    return result


def _limited(function: Callable[[Item], Result], item: Item) -> Result:
    onnxruntime.set_default_logger_severity(SILENT)
    limit = psutil.Process().memory_info().vms + psutil.virtual_memory().available
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return function(item)
