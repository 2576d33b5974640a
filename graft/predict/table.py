"""Predictions as a table on a terminal."""

from collections.abc import Sequence

from graft.classifier import Prediction
from graft.predict.formats import ranked
from tasks.common.text import printable

LEAST_NAME_WIDTH = 12


def format_table(predictions: Sequence[Prediction], classes: Sequence[str], top: int, width: int) -> list[str]:
    """Return the lines of the table, each at most `width` characters long where the names can be shortened.

    A picture that the model does not know is `unknown`, with the class that it would have got in brackets.
    """
    answers = [_answer(prediction, classes, top) for prediction in predictions]
    pairs = zip(predictions, answers, strict=True)
    # Reasons may be longer than a line, and names would then be cut for all.
    longest = max((len(answer) for prediction, answer in pairs if prediction.error is None), default=0)
    names = [printable(prediction.path) for prediction in predictions]
    room = min(max((len(name) for name in names), default=0), max(LEAST_NAME_WIDTH, width - longest - 2))
    return [f"{_shorten(name, room):<{room}}  {answer}" for name, answer in zip(names, answers, strict=True)]


def _answer(prediction: Prediction, classes: Sequence[str], top: int) -> str:
    if prediction.error is not None:
        return f"error: {printable(prediction.error)}"
    best = ", ".join(f"{printable(label)} {probability:.1%}" for label, probability in ranked(prediction, classes, top))
    return f"unknown ({best})" if prediction.is_known is False else best


def _shorten(name: str, room: int) -> str:
    """Return the end of a name, which tells files apart, with an ellipsis for the rest."""
    return name if len(name) <= room else f"…{name[len(name) - room + 1 :]}"
