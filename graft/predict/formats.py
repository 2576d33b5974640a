"""Predictions as files: CSV, JSON with an object a line, and Parquet."""

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from graft.classifier import Prediction
from tasks.common.errors import GraftError
from tasks.common.text import readable

ROWS_IN_A_GROUP = 10_000


def ranked(prediction: Prediction, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
    """Return the `top` most probable classes with their probabilities, the best first."""
    if prediction.probabilities is None:
        return []
    order = (-prediction.probabilities).argsort(kind="stable")[:top]
    return [(classes[index], float(prediction.probabilities[index])) for index in order]


def write_csv(predictions: Iterable[Prediction], classes: Sequence[str], top: int, file: IO[str]) -> None:
    """Write a row an image; the second best class has the columns class_2 and probability_2, and so on."""
    count = min(top, len(classes))
    more = [f"{column}_{rank}" for rank in range(2, count + 1) for column in ("class", "probability")]
    writer = csv.writer(file)
    writer.writerow(["path", "class", "probability", "known", "is_known", *more, "error"])
    for prediction in predictions:
        best = ranked(prediction, classes, count)
        cells = [[label, figure(probability)] for label, probability in best] or [["", ""]] * count
        is_known = "" if prediction.is_known is None else str(prediction.is_known).lower()
        known = "" if prediction.known is None else figure(prediction.known)
        others = [cell for pair in cells[1:] for cell in pair]
        writer.writerow([readable(prediction.path), *cells[0], known, is_known, *others, prediction.error or ""])


def write_json(predictions: Iterable[Prediction], classes: Sequence[str], top: int, file: IO[str]) -> None:
    """Write an object a line; `probabilities` has the `top` best classes, the best first."""
    for prediction in predictions:
        row: dict[str, Any] = {"path": readable(prediction.path)}
        if prediction.error is not None:
            row["error"] = prediction.error
        else:
            row |= {"class": prediction.label, "probability": prediction.probability}
            if prediction.known is not None:
                row |= {"known": prediction.known, "is_known": prediction.is_known}
            row["probabilities"] = dict(ranked(prediction, classes, top))
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_parquet(predictions: Iterable[Prediction], classes: Sequence[str], path: Path) -> None:
    """Write the columns path, class, probability, known, is_known, probabilities and error.

    The class names, in the order of the probabilities, are in the schema's metadata under `classes`.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        message = "--parquet needs pyarrow: pip install pyarrow. --csv and --json do without."
        raise GraftError(message) from error
    values: dict[str, tuple[pa.DataType, Callable[[Prediction], Any]]] = {
        "path": (pa.string(), lambda row: readable(row.path)),
        "class": (pa.string(), lambda row: row.label),
        "probability": (pa.float32(), lambda row: row.probability),
        "known": (pa.float32(), lambda row: row.known),
        "is_known": (pa.bool_(), lambda row: row.is_known),
        "probabilities": (pa.list_(pa.float32()), lambda row: row.probabilities),
        "error": (pa.string(), lambda row: row.error),
    }
    metadata: dict[bytes | str, bytes | str] = {"classes": json.dumps(list(classes), ensure_ascii=False)}
    schema = pa.schema([pa.field(name, kind) for name, (kind, _) in values.items()], metadata=metadata)
    remaining = iter(predictions)
    with pq.ParquetWriter(path, schema) as writer:
        while rows := list(islice(remaining, ROWS_IN_A_GROUP)):
            arrays = {name: [value(row) for row in rows] for name, (_, value) in values.items()}
            writer.write_table(pa.Table.from_pydict(arrays, schema=schema))


def figure(value: float) -> str:
    """Return a number of a float32 with as many digits as it has."""
    return f"{value:.7g}"
