"""Fixtures that several folders of tests share."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell starts its background jobs deaf to Ctrl-C, and children inherit that: the tests of Ctrl-C need hearing ones.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
SCRIPT = """
import pathlib, sys
name, *sources = sys.argv[1:]
print(f"{name}: at work", file=sys.stderr)
trouble = pathlib.Path(f"{name}.trouble")
if trouble.exists():
    code, _, text = trouble.read_text().partition(" ")
    print(f"graft {name}: error: {text}", file=sys.stderr)
    sys.exit(int(code))
with open("calls.txt", "a") as file:
    file.write(name + "\\n")
pathlib.Path(f"{name}.out").write_text(name + "".join(pathlib.Path(source).read_text() for source in sources))
"""
EDGES = {
    "sample": (),
    "dataset": ("sample",),
    "validation": ("dataset",),
    "backbone": (),
    "features": ("sample", "validation", "backbone"),
    "head": ("features",),
    "finetuning": ("sample", "validation", "backbone", "head"),
    "export": ("sample", "backbone", "finetuning"),
    "evaluation": ("sample", "validation", "export"),
}


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests, and the commands that they start, from what the user's cache holds and from filling it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("GRAFT_STORE", raising=False)
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Make a repository with the nine stages, each a small script: what DVC and Prefect do with them is real."""
    (tmp_path / "stage.py").write_text(SCRIPT)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    lines = ["stages:"]
    for name, upstream in EDGES.items():
        sources = [f"{before}.out" for before in upstream] or [f"{name}.in"]
        (tmp_path / f"{name}.in").write_text(f"{name}\n")
        lines += [f"  {name}:", f"    cmd: python stage.py {' '.join([name, *sources])}", "    deps:"]
        lines += [f"      - {source}" for source in sources] + ["    outs:", f"      - {name}.out"]
    (tmp_path / "dvc.yaml").write_text("\n".join(lines) + "\n")
    call("git", "init", "-q", cwd=tmp_path)
    call(sys.executable, "-m", "dvc", "init", "-q", cwd=tmp_path)
    call(sys.executable, "-m", "dvc", "config", "core.analytics", "false", cwd=tmp_path)
    return tmp_path


def call(*command: str, cwd: Path) -> str:
    """Run a command that must succeed and return its output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | {"PATH": path}, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
