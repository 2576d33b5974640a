"""A real Prefect server, deployment and worker, from the project's own prefect.yaml."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows import dvc
from tests.conftest import ROOT


@pytest.fixture
def server(prefect_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run `prefect server start` on a free loopback port; yield the environment of its clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    home = shutil.copytree(prefect_template, tmp_path_factory.mktemp("prefect") / "home")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")} | {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT)
    transport = httpx.HTTPTransport(retries=10)  # each retry waits twice as long: half a minute and more in all
    try:
        with httpx.Client(transport=transport, timeout=60) as client:
            assert client.get(f"http://127.0.0.1:{port}/api/health").json() is True
        yield environment
    finally:
        process.terminate()
        process.wait(30)


def prefect(*arguments: str, cwd: Path, environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    completed = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_the_nightly_deployment_is_run_by_a_worker_and_the_workspace_is_up_to_date_after(
    workspace: Path, server: dict[str, str]
) -> None:
    shutil.copy(ROOT / "prefect.yaml", workspace)
    shutil.copytree(ROOT / "flows", workspace / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    address = server["PREFECT_API_URL"]
    httpx.post(f"{address}/work_pools/", json={"name": "graft", "type": "process"}).raise_for_status()
    prefect("deploy", "--all", cwd=workspace, environment=server)
    deployment = httpx.get(f"{address}/deployments/name/train/nightly").json()
    schedules = [(entry["schedule"]["cron"], entry["schedule"]["timezone"]) for entry in deployment["schedules"]]
    assert schedules == [("0 2 * * *", "UTC")]
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    httpx.post(f"{address}/deployments/{deployment['id']}/create_flow_run", json={}).raise_for_status()
    prefect("worker", "start", "--pool", "graft", "--run-once", cwd=workspace, environment=server)
    runs = httpx.post(
        f"{address}/flow_runs/filter",
        json={"flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}}},
    ).json()
    assert [run["state"]["type"] for run in runs] == ["COMPLETED"]
    assert (workspace / "calls.txt").read_text().split()[-1] == "evaluation"
    assert dvc.stale(workspace) == set()
