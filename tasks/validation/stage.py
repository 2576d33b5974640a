"""From the manifest to a verdict, its report, and the images that may be used."""

import html
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.common.errors import GateError
from tasks.common.files import atomic_file, require
from tasks.common.params import Validation
from tasks.common.progress import say
from tasks.validation.checkpoint import run
from tasks.validation.quarantine import is_copy, reasons
from tasks.validation.suite import BLOCKING, of_classes, of_images


def judge(manifest: Path, out: Path, params: Validation) -> None:
    """Write results, Data Docs, `accepted.parquet` and `quarantine.csv` into the folder `out`.

    Raises GateError when a blocking expectation fails; the report is written all the same.
    """
    table = pq.read_table(require(manifest, "dataset"))
    frame = table.to_pandas()
    reason = reasons(frame, params.min_side)
    accepted = frame[reason.isna()]
    out.mkdir(parents=True, exist_ok=True)
    set_aside = frame.assign(reason=reason)[reason.notna()][["path", "label", "reason"]]
    with atomic_file(out / "quarantine.csv") as temporary:
        set_aside.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_file(out / "accepted.parquet") as temporary:
        pq.write_table(table.filter(pa.array(reason.isna())).drop_columns(["reason"]), temporary)
    # Copies say nothing against a dataset; only what cannot be used counts at the gate.
    judged = frame.assign(set_aside=reason)[~is_copy(reason)].drop(columns=["reason", "phash", "group"])
    # Great Expectations writes values into its pages as they are, and file names come from anywhere.
    for column in ("path", "label", "set_aside"):
        judged[column] = judged[column].map(html.escape, na_action="ignore")
    frames = {"images": judged, "classes": class_counts(accepted)}
    suites = {"images": of_images(params), "classes": of_classes(params)}
    results = run(frames, suites, out / "docs")
    with atomic_file(out / "results.json") as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    say(f"validation: {len(accepted):,} images accepted, {len(set_aside):,} set aside (quarantine.csv)")
    for row in set_aside.head(5).itertuples():
        say(f"validation: set aside {row.path}: {row.reason}")
    failed = [result for result in results if not result["success"]]
    if failed:
        _show(failed)
    blocking = [result for result in failed if result["severity"] == BLOCKING]
    if blocking:
        what = "; ".join(f"{result['expectation']}: found {result['found']}" for result in blocking)
        message = f"the dataset is not fit to train on: {what}. See {out / 'docs' / 'index.html'}."
        raise GateError(message)


def class_counts(accepted: pd.DataFrame) -> pd.DataFrame:
    """Return a row a class: usable images, those of each split, and how many times the smallest class it is."""
    counts = pd.crosstab(accepted["label"], accepted["split"]).reindex(columns=["train", "val", "test"], fill_value=0)
    counts = counts.rename_axis(columns=None).assign(images=counts.sum(axis=1)).reset_index()
    return counts.assign(times_smallest=counts["images"] / counts["images"].min())


def _show(failed: list[dict[str, Any]]) -> None:
    shown = Table("expectation", "severity", "found", title="Expectations that do not hold")
    for result in failed:
        shown.add_row(*(Text(result[key]) for key in ("expectation", "severity", "found")))
    Console(stderr=True, width=140).print(shown)
