"""A cluster that is missing or ends too soon is reported in one line, and nothing outlives the run."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import distributed
import psutil
import pytest

from tasks.extraction.cluster import connection
from tests.integration.cluster.machines import Gate, Machines, Run, error
from tests.tasks.conftest import ROOT

pytestmark = pytest.mark.timeout(60)


def test_without_dask_the_error_names_the_command_that_installs_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert error(lambda: run("cluster", "local")) == (
        "features.cluster is set, but Dask is not installed. Run `pip install 'graft[cluster]'`."
    )


def test_a_scheduler_that_is_gone_before_the_first_shard_is_reported_in_one_line(
    run: Run, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = machines.scheduler()
    machines.worker(address)
    real = connection.wait_for_workers

    def wait_for_workers(*arguments: Any) -> None:
        real(*arguments)
        machines.all[0].kill()
        machines.all[0].wait()

    monkeypatch.setattr(connection, "wait_for_workers", wait_for_workers)
    assert error(lambda: run("cluster", address)) == (
        f"the connection to the Dask scheduler at {address} was lost. "
        "Run the stage again when it is back: what was computed is kept."
    )


def test_missing_certificates_are_reported(run: Run) -> None:
    files = ("ca-file", "client.cert", "client.key")
    with dask.config.set({f"distributed.comm.tls.{name}": "/no/such/file.pem" for name in files}):
        assert error(lambda: run("cluster", "tls://127.0.0.1:1")).startswith(
            "the certificates that Dask's settings name cannot be used: [Errno 2] No such file or directory"
        )


@pytest.mark.parametrize("listener", ["nothing", "no host", "a silent server", "another server"])
def test_a_scheduler_that_does_not_answer_is_reported_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, listener: str
) -> None:
    monkeypatch.setattr(connection, "SECONDS_TO_CONNECT", 0.5)
    with socket.socket() as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        if listener == "no host":
            address = "tcp://no-such-host.invalid:8786"
        if listener.endswith("server"):
            listening.listen()
        if listener == "another server":
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
    ids=["no port", "port no number", "unknown scheme", "no certificates", "not encrypted"],
)
def test_an_invalid_address_is_reported(run: Run, address: str, why: str, encrypted: bool) -> None:
    with dask.config.set({"distributed.comm.require-encryption": encrypted}):
        message = error(lambda: run("cluster", address))
    assert message.startswith(
        f"features.cluster must be local or an address such as tcp://HOST:8786; found {address}: {why}"
    )


def test_a_scheduler_without_workers_is_waited_for_a_while(
    run: Run, machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "SECONDS_FOR_WORKERS", 0.2)
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
    monkeypatch.setattr(connection, "SECONDS_FOR_WORKERS", 0.2)
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
    """Return the exit code and what was printed after the first two lines, which say what is computed."""
    _, stderr = process.communicate()
    return process.returncode, stderr.splitlines()[2:]


def test_a_local_cluster_listens_on_loopback_alone_and_hears_no_ctrl_c(run: Run, gate: Gate) -> None:
    process = stage(run, "local")
    gate.reader(process)
    family = psutil.Process(process.pid).children(recursive=True)
    sockets = [socket for member in (psutil.Process(process.pid), *family) for socket in member.net_connections()]
    listening = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
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


def test_a_scheduler_that_ends_in_the_middle_is_reported_in_one_line(run: Run, machines: Machines, gate: Gate) -> None:
    address = machines.scheduler()
    machines.worker(address)
    process = stage(run, address)
    gate.reader(process)
    machines.all[0].kill()
    code, lines = ended(process)
    assert code == 1
    message = f"the connection to the Dask scheduler at {address} was lost"
    assert lines == [
        f"graft features: error: {message}. Run the stage again when it is back: what was computed is kept."
    ]
