"""Extraction on real Dask clusters: a scheduler and workers as processes of their own on loopback."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
import distributed
import psutil
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image
from pyarrow import fs

from tasks.backbone.making import make
from tasks.common import params
from tasks.common.accepted import Accepted
from tasks.common.errors import GraftError
from tasks.features import cluster, computing, connecting, worker
from tasks.features.extraction import extract
from tasks.features.place import Place
from tests.tasks.conftest import ROOT, noise, write_accepted, write_photos

HOST = socket.gethostname()
SETTINGS = params.load(ROOT / "params.yaml")

pytestmark = pytest.mark.timeout(60)


class Machines:
    """Schedulers and workers, in folders of their own unless told otherwise; `end` ends them."""

    def __init__(self, folder: Path) -> None:
        """Take the folder in which they run."""
        self.folder, self.all = folder, list[subprocess.Popen[str]]()

    def scheduler(self, path: str = "", **environment: str) -> str:
        """Start a scheduler and return its address."""
        words = ("scheduler", "--port", "0", "--no-dashboard")
        return self._start(*words, told="Scheduler at", path=path, environment=environment)

    def worker(self, scheduler: str, path: str = "", cwd: Path | None = None, **environment: str) -> int:
        """Start a worker and return the id of its process, once the scheduler knows it; it has no nanny."""
        words = ("worker", scheduler, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
        self._start(*words, told="Registered to", path=path, cwd=cwd, environment=environment)
        return self.all[-1].pid

    def _start(
        self, kind: str, *words: str, told: str, path: str, cwd: Path | None = None, environment: dict[str, str]
    ) -> str:
        """Start one, and return the address that it tells after some words."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words, "--host", "127.0.0.1"],
            cwd=cwd or self.folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [path, str(ROOT)]))} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.all.append(process)
        lines = []
        for line in process.stderr:
            if found := re.search(rf"{told}: +(tcp://127\.0\.0\.1:\d+)", line):
                return found[1]
            lines.append(line)
        raise AssertionError("".join(lines))

    def end(self) -> None:
        """End all of them."""
        for process in self.all:
            process.kill()
        for process in self.all:
            process.communicate()


@pytest.fixture
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    found = Machines(tmp_path_factory.mktemp("machines"))
    yield found
    found.end()


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a scheduler with two workers that no test harms."""
    found = Machines(tmp_path_factory.mktemp("machines"))
    address = found.scheduler()
    found.worker(address)
    found.worker(address)
    yield address
    found.end()


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the starter base."""
    folder = tmp_path_factory.mktemp("base")
    make(SETTINGS.backbone, None, folder / "backbone")
    return folder / "backbone" / "backbone.onnx"


class Run:
    """Extracts in a folder with `photos` and `accepted.parquet`, into a store there, in shards of two images."""

    def __init__(self, folder: Path, backbone: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Take the folder and the base."""
        self.folder, self.backbone, self._capsys = folder, backbone, capsys
        self.rows: list[Accepted] = []

    def __call__(self, name: str, cluster: str | None, root: Path | None = None, **changed: Any) -> list[str]:
        """Write NAME/features.parquet with another store for each `store`; return the lines that were said."""
        root = root or self.folder
        update = {"cluster": cluster, "store": str(root / "store"), "batch_size": 2} | changed
        section = SETTINGS.features.model_copy(update=update)
        out = self.folder / name / "features.parquet"
        self._capsys.readouterr()
        extract(
            root / "photos",
            self.folder / "accepted.parquet",
            self.backbone,
            out,
            section,
            SETTINGS.augmentation,
        )
        return self._capsys.readouterr().err.splitlines()

    def alone(self, name: str = "alone", **changed: Any) -> list[str]:
        """Do it in this process alone, with a store of its own."""
        return self(name, None, store=str(self.folder / name / "store"), **changed)

    def behind(self, name: str, cluster: str) -> Future[list[str]]:
        """Do it in a thread."""
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
        return list((self.folder / "store").rglob("[0-9a-f]*.parquet"))


@pytest.fixture
def run(tmp_path: Path, backbone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(computing, "SEGMENT_ROWS", 2)
    monkeypatch.delenv("GRAFT_CLUSTER", raising=False)
    found = Run(tmp_path, backbone, capsys)
    found.rows = write_photos(tmp_path / "photos", 8)
    write_accepted(tmp_path / "accepted.parquet", found.rows, tmp_path / "photos")
    return found


class Gate:
    """An image that no one can read before it is opened."""

    def __init__(self, path: Path) -> None:
        """Close it."""
        self._path, self._kept = path, path.with_name("kept")
        path.rename(self._kept)
        os.mkfifo(path)
        self.end: int | None = None

    def reader(self, run: "Future[list[str]] | subprocess.Popen[str]") -> int:
        """Return the id of the process that waits for the image, once there is one; a run that ends before is wrong."""
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
                    return process.pid

    def open(self) -> None:
        """Let everyone read it from now on; who waited goes on waiting."""
        self._kept.replace(self._path)

    def _reads(self, process: int) -> bool:
        try:
            links = [path.readlink() for path in Path(f"/proc/{process}/fd").iterdir()]
        except OSError:
            return False
        return self._path in links


@pytest.fixture
def gate(run: Run) -> Iterator[Gate]:
    found = Gate(run.folder / "photos" / run.rows[-1].path)
    yield found
    if found.end is not None:
        os.close(found.end)


def error(call: Callable[[], object]) -> str:
    """Return what a GraftError says."""
    with pytest.raises(GraftError) as caught:
        call()
    return str(caught.value)


def test_a_cluster_writes_the_bytes_of_one_machine_and_computes_nothing_twice(run: Run, two_workers: str) -> None:
    run.alone(views=3)
    lines = run("cluster", two_workers, views=3)
    assert run.bytes("cluster") == run.bytes("alone")
    assert re.sub(r"in [\d.]+ s", "in 0.0 s", "\n".join(lines)) == (
        "features: 32 vectors of 256 numbers, 0.0 MB on disk\n"
        "features: 32 vectors wanted, 0 in the store\n"
        "features: 32/32 images in 0.0 s\n"
        "features: 32 vectors of 256 numbers"
    )
    assert "features: 32 vectors wanted, 32 in the store" in run("again", two_workers, views=3)
    assert run.bytes("again") == run.bytes("alone")
    names = [path.name for path in (run.folder / "store").rglob("*") if path.is_file()]
    assert [name for name in names if name.startswith(".")] == []


def test_a_shard_whose_worker_is_killed_goes_to_another_one(run: Run, machines: Machines, gate: Gate) -> None:
    address = machines.scheduler()
    workers = [machines.worker(address) for _ in range(2)]
    going = run.behind("cluster", address)
    victim = gate.reader(going)
    assert victim in workers
    while not run.segments():
        with suppress(TimeoutError):
            raise AssertionError(going.result(0.05))
    gate.open()
    os.kill(victim, signal.SIGKILL)
    going.result()
    run.alone()
    assert run.bytes("cluster") == run.bytes("alone")
    assert f"features: {len(run.rows)} vectors wanted, {len(run.rows)} in the store" in run("again", None)


def test_a_base_that_only_dead_workers_had_is_sent_again(run: Run, machines: Machines, gate: Gate) -> None:
    address = machines.scheduler()
    machines.worker(address)
    going = run.behind("cluster", address)
    victim = gate.reader(going)
    gate.open()
    os.kill(victim, signal.SIGKILL)
    machines.worker(address)
    going.result()
    run.alone()
    assert run.bytes("cluster") == run.bytes("alone")


def test_a_local_cluster_writes_the_same_bytes_and_ends_with_the_run(run: Run) -> None:
    run.alone()
    run("cluster", "local", threads=2)
    assert run.bytes("cluster") == run.bytes("alone")
    left = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert [words for words in left if "spawn_main" in " ".join(words)] == []


def test_openvino_writes_the_same_bytes_on_a_cluster(run: Run, two_workers: str) -> None:
    run.alone(runtime="openvino", threads=1)
    run("cluster", two_workers, runtime="openvino")
    assert run.bytes("cluster") == run.bytes("alone")


def test_a_bucket_is_shared_by_workers_with_credentials_of_their_own(
    run: Run, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        end = f"?endpoint_override=127.0.0.1:{server.get_host_and_port()[1]}&scheme=http&region=us-east-1"
        fs.FileSystem.from_uri(f"s3://cluster{end}&allow_bucket_creation=true")[0].create_dir("cluster")
        address = machines.scheduler()
        machines.worker(address)
        run("cluster", address, store=f"s3://cluster/store{end}")
        lines = run("again", None, store=f"s3://cluster/store{end}")
    finally:
        server.stop()
    run.alone()
    assert run.bytes("cluster") == run.bytes("again") == run.bytes("alone")
    assert f"features: {len(run.rows)} vectors wanted, {len(run.rows)} in the store" in lines


def test_a_worker_makes_the_session_once_for_all_its_threads_and_shards(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = computing.engine

    def engine(root: Path, setting: computing.Setting, threads: int) -> object:
        made.append(threads)
        return real(root, setting, threads)

    monkeypatch.setattr(computing, "engine", engine)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    ) as found:
        run("cluster", found.scheduler_address)
    assert made == [2]
    assert len(run.segments()) == 8
    run.alone()
    assert run.bytes("cluster") == run.bytes("alone")


def test_the_environment_names_the_cluster_where_the_params_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAFT_CLUSTER", raising=False)
    assert cluster.where(None) is None
    assert cluster.where("local") == "local"
    monkeypatch.setenv("GRAFT_CLUSTER", "tcp://dask:8786")
    assert cluster.where(None) == "tcp://dask:8786"
    assert cluster.where("local") == "local"
    monkeypatch.setenv("GRAFT_CLUSTER", "")
    assert cluster.where(None) is None


def test_without_dask_the_command_that_installs_it_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert error(lambda: run("cluster", "local")) == (
        "features.cluster is set, but Dask is not installed. Run `pip install 'graft[cluster]'`."
    )


def test_an_image_that_cannot_be_used_is_set_aside_as_on_one_machine(run: Run, two_workers: str) -> None:
    gone, changed, damaged = (run.rows[place].path for place in (0, 5, 9))
    photos = run.folder / "photos"
    (photos / damaged).write_bytes(b"GIF89a")
    write_accepted(run.folder / "accepted.parquet", run.rows, photos)
    (photos / gone).unlink()
    (photos / changed).write_bytes(b"")
    alone = run.alone(views=2)
    lines = run("cluster", two_workers, views=2)
    assert run.bytes("cluster") == run.bytes("alone")
    assert "features: 3 images that workers could not use are tried here" in lines
    asides = [line for line in lines if " aside" in line]
    assert [line.split(": ")[1] for line in asides[:3]] == [f"{path} is set aside" for path in (gone, changed, damaged)]
    assert asides == [line for line in alone if " aside" in line]


# Each process finds its own working folder there.
HERE = Path("/proc/self/cwd")


@pytest.fixture
def far_worker(run: Run, machines: Machines, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the address of a scheduler with a worker, for which HERE is another folder than for the run."""
    address = machines.scheduler()
    machines.worker(address)
    monkeypatch.chdir(run.folder)
    return address


def test_an_image_that_only_a_worker_cannot_use_is_not_set_aside(
    run: Run, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = run.folder / "elsewhere"
    shutil.copytree(run.folder / "photos", elsewhere / "photos")
    (run.folder / "store").mkdir()
    (elsewhere / "store").symlink_to(run.folder / "store")
    for place in (0, 4):
        (elsewhere / "photos" / run.rows[place].path).unlink()
    Image.fromarray(noise(7, 9, 9)).save(elsewhere / "photos" / run.rows[7].path)
    address = machines.scheduler()
    machines.worker(address, cwd=elsewhere)
    monkeypatch.chdir(run.folder)
    lines = run("cluster", address, root=HERE)
    assert "features: 3 images that workers could not use are tried here" in lines
    run.alone()
    assert run.bytes("cluster") == run.bytes("alone")


def test_a_worker_that_cannot_see_the_images_is_told_apart(run: Run, far_worker: str) -> None:
    assert error(lambda: run("cluster", far_worker, root=HERE)) == (
        f"worker on {HOST}: /proc/self/cwd/photos cannot be read: No such file or directory. "
        "Put the images under the same path on all machines."
    )


def test_a_worker_whose_folder_of_images_is_empty_is_told_apart(run: Run, machines: Machines, far_worker: str) -> None:
    (machines.folder / "photos").mkdir()
    assert error(lambda: run("cluster", far_worker, root=HERE)) == (
        f"worker on {HOST}: /proc/self/cwd/photos is empty. Put the images under the same path on all machines."
    )


def test_the_mark_in_the_store_is_renewed_while_the_run_goes_on(
    run: Run, two_workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks: list[str] = []
    real = Place.put

    def put(self: Place, folder: str, name: str, content: pa.Buffer) -> None:
        if name.startswith(".mark."):
            marks.append(name)
        real(self, folder, name, content)

    monkeypatch.setattr(Place, "put", put)
    monkeypatch.setattr(cluster, "SECONDS_A_MARK", 0)
    run("cluster", two_workers)
    assert len(marks) == 1 + len(run.rows) // 2
    assert len(set(marks)) == 1
    assert [path for path in (run.folder / "store").rglob(".*") if path.is_file()] == []


def test_a_store_that_lets_nobody_delete_is_filled_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        message = "the bucket grants no deleting"
        raise GraftError(message)

    monkeypatch.setattr(Place, "delete", refuse)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as found:
        run("cluster", found.scheduler_address)
    run.alone()
    assert run.bytes("cluster") == run.bytes("alone")


def test_a_scheduler_that_is_gone_before_the_first_shard_is_told_in_one_line(
    run: Run, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = machines.scheduler()
    machines.worker(address)
    real = connecting.wait_for_workers

    def wait_for_workers(*arguments: Any) -> None:
        real(*arguments)
        machines.all[0].kill()
        machines.all[0].wait()

    monkeypatch.setattr(connecting, "wait_for_workers", wait_for_workers)
    assert error(lambda: run("cluster", address)) == (
        f"the connection to the Dask scheduler at {address} was lost. "
        "Run the stage again when it is back: what was computed is kept."
    )


def test_certificates_that_are_not_there_are_told(run: Run) -> None:
    files = ("ca-file", "client.cert", "client.key")
    with dask.config.set({f"distributed.comm.tls.{name}": "/no/such/file.pem" for name in files}):
        assert error(lambda: run("cluster", "tls://127.0.0.1:1")).startswith(
            "the certificates that Dask's settings name cannot be used: [Errno 2] No such file or directory"
        )


def test_a_worker_with_another_store_is_told_apart(run: Run, far_worker: str) -> None:
    assert error(lambda: run("cluster", far_worker, store=str(HERE / "store"))) == (
        f"worker on {HOST}: /proc/self/cwd/store is not the feature store of the machine where the run was started. "
        "Set features.store to a folder or a bucket that all machines share."
    )
    assert [path for path in (run.folder / "store").rglob("*") if path.is_file()] == []


def test_a_worker_that_cannot_write_the_store_is_told_apart(run: Run, machines: Machines, far_worker: str) -> None:
    (machines.folder / "store").write_text("")
    assert error(lambda: run("cluster", far_worker, store=str(HERE / "store"))).startswith(
        f"worker on {HOST}: the feature store /proc/self/cwd/store cannot be written to: Not a directory. "
    )


def shadow(folder: Path, name: str, version: str) -> str:
    """Make a folder that, on the Python path, makes a package look like another version; return it."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return str(folder)


@pytest.mark.parametrize("name", ["onnxruntime", "Pillow"])
def test_a_worker_with_another_version_of_what_decides_the_bytes_is_refused(
    run: Run, machines: Machines, name: str
) -> None:
    address = machines.scheduler()
    machines.worker(address, path=shadow(machines.folder / "shadow", name, "0.1"))
    here = worker.versions("onnxruntime")[name]
    assert error(lambda: run("cluster", address)) == (
        f"worker on {HOST}: {name} is 0.1, but {here} where the run was started. Only the same versions make the "
        "same vectors: use one commit and one requirements.lock on all machines, and restart what was started before "
        "an update."
    )
    assert run.segments() == []


def test_a_worker_that_joins_late_is_held_to_the_same(run: Run, machines: Machines, gate: Gate) -> None:
    address = machines.scheduler()
    machines.worker(address)
    going = run.behind("cluster", address)
    gate.reader(going)
    machines.worker(address, path=shadow(machines.folder / "shadow", "numpy", "0.1"))
    gate.open()
    machines.all[1].kill()
    assert error(going.result).startswith(f"worker on {HOST}: numpy is 0.1, but ")


def other_graft(folder: Path) -> str:
    """Copy this project's source with one more line; return the folder."""
    shutil.copytree(ROOT / "tasks", folder / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "tasks" / "common" / "images.py").open("a") as file:
        file.write("# Changed.\n")
    return str(folder)


def no_graft(folder: Path) -> str:
    """Make a folder that hides this project on the Python path; return it."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks" / "__init__.py").touch()
    return str(folder)


@pytest.mark.parametrize("who", ["scheduler", "worker"])
@pytest.mark.parametrize(
    ("other", "found"),
    [
        (no_graft, r"cannot load Graft: .*No module named 'tasks\.features'.*"),
        (other_graft, "has Graft [0-9a-f]{12}"),
    ],
)
def test_a_scheduler_or_a_worker_without_this_graft_is_refused(
    run: Run, machines: Machines, who: str, other: Callable[[Path], str], found: str
) -> None:
    path = other(machines.folder / "other")
    address = machines.scheduler(path if who == "scheduler" else "")
    machines.worker(address, path if who == "worker" else "")
    assert re.fullmatch(
        rf"the {who} at tcp://127\.0\.0\.1:\d+ {found}, but here is Graft {worker.source()}\. "
        r"Use one commit on all machines, and restart what was started before an update\.",
        error(lambda: run("cluster", address)),
    )
    assert run.segments() == []


@pytest.mark.skipif(not worker.processor(), reason="this processor has nothing that can be switched off")
def test_processors_that_differ_are_told(run: Run, machines: Machines) -> None:
    address = machines.scheduler()
    machines.worker(address, NPY_DISABLE_CPU_FEATURES=worker.processor())
    assert (
        f"features: processors differ ({worker.processor()}, none), "
        "so the last bits of a vector may depend on where it is computed"
    ) in run("cluster", address)


@pytest.mark.parametrize("what", ["nothing", "no host", "something silent", "something else"])
def test_a_scheduler_that_does_not_answer_is_told_at_once(run: Run, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(connecting, "SECONDS_TO_CONNECT", 0.5)
    with socket.socket() as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        if what == "no host":
            address = "tcp://no-such-host.invalid:8786"
        if what.startswith("something"):
            listening.listen()
        if what == "something else":
            pool.submit(lambda: listening.accept()[0].sendall(b"SSH-2.0-OpenSSH_9.6 and whatever else it has to say"))
        assert error(lambda: run("cluster", address)) == (
            f"no Dask scheduler answers at {address}. Start one there with `dask scheduler`, "
            "or correct features.cluster (or GRAFT_CLUSTER)."
        )


@pytest.mark.parametrize(
    ("address", "why", "encrypted"),
    [
        ("LOCAL", "missing port number in address 'LOCAL'", False),
        ("tcp://127.0.0.1:port", "invalid literal for int() with base 10: 'port'", False),
        ("http://127.0.0.1:1", "unknown address scheme 'http' (known schemes: ", False),
        ("tls://127.0.0.1:1", "TLS expects a `ssl_context` argument of type ssl.SSLContext ", False),
        ("tcp://127.0.0.1:1", "encryption required by Dask configuration, refusing communication ", True),
    ],
)
def test_what_is_no_address_is_told(run: Run, address: str, why: str, encrypted: bool) -> None:
    with dask.config.set({"distributed.comm.require-encryption": encrypted}):
        told = error(lambda: run("cluster", address))
    assert told.startswith(
        f"features.cluster must be local or an address such as tcp://HOST:8786; found {address}: {why}"
    )


def test_a_scheduler_without_workers_is_waited_for_a_while(
    run: Run, machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connecting, "SECONDS_FOR_WORKERS", 0.2)
    address = machines.scheduler()
    assert error(lambda: run("cluster", address)) == (
        f"the Dask scheduler at {address} has no workers. Start some with `dask worker {address}`."
    )
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"features: the Dask scheduler at {address} has no workers; waiting 0.2 s for one"
    )


def test_a_run_whose_workers_are_all_gone_ends(
    run: Run, machines: Machines, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "SECONDS_FOR_WORKERS", 0.2)
    address = machines.scheduler()
    machines.worker(address)
    going = run.behind("cluster", address)
    os.kill(gate.reader(going), signal.SIGKILL)
    assert error(going.result) == (
        f"the Dask scheduler at {address} has no workers. Start some with `dask worker {address}`."
    )


def test_a_shard_that_ends_every_worker_ends_the_run(run: Run, machines: Machines, gate: Gate) -> None:
    address = machines.scheduler(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    machines.worker(address)
    going = run.behind("cluster", address)
    os.kill(gate.reader(going), signal.SIGKILL)
    assert re.fullmatch(
        rf"workers of the Dask cluster {address} ended 1 times over one shard, the last at tcp://127\.0\.0\.1:\d+\. "
        r"See their logs; often it is too little memory\. What was computed is kept\.",
        error(going.result),
    )


def stage(run: Run, cluster: str) -> subprocess.Popen[str]:
    """Start the stage as a process in a group of its own."""
    shutil.copy(ROOT / "params.yaml", run.folder)
    words = ["--images", "photos", "--accepted", "accepted.parquet", "--backbone", str(run.backbone)]
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.features", *words, "--out", "features.parquet"],
        cwd=run.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "GRAFT_CLUSTER": cluster, "GRAFT_STORE": str(run.folder / "store")},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Return the exit code and what was told after the first two lines, of what is wanted."""
    _, told = process.communicate()
    return process.returncode, told.splitlines()[2:]


def test_a_local_cluster_listens_on_loopback_alone_and_hears_no_ctrl_c(run: Run, gate: Gate) -> None:
    process = stage(run, "local")
    gate.reader(process)
    family = psutil.Process(process.pid).children(recursive=True)
    sockets = [one for member in (psutil.Process(process.pid), *family) for one in member.net_connections()]
    listening = {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
    os.killpg(process.pid, signal.SIGINT)
    assert ended(process) == (130, ["graft features: interrupted"])
    assert psutil.wait_procs(family, timeout=20)[1] == []
    assert listening == {"127.0.0.1"}


def test_a_local_cluster_does_not_outlive_a_killed_run(run: Run, gate: Gate) -> None:
    process = stage(run, "local")
    gate.reader(process)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) > 1
    process.kill()
    process.communicate()
    assert psutil.wait_procs(family, timeout=20)[1] == []


def test_an_interrupted_run_leaves_no_tasks_behind(run: Run, machines: Machines, gate: Gate) -> None:
    address = machines.scheduler()
    machines.worker(address)
    process = stage(run, address)
    gate.reader(process)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, ["graft features: interrupted"])
    with distributed.Client(address, set_as_default=False) as client:
        assert client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks)) == []


def test_a_scheduler_that_ends_in_the_middle_is_told_in_one_line(run: Run, machines: Machines, gate: Gate) -> None:
    address = machines.scheduler()
    machines.worker(address)
    process = stage(run, address)
    gate.reader(process)
    machines.all[0].kill()
    code, lines = ended(process)
    assert code == 1
    told = f"the connection to the Dask scheduler at {address} was lost"
    assert lines == [f"graft features: error: {told}. Run the stage again when it is back: what was computed is kept."]
