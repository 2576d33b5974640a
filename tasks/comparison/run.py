"""One of the two runs of a comparison: its predictions, its metrics and its params."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from ruamel.yaml import YAML

from tasks.common.errors import GraftError
from tasks.common.files import require
from tasks.tables import predictions
from tasks.tables.predictions import Predictions

PREDICTIONS = Path("artifacts/evaluation/predictions.parquet")
METRICS = Path("artifacts/evaluation/metrics.json")
ACCEPTED = Path("artifacts/validation/accepted.parquet")
PARAMS = Path("params.yaml")


class Run(NamedTuple):
    """A run by the name that a person gave it; `params` maps keys such as `head.epochs` to their values."""

    name: str
    predictions: Predictions
    metrics: dict[str, Any]
    params: dict[str, Any]


def read_run(folder: Path, name: str) -> Run:
    """Read a run from a folder with its files at their usual paths.

    Raises:
        GraftError: A file is missing, or an older version of Graft wrote the predictions.
    """
    metrics = json.loads(require(folder / METRICS, "evaluation").read_text(encoding="utf-8"))
    params = YAML(typ="safe", pure=True).load((folder / PARAMS).read_text(encoding="utf-8"))
    return Run(name, read_predictions(folder, name), metrics, flatten(params))


def read_predictions(folder: Path, name: str) -> Predictions:
    """Return the predictions of a run; raises GraftError if an older version of Graft wrote them."""
    file = require(folder / PREDICTIONS, "evaluation")
    if "sha256" not in pq.read_schema(file).names:
        message = (
            f"{PREDICTIONS} of '{name}' lacks the column sha256, by which test images are matched: an older version of "
            "Graft wrote it. Compare with a run of this version."
        )
        raise GraftError(message)
    return predictions.read(file)


def flatten(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values by their dotted keys; an empty mapping is a value."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return flat
