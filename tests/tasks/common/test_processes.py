import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from multiprocessing import active_children
from pathlib import Path

import psutil
import pytest

from tasks.common.processes import Failure, isolated_map
from tests.tasks.conftest import ROOT


def work(item: str) -> str:
    """Return the item in capitals, or do what it says."""
    match item:
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "exit":
            os._exit(0)
        case "hang":
            while True:
                pass
        case "wait":
            time.sleep(600)
        case "raise":
            raise ValueError(item)
    return item.upper()


def describe(item: str, failure: Failure) -> str:
    return f"{item} {failure}"


def crash_once(path: Path) -> str:
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def run(items: list[str], workers: int = 2, seconds: float = 60) -> list[str]:
    return list(isolated_map(work, items, describe, workers, 8, seconds))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("length", [0, 1, 40])
def test_the_results_are_in_the_order_of_the_items(length: int, workers: int) -> None:
    items = [f"item {number}" for number in range(length)]
    assert run(items, workers) == [item.upper() for item in items]


@pytest.mark.parametrize("item", ["segfault", "abort", "exit"])
def test_an_item_that_ends_its_process_costs_itself_alone(item: str) -> None:
    assert run(["a", "b", item, "c", item, "d"]) == ["A", "B", f"{item} crashed", "C", f"{item} crashed", "D"]


@pytest.mark.parametrize(("item", "seconds"), [("hang", 0.2), ("wait", 0.03)])
def test_an_item_that_does_not_end_costs_itself_alone(item: str, seconds: float) -> None:
    assert run(["a", item, "b", "c", "d"], seconds=seconds) == ["A", f"{item} too slow", "B", "C", "D"]


def test_an_item_whose_process_is_killed_from_outside_once_still_has_its_result(tmp_path: Path) -> None:
    results = isolated_map(crash_once, [tmp_path / "a"], lambda *_: "failed", workers=1, ahead=1, seconds=60)
    assert list(results) == ["done"]


def test_an_exception_is_raised_at_its_position_with_the_traceback_of_the_worker() -> None:
    results = isolated_map(work, ["a", "b", "raise", "c"], describe, workers=2, ahead=8, seconds=60)
    assert [next(results), next(results)] == ["A", "B"]
    with pytest.raises(ValueError, match="^raise\nTraceback") as error:
        next(results)
    assert "in work" in error.value.__notes__[0]
    assert list(results) == []


def test_no_more_items_are_taken_than_the_lookahead_allows() -> None:
    taken = 0

    def source() -> Iterator[str]:
        nonlocal taken
        for number in count():
            taken += 1
            yield str(number)

    results = isolated_map(work, source(), describe, workers=2, ahead=3, seconds=60)
    for received in range(1, 20):
        next(results)
        assert taken <= received + 3
    results.close()


def test_a_consumer_that_stops_early_leaves_no_process_behind() -> None:
    before = active_children()
    results = isolated_map(work, ["a", "wait", "wait", "b"], describe, workers=3, ahead=8, seconds=60)
    assert next(results) == "A"
    results.close()
    assert active_children() == before


PROGRAM = """
import time
from tasks.common.processes import isolated_map
results = isolated_map(time.sleep, [0, 600, 600], print, workers=3, ahead=8, seconds=600)
print(next(results), flush=True)
next(results)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_the_workers_end_at_once_with_their_parent(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"None\n"
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) > 2
        process.send_signal(number)
        process.wait(30)
        _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
