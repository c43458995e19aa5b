"""Workers: threads that do the computing, and the bounded queue before them.

Engines are not shared: job and worker meet through the worker's number, by which a model has one
engine for each. Everything here but the threads themselves runs on the event loop.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Job = Callable[[int], T]
"""What a worker does; it is given the worker's number."""

_FIRST_GUESS_S = 0.1
_SMOOTHING = 0.1


class QueueFullError(Exception):
    """There is no room; try again after `.retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the queue is full; try again in {retry_after_s} s")


class ClosedError(Exception):
    """The service is ending and takes nothing new."""


class GoneError(Exception):
    """The client went away."""


class NotBegunError(TimeoutError):
    """The time was up before a worker was free."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What a job gave, or the error it ended with, and how long it stood in the queue."""

    result: T | Exception
    queue_s: float

    def unwrap(self) -> T:
        """Return the result, or raise the error."""
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@dataclass(slots=True, eq=False)
class _Entry:
    job: Job[Any]
    future: asyncio.Future[Done[Any]]
    entered: float
    begun: bool = False


class Workers:
    """`count` threads behind a queue of `capacity` jobs."""

    def __init__(self, count: int, capacity: int) -> None:
        self.count, self.capacity = count, capacity
        self._waiting: deque[_Entry] = deque()
        self._busy = 0
        self._mean_s = _FIRST_GUESS_S
        self._closed = False
        self._change = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"worker-{number}")
            for number in range(count)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Take nothing new, finish what was taken, and end the threads."""
        self.refuse()
        for thread in self._threads:
            thread.join()

    def refuse(self) -> None:
        """Take nothing new from now on."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    @property
    def waiting(self) -> int:
        """Jobs that no worker has begun."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Workers that compute."""
        return self._busy

    @property
    def is_closed(self) -> bool:
        """Whether nothing new is taken."""
        return self._closed

    def retry_after_s(self) -> int:
        """Estimate from the measured rate when the queue will be empty, at least 1 s."""
        return max(1, math.ceil((len(self._waiting) + self._busy) * self._mean_s / self.count))

    async def run(
        self, jobs: Sequence[Job[T]], timeout_s: float, gone: "asyncio.Future[Any] | None" = None
    ) -> list[Done[T]]:
        """Do all jobs, or take none; errors of single jobs are in their results.

        Raises QueueFullError, ClosedError, GoneError once `gone` is done, NotBegunError if the
        time was up before all had begun, else TimeoutError. What was not begun by then, or when
        the caller is cancelled, is never done.
        """
        entries = self._enter(jobs)
        futures = [entry.future for entry in entries]
        together = _all_of(futures)
        try:
            await asyncio.wait(
                [together, gone] if gone else [together],
                timeout=timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if together.done():
                return [future.result() for future in futures]
        finally:
            if not together.done():
                self._leave(entries)
        if gone is not None and gone.done():
            raise GoneError
        raise TimeoutError if all(entry.begun for entry in entries) else NotBegunError

    def _enter(self, jobs: Sequence[Job[T]]) -> list[_Entry]:
        loop, now = asyncio.get_running_loop(), time.perf_counter()
        entries = [_Entry(job, loop.create_future(), now) for job in jobs]
        with self._change:
            if self._closed:
                raise ClosedError
            free = self.capacity - len(self._waiting) + (self.count - self._busy)
            if len(entries) > free:
                raise QueueFullError(self.retry_after_s())
            self._waiting.extend(entries)
            self._change.notify(len(entries))
        return entries

    def _leave(self, entries: Sequence[_Entry]) -> None:
        with self._change:
            for entry in entries:
                if not entry.begun:
                    self._waiting.remove(entry)
        for entry in entries:
            entry.future.cancel()

    def _work(self, number: int) -> None:
        while (entry := self._next()) is not None:
            began = time.perf_counter()
            try:
                result = entry.job(number)
            except Exception as wrong:  # it is the caller's, on the event loop
                result = wrong
            took_s = time.perf_counter() - began
            with self._change:
                self._busy -= 1
                self._mean_s += _SMOOTHING * (took_s - self._mean_s)
            done = Done(result, began - entry.entered)
            loop = entry.future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, entry.future, done)
            del entry, result, done  # an idle worker holds no picture

    def _next(self) -> _Entry | None:
        with self._change:
            while not self._waiting:
                if self._closed:
                    return None
                self._change.wait()
            entry = self._waiting.popleft()
            entry.begun = True
            self._busy += 1
            return entry


def _all_of(futures: "Sequence[asyncio.Future[Any]]") -> "asyncio.Future[None]":
    """Return what is done when all are; `gather` would complain of those that are given up."""
    together: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left = len(futures)

    def count(_: object) -> None:
        nonlocal left
        left -= 1
        if not left and not together.done():
            together.set_result(None)

    for future in futures:
        future.add_done_callback(count)
    return together


def _deliver(future: asyncio.Future[Done[Any]], done: Done[Any]) -> None:
    if not future.done():  # the client may have gone
        future.set_result(done)
