"""Faults that a file from elsewhere causes in native libraries: each ends in one line, even a crash.

The work on such a file runs in a process of its own, which the file may crash, fill or keep for ever.
"""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
MEMORY_SHARE = 0.7
"""Share of the free memory that the work may take; without the rest, the machine itself would come to a halt."""
LONGEST = 200
"""Characters that are shown of a library's message."""


def run_isolated(function: Callable[[Item], Result], item: Item, name: str) -> Result:
    """Return the function's result for an item, computed in a child process; errors call the file `name`.

    The function is one of a module, not a nested one, so that the child process can import it.

    Raises:
        GraftError: the function raised it, or the process crashed, needed too much memory, or took too long.
    """

    def failed(_: Item, failure: Failure) -> Result:
        reason = {
            Failure.CRASHED: "it crashed the process that tried it, or needed too much memory",
            Failure.TOO_SLOW: f"trying it took more than {SECONDS:g} s of processor time",
        }[failure]
        message = f"{printable(name)} cannot be used: {reason}. Export it again."
        raise GraftError(message)

    [result] = isolated_map(partial(_limited, function), [item], failed, workers=1, ahead=1, seconds=SECONDS)
    return result


@contextmanager
def explained(name: str, action: str, advice: str = "Export it again.") -> Iterator[None]:
    """Turn any exception of the body into a GraftError: `NAME cannot be ACTION: reason. ADVICE`.

    onnx and ONNX Runtime raise many kinds of exceptions for damaged graphs, and document none of them.
    """
    try:
        yield
    except GraftError:
        raise
    except Exception as error:
        message = f"{name} cannot be {action}: {_one_line(error)} {advice}"
        raise GraftError(message) from error


def _one_line(error: BaseException) -> str:
    """Return the beginning of an error's text as one printable sentence."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return f"{text[: LONGEST - 3]}..." if len(text) > LONGEST else f"{text.rstrip('.')}."


def _limited(function: Callable[[Item], Result], item: Item) -> Result:
    onnxruntime.set_default_logger_severity(SILENT)
    limit = psutil.Process().memory_info().vms + int(psutil.virtual_memory().available * MEMORY_SHARE)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return function(item)
