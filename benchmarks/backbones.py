"""Conversion and speed of every backbone, as a table for docs/backbones.md.

    python -m benchmarks.backbones [NAME... | all]

Each network runs in a process of its own, with random weights at its default size: neither figure depends on their
values. Peak memory is that of the process, which measures parity and speed too. The relative error is the largest
difference between ONNX Runtime and Keras over the largest value.
"""

import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.results import processor
from tasks.backbone.registry import Architecture, architectures

PAGE = Path(__file__).parents[1] / "docs" / "backbones.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PACKAGES = ["keras", "tensorflow", "tf2onnx", "onnxruntime"]
FAMILIES = (
    *("DenseNet121", "InceptionResNetV2", "InceptionV3", "MobileNet", "NASNetMobile", "ResNet50", "VGG16", "VGG19"),
    "Xception",
)
COLUMNS = (
    *("name", "parameters", "input", "features", "preprocessing", "licence"),
    *("conversion", "peak memory", "error", "transposes", "images/s"),
)
ONE = """
import json, resource, sys
from tasks.backbone.catalogue import speeds
from tasks.backbone.catalogue.measurement import measure
from tasks.backbone.registry import architecture
found = measure(architecture(sys.argv[1]))
speeds.save(sys.argv[1], found.images_per_second)
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(found._asdict() | {"megabytes": megabytes}))
"""


def line(row: Architecture) -> str:
    """Measure one network in a process of its own and return its line of the table."""
    command = [sys.executable, "-c", ONE, row.name]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    cells = (
        row.name,
        f"{row.parameters / 1e6:,.1f} M",
        row.input_size,
        f"{row.width:,}",
        row.mode,
        row.licence,
        f"{found['seconds']:.1f} s",
        f"{found['megabytes'] / 1024:.1f} GB",
        f"{found['error']:.0e}",
        found["transposes"],
        f"{found['images_per_second']:,.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def known(page: str) -> dict[str, str]:
    """Return the lines of networks that the page has already."""
    return {found[1]: found[0] for found in re.finditer(r"^\| (\w+) \|.*\|$", page, re.MULTILINE)}


def main() -> None:
    """Measure the networks named (none: one of each family) and renew their lines of the page."""
    rows = architectures()
    wanted = list(rows) if sys.argv[1:] == ["all"] else sys.argv[1:] or list(FAMILIES)
    page = PAGE.read_text(encoding="utf-8")
    lines = known(page)
    for name in wanted:
        lines[name] = line(rows[name])
        print(lines[name], flush=True)
    machine = f"{os.cpu_count()} cores ({processor()}), Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    table = [
        BEGIN,
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine}, {versions}; renewed by `python -m benchmarks.backbones`.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(lines[name] for name in rows if name in lines),
        END,
    ]
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(before + "\n".join(table) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
