import os
import threading
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.threads import available_cores, ordered_map

WORKERS = st.integers(1, 4)
AHEAD = st.integers(1, 9)


@given(st.lists(st.integers(), max_size=40), WORKERS, AHEAD)
def test_the_results_are_those_of_map_in_the_same_order(items: list[int], workers: int, ahead: int) -> None:
    assert list(ordered_map(str, iter(items), workers, ahead)) == [str(item) for item in items]


@given(st.integers(0, 40), WORKERS, AHEAD)
def test_no_more_items_are_taken_than_the_lookahead_allows(length: int, workers: int, ahead: int) -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for item in range(length):
            taken += 1
            yield item

    for received, _ in enumerate(ordered_map(abs, source(), workers, ahead), start=1):
        assert taken <= received + ahead


@given(st.integers(0, 20), WORKERS, AHEAD)
def test_an_exception_is_raised_at_its_position_and_ends_even_an_endless_source(
    bad: int, workers: int, ahead: int
) -> None:
    started: list[int] = []

    def function(item: int) -> int:
        started.append(item)
        if item == bad:
            raise ValueError(str(item))
        return item

    results = ordered_map(function, count(), workers, ahead)
    assert [next(results) for _ in range(bad)] == list(range(bad))
    with pytest.raises(ValueError, match=f"^{bad}$"):
        next(results)
    assert list(results) == []
    assert max(started) <= bad + ahead


def test_the_first_exception_in_order_is_raised_even_if_it_happened_last() -> None:
    later_failed = threading.Event()

    def function(item: int) -> None:
        if item == 0:
            assert later_failed.wait(60)
        else:
            later_failed.set()
        raise ValueError(str(item))

    with pytest.raises(ValueError, match="^0$"):
        list(ordered_map(function, range(2), workers=2, ahead=2))


def test_workers_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=60)
    assert sorted(ordered_map(lambda _: barrier.wait(), range(3), workers=3, ahead=3)) == [0, 1, 2]


def test_a_consumer_that_stops_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    results = ordered_map(abs, count(), workers=4, ahead=8)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_the_available_cores_are_some_of_those_of_the_machine() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
