"""Schedulers and workers as processes on loopback, runs that use them, and a gate that stops a run at an image."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.common import params
from tasks.common.errors import GraftError
from tasks.features.stage import extract_features
from tasks.tables.accepted import Accepted
from tests.tasks.conftest import ROOT

# Each process finds its own working folder there.
HERE = Path("/proc/self/cwd")
SETTINGS = params.load(ROOT / "params.yaml")


class Machines:
    """Starts schedulers and workers, in one folder unless another is given; `end` ends them."""

    def __init__(self, folder: Path) -> None:
        """Take the folder in which they run."""
        self.folder, self.all = folder, list[subprocess.Popen[str]]()

    def scheduler(self, path: str = "", **environment: str) -> str:
        """Start a scheduler and return its address."""
        words = ("scheduler", "--port", "0", "--no-dashboard")
        return self._start(*words, announcement="Scheduler at", path=path, environment=environment)

    def worker(self, scheduler: str, path: str = "", cwd: Path | None = None, **environment: str) -> int:
        """Start a worker and return the id of its process, once the scheduler knows it; it has no nanny."""
        words = ("worker", scheduler, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
        self._start(*words, announcement="Registered to", path=path, cwd=cwd, environment=environment)
        return self.all[-1].pid

    def _start(
        self, kind: str, *words: str, announcement: str, path: str, cwd: Path | None = None, environment: dict[str, str]
    ) -> str:
        """Start a process, and return the address that it logs behind the text `announcement`."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words, "--host", "127.0.0.1"],
            cwd=cwd or self.folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [path, str(ROOT)]))} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.all.append(process)
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            if match := re.search(rf"{announcement}: +(tcp://127\.0\.0\.1:\d+)", line):
                return match[1]
            lines.append(line)
        raise AssertionError("".join(lines))

    def end(self) -> None:
        """End all of them."""
        for process in self.all:
            process.kill()
        for process in self.all:
            process.communicate()


class Run:
    """Extracts in a folder with `photos` and `accepted.parquet`, into a store there, in shards of two images."""

    def __init__(self, folder: Path, backbone: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Take the folder and the base."""
        self.folder, self.backbone, self._capsys = folder, backbone, capsys
        self.rows: list[Accepted] = []

    def __call__(self, name: str, cluster: str | None, root: Path | None = None, **changed: Any) -> list[str]:
        """Write NAME/features.parquet with another store for each `store`; return the lines that it printed."""
        root = root or self.folder
        update = {"cluster": cluster, "store": str(root / "store"), "batch_size": 2} | changed
        section = SETTINGS.features.model_copy(update=update)
        out = self.folder / name / "features.parquet"
        self._capsys.readouterr()
        extract_features(
            root / "photos",
            self.folder / "accepted.parquet",
            self.backbone,
            out,
            section,
            SETTINGS.augmentation,
        )
        return self._capsys.readouterr().err.splitlines()

    def alone(self, name: str = "alone", **changed: Any) -> list[str]:
        """Extract in this process alone, with a store of its own."""
        return self(name, None, store=str(self.folder / name / "store"), **changed)

    def behind(self, name: str, cluster: str) -> Future[list[str]]:
        """Extract in a thread."""
        pool = ThreadPoolExecutor(1)
        future = pool.submit(self, name, cluster)
        pool.shutdown(wait=False)
        return future

    def bytes(self, name: str) -> tuple[bytes, bytes]:
        """Return the files that a run wrote."""
        folder = self.folder / name
        return (folder / "features.parquet").read_bytes(), (folder / "set_aside.csv").read_bytes()

    def segments(self) -> list[Path]:
        """Return the segments in the store."""
        return list((self.folder / "store").rglob("*.safetensors"))


class Gate:
    """An image that nobody can read before the gate is opened."""

    def __init__(self, path: Path) -> None:
        """Replace the image by a pipe, at which readers wait."""
        self._path, self._image = path, path.with_name("image")
        path.rename(self._image)
        os.mkfifo(path)
        self.end: int | None = None

    def reader(self, run: "Future[list[str]] | subprocess.Popen[str]") -> int:
        """Return the id of the process that waits for the image, once there is one; fails if the run ends before."""
        while self.end is None:
            try:
                self.end = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                with suppress(TimeoutError, subprocess.TimeoutExpired):
                    ended = run.result(0.05) if isinstance(run, Future) else run.communicate(timeout=0.05)
                    raise AssertionError(ended) from None
        while True:
            for process in psutil.process_iter():
                if process.pid != os.getpid() and self._reads(process.pid):
                    return int(process.pid)

    def open(self) -> None:
        """Let everybody read the image from now on; a process that waits goes on waiting."""
        self._image.replace(self._path)

    def _reads(self, process: int) -> bool:
        try:
            links = [path.readlink() for path in Path(f"/proc/{process}/fd").iterdir()]
        except OSError:
            return False
        return self._path in links


def error(call: Callable[[], object]) -> str:
    """Return what a GraftError says."""
    with pytest.raises(GraftError) as caught:
        call()
    return str(caught.value)
