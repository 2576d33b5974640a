"""The head as it is, passed on to the export."""

import shutil
from pathlib import Path

from tasks.common.files import atomic_folder, require
from tasks.common.summary import Summary
from tasks.tables import history

FILES = ("head.json", "head.weights.h5", "head.onnx", "reference.parquet", "held_out.parquet")
KNOWN = "known.onnx"
"""Missing if the images did not suffice for a novelty score."""


def copy_head(head: Path, folder: Path) -> None:
    """Copy the files of the head that the export needs from the folder of the head stage into `folder`.

    Raises:
        GraftError: A file is missing.
    """
    for name in FILES:
        shutil.copyfile(require(head / name, "head"), folder / name)
    if (head / KNOWN).exists():
        shutil.copyfile(head / KNOWN, folder / KNOWN)


def pass_head_on(head: Path, out: Path, summary: Summary) -> None:
    """Write the head as it is into the folder `out`, with empty metrics and learning curves without rows.

    Those of the head are in the folder of the stage `head`.

    Raises:
        GraftError: A file of the head is missing.
    """
    with atomic_folder(out) as folder:
        copy_head(head, folder)
        (folder / "metrics.json").write_text("{}\n", encoding="utf-8")
        # The plots in dvc.yaml read this file.
        history.write(folder / "history.csv", [])
        summary.write(folder, None)
