"""The queue and its threads: room, order, ends, and clients that go away."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator

import pytest

from frugalseg.serve.workers import ClosedError, NotBegunError, QueueFullError, Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(1, capacity=2)
    made.start()
    yield made
    made.close()


class Held:
    """A job that waits until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, number: int) -> int:
        self.begun.set()
        assert self.go.wait(10)
        return number


async def begun(job: Held) -> None:
    assert await asyncio.to_thread(job.begun.wait, 10)


def test_jobs_are_done_and_errors_come_back(workers: Workers) -> None:
    async def ask() -> None:
        good, bad = await workers.run([lambda number: 7 + number, lambda _: int("x")], 10)
        assert good.unwrap() == 7
        with pytest.raises(ValueError, match="invalid literal"):
            bad.unwrap()

    asyncio.run(ask())


def test_what_has_no_room_is_refused_whole_and_at_once(workers: Workers) -> None:
    async def ask() -> None:
        held = Held()
        first = asyncio.create_task(workers.run([held], 10))
        await begun(held)
        waiting = asyncio.create_task(workers.run([int], 10))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError) as full:
            await workers.run([int, int], 10)
        assert full.value.retry_after_s >= 1
        assert workers.waiting == 1
        held.go.set()
        assert (await first)[0].unwrap() == 0
        assert (await waiting)[0].unwrap() == 0

    asyncio.run(ask())


def test_what_was_not_begun_when_its_client_went_is_never_done(workers: Workers) -> None:
    done: list[int] = []

    async def ask() -> None:
        held = Held()
        first = asyncio.create_task(workers.run([held], 10))
        await begun(held)
        gone = asyncio.create_task(workers.run([done.append], 10))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert workers.waiting == 0
        held.go.set()
        await first
        await workers.run([int], 10)

    asyncio.run(ask())
    assert done == []


def test_waiting_too_long_and_taking_too_long_are_told_apart(workers: Workers) -> None:
    async def ask() -> None:
        held = Held()
        slow = asyncio.create_task(workers.run([held], 0.05))
        await begun(held)
        with pytest.raises(NotBegunError):
            await workers.run([int], 0.01)
        with pytest.raises(TimeoutError) as told:
            await slow
        assert not isinstance(told.value, NotBegunError)
        assert workers.waiting == 0
        held.go.set()

    asyncio.run(ask())


def test_jobs_that_are_given_up_together_leave_no_complaint(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask() -> None:
        held = Held()
        jobs: list[Callable[[int], int]] = [held, int]
        with pytest.raises(NotBegunError):
            await workers.run(jobs, 0.05)
        held.go.set()
        await workers.run([int], 10)

    asyncio.run(ask())
    gc.collect()
    assert caplog.records == []


def test_an_end_finishes_what_was_taken_and_takes_nothing_new() -> None:
    workers = Workers(1, capacity=2)
    workers.start()

    async def ask() -> None:
        held = Held()
        taken = [asyncio.create_task(workers.run([held], 10))]
        await begun(held)
        taken.append(asyncio.create_task(workers.run([int], 10)))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(workers.close))
        while not workers.is_closed:
            await asyncio.sleep(0.001)
        with pytest.raises(ClosedError):
            await workers.run([int], 10)
        held.go.set()
        results = await asyncio.gather(*taken)
        assert [done.unwrap() for [done] in results] == [0, 0]
        await closing

    asyncio.run(ask())


def test_the_wait_that_is_told_grows_with_the_queue() -> None:
    short, long = Workers(2, capacity=100), Workers(2, capacity=100)

    async def ask() -> None:
        for workers, count in ((short, 2), (long, 100)):
            waiting = asyncio.create_task(workers.run([int] * count, 10))
            await asyncio.sleep(0)
            assert workers.waiting == count
            waiting.cancel()
            if workers is long:
                assert workers.retry_after_s() > short.retry_after_s()

    asyncio.run(ask())
