"""The accepted images with their plain vectors, as one set of arrays."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from tasks.common.errors import GraftError
from tasks.common.files import require
from tasks.common.text import count, printable
from tasks.review.ranking.neighbours import Indices
from tasks.review.ranking.vectors import Vectors, unit_vectors
from tasks.tables import features


class Dataset(NamedTuple):
    """N images: texts, class names in order, class numbers and groups, int64 [N], unit vectors, float32 [N, D]."""

    paths: list[str]
    splits: list[str]
    digests: list[str]
    classes: list[str]
    labels: Indices
    groups: Indices
    units: Vectors


def read_dataset(features_file: Path, accepted: Path) -> Dataset:
    """Return the images that have features, in manifest order, with label, split and group as accepted.

    Raises:
        GraftError: A file is missing, they are of different runs, or there are fewer than two classes.
    """
    table = pq.read_table(require(accepted, "validation"), columns=["path", "label", "split", "sha256", "group"])
    columns = table.to_pydict()
    rows = {path: row for row, path in enumerate(columns["path"])}
    paths, vectors = features.read_plain(features_file)
    unknown = next((path for path in paths if path not in rows), None)
    if unknown is not None:
        message = (
            f"{features_file} has {printable(unknown)}, which {accepted} lacks: they are of different runs. "
            "Run `graft train`."
        )
        raise GraftError(message)
    chosen = [rows[path] for path in paths]
    texts = {name: [columns[name][row] for row in chosen] for name in ("label", "split", "sha256")}
    classes, labels = np.unique(np.array(texts["label"], np.object_), return_inverse=True)
    if len(classes) < 2:  # noqa: PLR2004
        message = (
            f"{accepted} has {count(len(classes), 'class', 'classes')} with features; a review compares at least 2."
        )
        raise GraftError(message)
    # An image without a group is one of its own.
    groups = [-row - 1 if columns["group"][row] is None else columns["group"][row] for row in chosen]
    return Dataset(
        paths,
        texts["split"],
        texts["sha256"],
        [str(name) for name in classes],
        labels.astype(np.int64),
        np.array(groups, np.int64),
        unit_vectors(vectors),
    )
