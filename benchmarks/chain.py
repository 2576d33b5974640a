"""The chain on the digits: from nothing, with nothing to do, and after a change of the head, in a clone of its own.

    python -m benchmarks.chain

Each figure is held to a bound, or is a ratio of two times of this same run. Peak memory is the largest resident
set of any process below the command, read from the kernel's own account of ended children.
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

ROOT = Path(__file__).parents[1]
STAGES = ["sample", "dataset", "validation", "backbone", "features", "head", "finetuning", "export", "evaluation"]
PACKAGES = ["prefect", "dvc", "tensorflow", "onnxruntime", "great-expectations"]


def run(*command: str, cwd: Path) -> float:
    """Run a command of this environment's Python and return its seconds; stop the benchmark if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=cwd, env=os.environ | {"PATH": path}, check=True)
    return time.perf_counter() - start


def clone(folder: Path) -> None:
    """Make `folder` a repository with the files that git tracks here, as they are now."""
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
    """Return rows of what was measured, the figure, and the bound it is held to."""
    clone(folder)
    rows = []
    memory = []
    started = time.perf_counter()
    for stage in STAGES:
        run("dvc", "repro", "-q", "--single-item", stage, cwd=folder)
        memory.append((peak_megabytes(), stage))
    by_stage = time.perf_counter() - started
    # The account only ever grows: the first stage to reach the last figure is the largest.
    largest = next(stage for peak, stage in memory if peak == memory[-1][0])
    rows.append(("peak memory of any stage", f"{memory[-1][0]:,.0f} MB ({largest})", "2,000 MB"))
    shutil.rmtree(folder / "artifacts")
    shutil.rmtree(folder / "data/digits")
    shutil.rmtree(folder / ".dvc/cache")
    for name in ("dvc.lock", ".dvc/tmp"):
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    train = run("flows.cli", "train", cwd=folder)
    rows.append(("`graft train` from nothing", f"{train:.0f} s", "90 s"))
    rows.append(("`graft train` from nothing / nine `dvc repro --single-item`", f"{train / by_stage:.2f}", ""))
    idle = run("dvc", "repro", "-q", cwd=folder)
    rows.append(("`dvc repro` with nothing to do", f"{idle:.1f} s", "3 s"))
    start_of_prefect = run("benchmarks.empty_flow", cwd=ROOT)
    idle_train = run("flows.cli", "train", cwd=folder)
    rows.append(("`graft train` with nothing to do", f"{idle_train:.1f} s", ""))
    rows.append(("an empty Prefect flow with a temporary server", f"{start_of_prefect:.1f} s", ""))
    rows.append(("`graft train` with nothing to do / empty flow", f"{idle_train / start_of_prefect:.2f}", ""))
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
