"""Conversion and speed of every backbone, as a table for docs/backbones.md.

    python -m benchmarks.backbones [NAME... | all]

Each network runs in a process of its own, with random weights at its default size, because neither figure depends on
the values of the weights. Peak memory is that of the whole process, including the measurements of parity and speed. The
relative error is the largest difference between ONNX Runtime and Keras over the largest value.
"""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import describe_machine
from tasks.backbone.registry import Architecture, load_architectures

PAGE = Path(__file__).parents[1] / "docs" / "backbones.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PACKAGES = ["keras", "tensorflow", "tf2onnx", "onnxruntime"]
DEFAULT_NAMES = (
    *("DenseNet121", "InceptionResNetV2", "InceptionV3", "MobileNet", "NASNetMobile", "ResNet50", "VGG16", "VGG19"),
    "Xception",
)
COLUMNS = (
    *("name", "parameters", "input", "features", "preprocessing", "licence"),
    *("conversion", "peak memory", "error", "transposes", "images/s"),
)
MEASURE_ONE = """
import json, resource, sys
from tasks.backbone.catalogue import speeds
from tasks.backbone.catalogue.measurement import measure
from tasks.backbone.registry import find_architecture
measurement = measure(find_architecture(sys.argv[1]))
speeds.save(sys.argv[1], measurement.images_per_second)
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(measurement._asdict() | {"megabytes": megabytes}))
"""


def measure_line(architecture: Architecture) -> str:
    """Measure one network in a process of its own and return its line of the table."""
    command = [sys.executable, "-c", MEASURE_ONE, architecture.name]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    measurement = json.loads(result.stdout.splitlines()[-1])
    cells = (
        architecture.name,
        f"{architecture.parameters / 1e6:,.1f} M",
        architecture.input_size,
        f"{architecture.width:,}",
        architecture.mode,
        architecture.licence,
        f"{measurement['seconds']:.1f} s",
        f"{measurement['megabytes'] / 1024:.1f} GB",
        f"{measurement['error']:.0e}",
        measurement["transposes"],
        f"{measurement['images_per_second']:,.1f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def read_lines(page: str) -> dict[str, str]:
    """Return the table's lines on the page, by name of the network."""
    return {match[1]: match[0] for match in re.finditer(r"^\| (\w+) \|.*\|$", page, re.MULTILINE)}


def main() -> None:
    """Measure the networks that the arguments name (none: one of each family) and renew their lines of the page."""
    architectures = load_architectures()
    names = list(architectures) if sys.argv[1:] == ["all"] else sys.argv[1:] or list(DEFAULT_NAMES)
    page = PAGE.read_text(encoding="utf-8")
    lines = read_lines(page)
    for name in names:
        lines[name] = measure_line(architectures[name])
        print(lines[name], flush=True)
    machine = describe_machine(PACKAGES)
    table = [
        BEGIN,
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine}; renewed by `python -m benchmarks.backbones`.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(lines[name] for name in architectures if name in lines),
        END,
    ]
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(before + "\n".join(table) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
