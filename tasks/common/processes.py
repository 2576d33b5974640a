"""A parallel map in worker processes: an item that crashes its process, or never ends, costs that item alone."""

import os
import resource
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from enum import StrEnum
from itertools import count
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from pathlib import Path
from threading import Thread
from typing import Any, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# With two, a worker finds the next item in its pipe when it has finished one.
ITEMS_PER_WORKER = 2
# A process that waits uses no processor time, so the time that passes has a limit too. It is far longer, because a busy
# or suspended machine must not count against an item.
SECONDS_PER_PROCESSOR_SECOND = 10


class Failure(StrEnum):
    """Why an item has no result."""

    CRASHED = "crashed"
    TOO_SLOW = "too slow"


def isolated_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    failed: Callable[[Item, Failure], Result],
    workers: int,
    ahead: int,
    seconds: float,
) -> Generator[Result, None, None]:
    """Apply `function` to `items` in worker processes and yield the results in the items' order.

    At most `ahead` (>= 1) items are being computed or waiting for the consumer, so memory does not grow with the number
    of items. The function, items and results are pickled; paths must be absolute, since workers keep the folder in
    which the first of them was started. An exception of `function` is raised at its item's position.

    If an item ends its process twice, or takes more than `seconds` of processor time (or ten times as much time in
    all), its result is what `failed` returns for it. The workers end with the iteration, and with this process.
    """
    # Threads may run in this process, such as that of a progress bar, and a fork would copy the locks that they hold.
    # The fork server has no threads, imports the function's module once and then starts a worker in milliseconds.
    context = get_context("forkserver")
    context.set_forkserver_preload([getattr(function, "func", function).__module__])
    pool = _Pool(lambda: _Worker(context, function, seconds), items, failed, workers, ahead)
    try:
        for position in count():
            while position not in pool.results:
                if not pool.advance():
                    return
            result = pool.results.pop(position)
            if isinstance(result, _Raised):
                raise result.error
            yield result
    finally:
        pool.kill()


class _Raised(NamedTuple):
    """The exception that `function` raised for an item."""

    error: BaseException


class _Worker(Generic[Item]):
    """A worker process, and the items that it was sent and has not answered, with their numbers."""

    def __init__(self, context: ForkServerContext, function: Callable[[Item], Any], seconds: float) -> None:
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=_work, args=(other_end, function, seconds), daemon=True)
        self.process.start()
        other_end.close()
        self.pending: deque[tuple[int, Item]] = deque()
        self.is_ready = False

    def send(self, number: int, item: Item) -> None:
        self.pending.append((number, item))
        with suppress(ConnectionError):  # The end of the process is noticed when its answer is awaited.
            self.connection.send(item)

    def join(self) -> int | None:
        self.process.join()
        self.connection.close()
        return self.process.exitcode


class _Pool(Generic[Item, Result]):
    """The workers, the items on their way, and the results that wait for the consumer, by number."""

    def __init__(
        self,
        start_worker: Callable[[], _Worker[Item]],
        items: Iterable[Item],
        failed: Callable[[Item, Failure], Result],
        workers: int,
        ahead: int,
    ) -> None:
        self.results: dict[int, Result | _Raised] = {}
        self._start_worker = start_worker
        self._failed = failed
        self._size = workers
        self._ahead = ahead
        self._remaining = enumerate(items)
        self._workers: list[_Worker[Item]] = []
        self._returned: deque[tuple[int, Item]] = deque()  # by workers that ended
        self._crashed: set[int] = set()

    def advance(self) -> bool:
        """Send items to the workers and wait for the next answers; return False when there is nothing to wait for."""
        while self._has_room() and (numbered := self._next_item()):
            self._free_worker().send(*numbered)
        by_connection = {worker.connection: worker for worker in self._workers if worker.pending}
        if not by_connection:
            return False
        for connection in wait(by_connection):
            self._receive(by_connection[connection])  # type: ignore[index]
        return True

    def kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.join()

    def _has_room(self) -> bool:
        return sum(len(worker.pending) for worker in self._workers) < self._size * ITEMS_PER_WORKER

    def _free_worker(self) -> _Worker[Item]:
        """Return the worker with the fewest items, but a new one rather than a busy one."""
        worker = min(self._workers, key=lambda worker: len(worker.pending), default=None)
        if worker is None or (worker.pending and len(self._workers) < self._size):
            worker = self._start_worker()
            self._workers.append(worker)
        return worker

    def _next_item(self) -> tuple[int, Item] | None:
        if self._returned:
            return self._returned.popleft()
        if sum(len(worker.pending) for worker in self._workers) + len(self.results) >= self._ahead:
            return None
        return next(self._remaining, None)

    def _receive(self, worker: _Worker[Item]) -> None:
        try:
            answer = worker.connection.recv()
        except (EOFError, ConnectionError):
            self._replace(worker)
            return
        if worker.is_ready:
            number, _ = worker.pending.popleft()
            self.results[number] = answer
        worker.is_ready = True

    def _replace(self, worker: _Worker[Item]) -> None:
        """Settle the item on which the worker ended, and return the others."""
        self._workers.remove(worker)
        exit_code = worker.join()
        if not worker.is_ready:
            message = f"A worker process could not start; it ended with exit code {exit_code}."
            raise RuntimeError(message)
        number, item = worker.pending[0]
        is_slow = exit_code in {-signal.SIGPROF, -signal.SIGALRM}
        # A first crash may come from outside, for example when memory runs out, so the item gets a second try.
        if is_slow or number in self._crashed:
            worker.pending.popleft()
            self.results[number] = self._failed(item, Failure.TOO_SLOW if is_slow else Failure.CRASHED)
        self._crashed.add(number)
        self._returned.extendleft(reversed(worker.pending))


def _work(connection: Connection, function: Callable[[Any], Any], seconds: float) -> None:
    """Answer each item with its result until the other end is closed."""
    Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the workers.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # When memory runs out, the kernel then ends a worker, not its parent.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    limits = ((signal.ITIMER_PROF, seconds), (signal.ITIMER_REAL, seconds * SECONDS_PER_PROCESSOR_SECOND))
    connection.send(None)
    with suppress(EOFError, ConnectionError):
        while True:
            item = connection.recv()
            # Without a handler, the signals of the timers end the process, even in the midst of native code.
            for timer, limit in limits:
                signal.setitimer(timer, limit)
            answer: Any
            try:
                answer = function(item)
            except Exception as error:  # noqa: BLE001  It is raised again in the parent.
                error.add_note("".join(traceback.format_exception(error)))
                answer = _Raised(error)
            for timer, _ in limits:
                signal.setitimer(timer, 0)
            connection.send(answer)


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)
