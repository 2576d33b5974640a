"""The chain on the digits: from nothing, with nothing to do, and after a change of the head, in a clone of its own.

    python -m benchmarks.chain

Each figure has a bound, or is a ratio of two times of this same run. Peak memory is the largest resident set of any
ended child process, as the kernel reports it.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import results
from flows import pipeline

ROOT = Path(__file__).parents[1]
PACKAGES = ["prefect", "dvc", "tensorflow", "onnxruntime", "great-expectations"]


def run(*command: str, cwd: Path) -> float:
    """Run a command of this environment's Python and return its seconds; stop the benchmark if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=cwd, env=os.environ | {"PATH": path}, check=True)
    return time.perf_counter() - start


def clone(folder: Path) -> None:
    """Make `folder` a repository with the files that git tracks here, in their present state."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        if name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


def peak_megabytes() -> float:
    """Return the largest resident set of any ended descendant so far, in MB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def measure(folder: Path) -> list[tuple[str, str, str]]:
    """Return one row for each measurement: its name, the figure, and its bound."""
    clone(folder)
    rows = []
    memory = []
    stages = [stage.name for stage in pipeline.read(folder)]
    start = time.perf_counter()
    for stage in stages:
        run("dvc", "repro", "-q", "--single-item", stage, cwd=folder)
        memory.append((peak_megabytes(), stage))
    by_stage = time.perf_counter() - start
    # The kernel's figure only grows: the first stage that reaches the last figure is the largest.
    largest = next(stage for peak, stage in memory if peak == memory[-1][0])
    rows.append(("peak memory of any stage", f"{memory[-1][0]:,.0f} MB ({largest})", "2,000 MB"))
    shutil.rmtree(folder / "artifacts")
    shutil.rmtree(folder / "data/digits")
    shutil.rmtree(folder / ".dvc/cache")
    for name in ("dvc.lock", ".dvc/tmp"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    train = run("flows.cli", "train", cwd=folder)
    rows.append(("`graft train` from nothing", f"{train:.0f} s", "90 s"))
    rows.append(("`graft train` from nothing / one `dvc repro --single-item` a stage", f"{train / by_stage:.2f}", ""))
    idle = run("dvc", "repro", "-q", cwd=folder)
    rows.append(("`dvc repro` with nothing to do", f"{idle:.1f} s", "3 s"))
    status = run("dvc", "status", "-q", "--with-deps", "dvc.yaml", cwd=folder)
    idle_train = run("flows.cli", "train", cwd=folder)
    rows.append(("`graft train` with nothing to do", f"{idle_train:.1f} s", ""))
    rows.append(("`graft train` with nothing to do / `dvc status`", f"{idle_train / status:.2f}", ""))
    empty_flow = run("benchmarks.empty_flow", cwd=ROOT)
    rows.append(("an empty Prefect flow with a temporary server", f"{empty_flow:.1f} s", ""))
    head = run("flows.cli", "train", "--set", "head.dropout=0.4", cwd=folder)
    rows.append(("`graft train` after a change of the head / from nothing", f"{head / train:.2f}", ""))
    metrics = json.loads((folder / "artifacts/evaluation/metrics.json").read_text(encoding="utf-8"))
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    rows.append(("test accuracy after that", f"{metrics['accuracy']:.1%} ({low:.1%} to {high:.1%})", ""))
    return rows


def main() -> None:
    """Measure and renew the section of RESULTS.md."""
    with TemporaryDirectory() as folder:
        results.renew("The chain", ("what", "measured", "bound"), measure(Path(folder)), PACKAGES)


if __name__ == "__main__":
    main()
