"""Worker threads that classify images: one a core, and each runs small images of one size that wait in one batch."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from graft.classifier import Classifier, Prediction
from graft.sources import ContentSource
from tasks.common.errors import ImageError
from tasks.images.decoding import Pixels
from tasks.images.memory import decoded_pixels

MOST_TOGETHER = 8
"""Images that a worker takes at once: more would make the first ones wait for the last."""

SMALL = 1_000_000
"""Pixels of the largest image that joins a batch: larger ones gain nothing and fill the memory."""


class Overloaded(Exception):  # noqa: N818  It is no defect: the client tries again.
    """More images wait than may."""


class _Job(NamedTuple):
    name: str
    content: bytes
    result: Future[Prediction]


class Workers:
    """Threads that classify encoded images; at most `most_waiting` wait for one."""

    def __init__(self, classifier: Classifier, threads: int, most_waiting: int) -> None:
        """Start the threads."""
        self._classifier, self._most_waiting = classifier, most_waiting
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """The number of images that wait."""
        return len(self._waiting)

    def submit(self, images: Sequence[tuple[str, bytes]]) -> list[Future[Prediction]]:
        """Return the predictions to come for images by name and content.

        Raises:
            Overloaded: More images wait than may.
        """
        jobs = [_Job(name, content, Future()) for name, content in images]
        with self._changed:
            if self._closed or len(self._waiting) + len(jobs) > self._most_waiting:
                raise Overloaded
            self._waiting.extend(jobs)
            self._changed.notify(len(jobs))
        return [job.result for job in jobs]

    def close(self) -> None:
        """End the threads after the images that wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while jobs := self._take():
            try:
                self._classify(jobs)
            except Exception as error:  # noqa: BLE001  A defect must not end the thread; the request reports it.
                for job in jobs:
                    if not job.result.done():
                        job.result.set_exception(error)

    def _take(self) -> list[_Job]:
        """Return a fair share of the images that wait; none when the workers were closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            share = -(-len(self._waiting) // len(self._threads))
            return [self._waiting.popleft() for _ in range(min(share, MOST_TOGETHER))]

    def _classify(self, jobs: list[_Job]) -> None:
        by_shape: dict[tuple[int, ...], list[tuple[_Job, Pixels]]] = {}
        for job in jobs:
            if decoded_pixels(job.content, None) > SMALL:
                source = ContentSource(job.name, job.content)
                job.result.set_result(self._classifier.predict_source(source))
                continue
            try:
                pixels = self._classifier.decode(job.content)
            except ImageError as error:
                job.result.set_result(Prediction(job.name, str(error)))
            else:
                by_shape.setdefault(pixels.shape, []).append((job, pixels))
        for group in by_shape.values():
            outputs = self._classifier.run(np.stack([pixels for _, pixels in group]), threads=1)
            predictions = self._classifier.predictions([job.name for job, _ in group], outputs)
            for (job, _), prediction in zip(group, predictions, strict=True):
                job.result.set_result(prediction)
