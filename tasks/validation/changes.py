"""The difference between the accepted images and those of the last run on this machine.

The files of this module lie beside the outputs of the stage and are not among them: DVC neither stores nor removes
them, and no output depends on them.
"""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from tasks.common.files import atomic_file
from tasks.common.hashing import hash_file
from tasks.common.text import count
from tasks.validation.checks.phrases import join_labels

PREVIOUS = "previous.parquet"
CHANGES = "changes.json"
COLUMNS = ["path", "label", "split", "sha256", "width", "height", "brightness"]
# A larger share of images gone, or a larger shift of a median, is a warning.
LARGE = 0.2
# A smaller shift of a median is not mentioned.
SMALL = 0.05


class Changes(NamedTuple):
    """The changes since the last run: a phrase for each change, and a sentence for each that is large."""

    lines: list[str]
    warnings: list[str]


def read_images(path: Path) -> pd.DataFrame | None:
    """Return the columns of accepted images that are compared, or None if the file is missing or of another version."""
    if not path.is_file():
        return None
    try:
        return pq.read_table(path, columns=COLUMNS).to_pandas()
    except (OSError, ValueError):
        return None


def compare_images(previous: pd.DataFrame, current: pd.DataFrame) -> Changes:
    """Return the changes between two tables of accepted images, whose bytes are distinct in each."""
    before, now = previous.set_index("sha256"), current.set_index("sha256")
    new, gone = now.index.difference(before.index), before.index.difference(now.index)
    same = now.index.intersection(before.index)
    if len(before) and same.empty:
        return Changes([f"another dataset, since none of the {count(len(before), 'image')} of then is left"], [])
    old_rows, new_rows = before.loc[same], now.loc[same]
    phrases = [
        (len(new), "new image", "new images"),
        (len(gone), "gone", "gone"),
        (int((old_rows["path"] != new_rows["path"]).sum()), "moved", "moved"),
        (int((old_rows["label"] != new_rows["label"]).sum()), "with another class", "with another class"),
        (int((old_rows["split"] != new_rows["split"]).sum()), "in another split", "in another split"),
    ]
    lines = [count(number, *nouns) for number, *nouns in phrases if number]
    warnings = []
    if len(gone) > LARGE * len(before):
        warnings.append(f"{len(gone):,} of {count(len(before), 'image')} of the last run are gone")
    new_labels, old_labels = set(current["label"]), set(previous["label"])
    for labels, adjective in ((new_labels - old_labels, "new"), (old_labels - new_labels, "gone")):
        if labels:
            verb = "class {} is {}" if len(labels) == 1 else "classes {} are {}"
            lines.append(verb.format(join_labels(sorted(labels)), adjective))
            warnings += [f"{lines[-1]} since the last run"] if adjective == "gone" else []
    for name, old, latest in (
        ("size", _median_size(previous), _median_size(current)),
        ("brightness", previous["brightness"].median(), current["brightness"].median()),
    ):
        shift = abs(latest - old) / old if old else 0.0
        if shift > SMALL:
            shown = f"{latest:.0f} pixels, was {old:.0f}" if name == "size" else f"{latest:.2f}, was {old:.2f}"
            lines.append(f"the median {name} is {shown}")
            warnings += [f"{lines[-1]} in the last run"] if shift > LARGE else []
    return Changes(lines, warnings)


def record_changes(out: Path, manifest: Path, changes: Changes) -> None:
    """Write changes.json into the folder `out`, with the SHA-256 of the manifest that the changes are about."""
    with atomic_file(out / CHANGES) as temporary:
        text = json.dumps({"manifest": hash_file(manifest)} | changes._asdict(), indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def keep_images(out: Path, accepted: Path) -> None:
    """Keep a copy of the accepted images for the next run."""
    with atomic_file(out / PREVIOUS) as temporary:
        temporary.write_bytes(accepted.read_bytes())


def _median_size(images: pd.DataFrame) -> float:
    return float((images["width"].astype(float) * images["height"]).median() ** 0.5)
