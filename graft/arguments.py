"""Values on the command line; argparse names these functions where a text is no number."""

import math
from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        message = f"expected at least 1, found {number}"
        raise ArgumentTypeError(message)
    return number


def positive_number(text: str) -> float:
    """Read a finite number above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        message = f"expected a number above 0, found {text}"
        raise ArgumentTypeError(message)
    return number


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        message = f"expected a number from 0 to 1, found {text}"
        raise ArgumentTypeError(message)
    return number


def port(text: str) -> int:
    """Read the number of a port; 0 stands for any that is free."""
    number = int(text)
    if not 0 <= number < 2**16:
        message = f"expected 0 to 65535, found {number}"
        raise ArgumentTypeError(message)
    return number
