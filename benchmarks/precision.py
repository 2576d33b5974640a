"""The accuracy that a faster precision of the training features costs: digits with the starter, several heads each.

python -m benchmarks.precision
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pyarrow.parquet as pq

from benchmarks import results
from tasks.common import params
from tasks.onnx.sessions import Session

ROOT = Path(__file__).parents[1]
SEEDS = 5
PRECISIONS = {"float32": ("onnxruntime", ""), "bf16": ("openvino", "0.2 points"), "int8": ("openvino", "0.5 points")}
PREPARATION = {
    "sample": "--out digits",
    "dataset": f"--images digits --corrections {ROOT / 'data' / 'corrections.csv'} --out manifest.parquet",
    "validation": "--images digits --manifest manifest.parquet --out validation",
    "backbone": "--out backbone",
}
FEATURES = (
    "--images digits --accepted validation/accepted.parquet --backbone backbone/backbone.onnx --out features.parquet"
)
HEAD = """
import sys
from pathlib import Path
from tasks.common import params
from tasks.head.stage import train_head
section = params.load(Path("params.yaml")).head
for seed in range(int(sys.argv[1])):
    seeded = section.model_copy(update={"seed": seed})
    train_head(Path("features.parquet"), Path("validation/accepted.parquet"), Path(f"head{seed}"), seeded)
"""


def run(folder: Path, *command: str) -> None:
    """Run a command of this environment's Python in that folder, or stop with its error."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "GRAFT_STORE": str(folder / "store"),
    }
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)


def set_precision(folder: Path, runtime: str, precision: str) -> None:
    """Write params.yaml with that runtime and precision."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("runtime: onnxruntime", f"runtime: {runtime}").replace(
        "precision: float32", f"precision: {precision}"
    )
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    section = params.load(folder / "params.yaml").features
    if (section.runtime, section.precision) != (runtime, precision):
        sys.exit("params.yaml is not written as this benchmark expects")


def accuracies(folder: Path) -> list[float]:
    """Return, for each head, the share of validation and test images that it gets right, from float32 features."""
    table = pq.read_table(folder / "features.parquet")
    held_out = np.array(table["split"].to_pylist()) != "train"
    vectors = np.stack(list(table["features"].to_numpy(zero_copy_only=False)))[held_out]
    _, labels = np.unique(np.array(table["label"].to_pylist()), return_inverse=True)
    shares = []
    for seed in range(SEEDS):
        head = Session(onnx.load(folder / f"head{seed}" / "head.onnx"), threads=1)
        shares.append(float((head(vectors).argmax(axis=1) == labels[held_out]).mean()))
    return shares


def rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row a precision: mean accuracy, and how far it is below that of float32."""
    set_precision(folder, "onnxruntime", "float32")
    for stage, arguments in PREPARATION.items():
        run(folder, "-m", f"tasks.{stage}", *arguments.split())
    base = 0.0
    for precision, (runtime, bound) in PRECISIONS.items():
        set_precision(folder, runtime, precision)
        run(folder, "-m", "tasks.features", *FEATURES.split())
        run(folder, "-c", HEAD, str(SEEDS))
        shares = accuracies(folder)
        mean = float(np.mean(shares))
        base = base or mean
        yield precision, f"{mean:.2%}", f"{min(shares):.2%} to {max(shares):.2%}", f"{(base - mean) * 100:+.2f}", bound


def main() -> None:
    """Measure and renew the section of RESULTS.md."""
    with TemporaryDirectory() as folder:
        columns = ("training features", f"mean accuracy of {SEEDS} heads", "from, to", "points lost", "bound")
        results.renew(
            "Precision: digits with the starter",
            columns,
            list(rows(Path(folder))),
            ["tensorflow", "onnxruntime", "openvino"],
        )


if __name__ == "__main__":
    main()
