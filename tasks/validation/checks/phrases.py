"""Phrases that the sentences of the checks share; names from the data are escaped in them."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import pandas as pd

from tasks.common.errors import QuarantineKind
from tasks.common.text import join, printable
from tasks.validation.finding import Offender

MAX_SENTENCES = 10


def quote(label: str) -> str:
    """Return the name of a class in quotation marks."""
    return f"'{printable(label)}'"


def join_labels(labels: Sequence[str]) -> str:
    """Return the names of the classes in quotation marks; of a long list the first few and a count of the others."""
    others = len(labels) - MAX_SENTENCES
    return join([quote(label) for label in labels[:MAX_SENTENCES]] + ([f"{others:,} more"] if others > 0 else []))


def examples(offenders: Sequence[Offender]) -> str:
    """Return the paths of the first two files, as `, such as a/1.png and b/2.png`, or of the only one."""
    paths = [printable(offender.path) for offender in offenders[:2]]
    return f", such as {join(paths)}" if len(offenders) > 1 else f": {paths[0]}"


def list_reasons(set_aside: pd.DataFrame) -> list[str]:
    """Return a phrase for each kind, the most frequent first: the kind, its count, one file and the reason of that."""
    kinds = set_aside.groupby("kind", sort=True).agg(
        kind=("kind", "first"), files=("path", "size"), path=("path", "first"), reason=("reason", "first")
    )
    return [
        f"{words(row['kind'])} ({row['files']:,}), such as {printable(row['path'])}: "
        + printable(row["reason"].removeprefix(f"{words(row['kind'])}: "))
        for row in kinds.sort_values("files", ascending=False, kind="stable").to_dict("records")
    ]


def tally(values: pd.Series) -> str:
    """Return the distinct values with their counts, the most frequent first: `.xml (78), .txt (2)`."""
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return ", ".join(f"{printable(str(value))} ({number:,})" for value, number in counts.items())


def tally_suffixes(paths: pd.Series) -> str:
    """Return the suffixes of the paths with their counts."""
    return tally(paths.map(lambda path: PurePosixPath(path).suffix.lower() or "no suffix"))


def words(kind: QuarantineKind | str) -> str:
    """Return the kind as words."""
    return str(kind).replace("_", " ")
