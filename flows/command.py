"""The errors of the `graft` command: one line each, and a traceback only for a defect of a stage."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from flows.dvc import StageError
from tasks.common.errors import GraftError, explain_fault_of_the_disk

INTERRUPTED = 130


@contextmanager
def errors_in_one_line(exit_code: int = 1) -> Iterator[None]:
    """Turn a GraftError, a full disk and a missing right into a line and that exit code, Ctrl-C into a line and 130.

    SIGTERM ends the process like an error does, so that what it started is ended first.
    """
    errors = Console(stderr=True)
    # Python's default would end this process at once and leave the running stage behind.
    signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        yield
    except GraftError as error:
        if isinstance(error, StageError) and error.trace:
            errors.print(Text(error.trace), soft_wrap=True)
        errors.print(Text(f"error: {error}", style="red"), soft_wrap=True)
        sys.exit(exit_code)
    except OSError as error:
        message = explain_fault_of_the_disk(error)
        if message is None:
            raise
        errors.print(Text(f"error: {message}", style="red"), soft_wrap=True)
        sys.exit(exit_code)
    except KeyboardInterrupt:
        errors.print("interrupted; the next run goes on from the last finished stage")
        sys.exit(INTERRUPTED)


def _exit_on_signal(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)
