"""Extraction on a cluster makes the vectors of one machine, whatever happens to its workers."""

import os
import re
import shutil
import signal
from contextlib import suppress
from typing import Any

import distributed
import psutil
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image
from pyarrow import fs

from tasks.common.errors import GraftError
from tasks.extraction.cluster import computation, worker
from tasks.extraction.cluster.connection import cluster_address
from tasks.extraction.extractor import Extractor, make_extractor
from tasks.store import Store
from tests.integration.cluster.machines import HERE, Gate, Machines, Run
from tests.tasks.conftest import noise, write_accepted

pytestmark = pytest.mark.timeout(60)


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
    files = {path for path in (run.folder / "store").rglob("*") if path.is_file()}
    assert files == set(run.segments())


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
    workers: list[object] = []

    def counted(*arguments: Any, **options: Any) -> Extractor:
        workers.append(options["workers"])
        return make_extractor(*arguments, **options)

    monkeypatch.setattr(worker, "make_extractor", counted)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        run("cluster", cluster.scheduler_address)
    assert workers == [2]
    assert len(run.segments()) == 8
    run.alone()
    assert run.bytes("cluster") == run.bytes("alone")


def test_the_environment_names_the_cluster_where_the_params_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAFT_CLUSTER", raising=False)
    assert cluster_address(None) is None
    assert cluster_address("local") == "local"
    monkeypatch.setenv("GRAFT_CLUSTER", "tcp://dask:8786")
    assert cluster_address(None) == "tcp://dask:8786"
    assert cluster_address("local") == "local"
    monkeypatch.setenv("GRAFT_CLUSTER", "")
    assert cluster_address(None) is None


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


def test_the_marker_in_the_store_is_renewed_during_the_run(
    run: Run, two_workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    markers: list[str] = []
    real = Store.put_marker

    def put_marker(self: Store, name: str) -> None:
        markers.append(name)
        real(self, name)

    monkeypatch.setattr(Store, "put_marker", put_marker)
    monkeypatch.setattr(computation, "SECONDS_PER_MARKER", 0)
    run("cluster", two_workers)
    assert len(markers) == 1 + len(run.rows) // 2
    assert len(set(markers)) == 1
    files = {path for path in (run.folder / "store").rglob("*") if path.is_file()}
    assert files == set(run.segments())


def test_a_store_that_forbids_deletion_is_filled_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        message = "the bucket grants no deletion"
        raise GraftError(message)

    monkeypatch.setattr(Store, "remove_marker", refuse)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        run("cluster", cluster.scheduler_address)
    run.alone()
    assert run.bytes("cluster") == run.bytes("alone")
