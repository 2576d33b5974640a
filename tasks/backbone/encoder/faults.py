"""Faults that a file from elsewhere causes in native libraries, as errors of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.common.errors import GraftError
from tasks.common.text import printable

LONGEST = 200


@contextmanager
def explained(name: str, action: str) -> Iterator[None]:
    """Turn any exception of the body into a GraftError: `NAME cannot be ACTION: reason`.

    onnx and ONNX Runtime raise many kinds of exceptions for damaged graphs, and document none of them.
    """
    try:
        yield
    except GraftError:
        raise
    except Exception as error:
        message = f"{name} cannot be {action}: {one_line(error)}"
        raise GraftError(message) from error


def one_line(error: BaseException) -> str:
    """Return the beginning of an error's text as one printable sentence."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return f"{text[: LONGEST - 3]}..." if len(text) > LONGEST else f"{text.rstrip('.')}."
