"""The report of a run as Markdown, for Prefect: the figures, the verdict, the classes and the warnings."""

import csv
import html
import json
import re
from pathlib import Path

from flows import report
from tasks.common.text import count, printable

MAX_CLASSES = 20
MAX_NAME = 60
# These begin or end markup somewhere in a line, or cells of a table.
SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def document(root: Path, verdict: str | None) -> str:
    """Return the document; `verdict` compares the run with the last committed one, None: there is no such sentence.

    It has no pictures: Prefect's page shows those with an address alone, and these are files on the machine of the run.
    """
    parts = [f"# Test accuracy {escape(report.result(root) or 'unknown')}"]
    if verdict:
        parts.append(f"Against the last commit: {escape(verdict)}.")
    figures = [f"| {escape(name)} | {value} |" for name, value in _figures(root)]
    if figures:
        parts.append("\n".join(["| figure | value |", "|---|---:|", *figures]))
    parts += _classes(root)
    if warnings := report.warnings(root):
        parts.append("\n".join(["## Warnings", "", *(f"- {escape(text)}" for text in warnings)]))
    parts.append(f"The whole report, with pictures, is `{report.REPORT}` on the machine of the run: `graft report`.")
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(r"\\\1", html.escape(printable(text), quote=False))


def _figures(root: Path) -> list[tuple[str, str]]:
    """Return the metrics of the evaluation without the ends of intervals."""
    if not (root / report.METRICS).is_file():
        return []
    metrics = json.loads((root / report.METRICS).read_text(encoding="utf-8"))
    return [
        (key.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
        for key, value in metrics.items()
        if isinstance(value, int | float) and not key.endswith(("_low", "_high"))
    ]


def _classes(root: Path) -> list[str]:
    """Return the table of classes, those with the lowest F1 first, and the number of those that are left out."""
    if not (root / report.CLASS_METRICS).is_file():
        return []
    with (root / report.CLASS_METRICS).open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["images"])]
    rows.sort(key=lambda row: (float(row["f1"]), row["class"]))
    columns = ("precision", "recall", "f1")
    lines = [
        "## Classes, the worst first",
        "",
        "| class | images | precision | recall | F1 |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows[:MAX_CLASSES]:
        name = row["class"] if len(row["class"]) <= MAX_NAME else f"{row['class'][:MAX_NAME]}…"
        shares = " | ".join(f"{100 * float(row[column]):.1f} %" for column in columns)
        lines.append(f"| {escape(name)} | {int(row['images']):,} | {shares} |")
    if len(rows) > MAX_CLASSES:
        lines += ["", f"and {count(len(rows) - MAX_CLASSES, 'class', 'classes')} more."]
    return ["\n".join(lines)]
