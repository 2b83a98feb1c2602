"""A cancel is honoured wherever it meets a job, and what will not stop holds nobody else up.

Rows 3, 7, 8 and 9 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.lowlevel
import trio.testing
from tests.actors.sample_jobs import Gate, Held, Reopen

import triphase
from triphase_protocol import STATES, JobState, states_where

from .jobs import Three, started
from .moments import Hold, log_of, starts_a_job, ticks, types


async def test_no_handler_starts_after_a_cancel_was_acknowledged_whenever_it_came(
    reopen: Reopen,
) -> None:
    met: set[str] = set()
    for count in range(80):
        started.clear()
        async with (
            trio.open_nursery() as nursery,
            triphase.open_runtime([Three], store=reopen()) as runtime,
        ):
            await runtime.pause("default")
            job = await runtime.submit(Three())
            nursery.start_soon(runtime.resume, "default")
            await ticks(count)
            try:
                record = await job.cancel()
            except triphase.IllegalTransition:
                met.add("too late")
                assert isinstance(await job.wait(), triphase.Completed)
                continue
            known = list(started)
            met.add(f"{record.state} in {len(known)}")
            assert isinstance(await job.wait(), triphase.Cancelled)
            assert started == known
            assert not {p.state.value for p in (await job.get()).phases} & {"pending", "running"}
            assert types(await log_of(runtime, job.id))[-1] == "job.cancelled"
    # It came before the start, in each of the phases, and after the end.
    assert met == {"cancelled in 0", "stopping in 1", "stopping in 2", "stopping in 3", "too late"}


@pytest.mark.parametrize("before", [True, False], ids=["not durable", "durable"])
async def test_a_cancel_between_a_start_and_its_handler_reaches_the_handler(
    before: bool, reopen: Reopen, gate: Gate
) -> None:
    store = reopen()
    async with triphase.open_runtime([Held], store=store) as runtime:
        with Hold(store, "write", before=before, wanted=starts_a_job) as hold:
            job = await runtime.submit(Held("a"))
            await hold.reached.wait()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(job.cancel)
                await trio.testing.wait_all_tasks_blocked()
                hold.go.set()
        assert isinstance(await job.wait(), triphase.Cancelled)
        record = await job.get()
        # The run was stopped by its actor: nobody took it for one that was lost.
        assert record.stop is not None
        assert (record.stop.how, dict(record.phases[0].spent)) == ("stopped", {})
        assert gate.inside == 0
        await log_of(runtime, job.id)


@triphase.job(queue="held")
class Hard:
    """One phase that will not stop, in one of several ways."""

    how: str

    @triphase.phase(stop_grace=5, timeout=20)
    async def only(self, ctx: triphase.Context) -> None:
        await HARD[self.how]()


async def shields_itself() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(10_000)


async def calls_again_and_again() -> None:
    for _ in range(2000):
        await trio.sleep(0.5)


async def catches_every_exception() -> None:
    while True:
        try:
            await trio.sleep(1)
        except Exception:
            continue


HARD: dict[str, Callable[[], Awaitable[None]]] = {
    each.__name__: each for each in (shields_itself, calls_again_and_again, catches_every_exception)
}


@pytest.mark.parametrize("how", HARD)
async def test_a_timeout_ends_what_never_comes_to_an_end_by_itself(
    how: str, reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    begin = trio.current_time()
    async with triphase.open_runtime([Hard], store=reopen(), clock=clock) as runtime:
        outcome = await (await runtime.submit(Hard(how))).wait()
        assert isinstance(outcome, triphase.Failed)
        assert outcome.error.type == "Timeout"
        assert trio.current_time() - begin <= 25


async def test_what_was_abandoned_takes_no_slot_from_the_next(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    begin = trio.current_time()
    async with triphase.open_runtime([Hard], store=reopen(), clock=clock, limit=1) as runtime:
        for number in range(1, 4):
            job = await runtime.submit(Hard("shields_itself"))
            await trio.testing.wait_all_tasks_blocked()
            assert (await job.get()).state is JobState.RUNNING
            await job.cancel()
            await job.wait()
            assert runtime.statistics().handlers.abandoned == number
            assert await runtime._parts.store.slots() == {}
    assert trio.current_time() - begin == pytest.approx(15)


async def test_threads_that_were_abandoned_take_no_thread_from_the_next(reopen: Reopen) -> None:
    release, beginning = threading.Event(), threading.Semaphore(0)

    @triphase.job()
    class Deaf:
        @triphase.phase(stop_grace=0)
        def only(self, ctx: triphase.Context) -> None:
            beginning.release()
            release.wait()

    async with triphase.open_runtime([Deaf], store=reopen(), limit=1) as runtime:
        # More than trio has threads for by default.
        for number in range(1, 51):
            job = await runtime.submit(Deaf())
            await trio.to_thread.run_sync(beginning.acquire)
            await job.cancel()
            await job.wait()
            assert runtime.statistics().handlers.abandoned_ever == number
        release.set()


async def test_a_cancel_in_any_state_lets_the_next_job_have_the_slot(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async def scheduled(runtime: triphase.Runtime) -> triphase.JobHandle:
        return await runtime.submit(Held("x"), delay=1000)

    async def gated(runtime: triphase.Runtime) -> triphase.JobHandle:
        return await runtime.submit(Held("x"), approval=True)

    async def queued(runtime: triphase.Runtime) -> triphase.JobHandle:
        await runtime.pause("held")
        return await runtime.submit(Held("x"))

    async def running(runtime: triphase.Runtime) -> triphase.JobHandle:
        job = await runtime.submit(Held("x"))
        await trio.testing.wait_all_tasks_blocked()
        return job

    async def stopping(runtime: triphase.Runtime) -> triphase.JobHandle:
        job = await runtime.submit(Hard("shields_itself"))
        await trio.sleep(21)
        return job

    queues = {"held": triphase.Queue(limit=1)}
    met: set[JobState] = set()
    for make in (scheduled, gated, queued, running, stopping):
        async with triphase.open_runtime(
            [Held, Hard], store=reopen(), queues=queues, clock=clock, limit=1
        ) as runtime:
            job = await make(runtime)
            state = (await job.get()).state
            met.add(state)
            slots = await runtime._parts.store.slots()
            assert bool(slots) is STATES[state].holds_slot
            following = await runtime.submit(Held("next"))
            await job.cancel()
            await job.wait()
            if state is JobState.QUEUED:
                await runtime.resume("held")
            await trio.testing.wait_all_tasks_blocked()
            assert (await following.get()).state is JobState.RUNNING
            assert await runtime._parts.store.slots() == {"held": 1}
            await following.cancel()
            await following.wait()
    assert met == set(states_where(terminal=False)) - {JobState.DETACHED}


class Break(Exception):
    """The body of the block fails."""


@pytest.mark.parametrize("how", ["left", "cancelled", "raised"])
async def test_leaving_starts_nothing_from_the_queues_while_it_stops_what_runs(
    how: str,
    reopen: Reopen,
    gate: Gate,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    queues = {"held": triphase.Queue(limit=2)}
    with trio.CancelScope() as scope, contextlib.suppress(Break):
        async with triphase.open_runtime(
            [Held, Hard], store=reopen(), queues=queues, clock=clock, drain_timeout=0
        ) as runtime:
            # The slot of one is free at once; the other takes its time.
            for payload in (Hard("shields_itself"), *(Held(str(number)) for number in range(6))):
                await runtime.submit(payload)
            await trio.testing.wait_all_tasks_blocked()
            assert gate.order == ["0"]
            if how == "raised":
                raise Break
            if how == "cancelled":
                scope.cancel()
    store = reopen()
    await store.open()
    jobs = await store.find(triphase.store.Query(newest_first=False))
    await store.close()
    assert {job.state for job in jobs} == {JobState.QUEUED}
    assert [job.run for job in jobs] == [1, 1, 0, 0, 0, 0, 0]
    assert gate.order == ["0"]


async def test_a_job_that_is_tried_again_and_again_is_cancelled_at_whatever_moment(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    met: set[JobState] = set()
    for count in range(90):
        async with triphase.open_runtime([Eager], store=reopen(), clock=clock) as runtime:
            begin = trio.current_time()
            job = await runtime.submit(Eager())
            await ticks(count)
            met.add((await job.cancel()).state)
            assert isinstance(await job.wait(), triphase.Cancelled)
            await trio.testing.wait_all_tasks_blocked()
            statistics = runtime.statistics()
            assert (statistics.active, statistics.handlers.running) == (0, 0)
            # Nobody had to wait for a look of the scheduler or the reconciler.
            assert trio.current_time() == begin
            await log_of(runtime, job.id)
    assert met == {JobState.CANCELLED, JobState.STOPPING}


@triphase.job()
class Eager:
    @triphase.phase(retry=triphase.Retry(attempts=1000, backoff=0))
    async def only(self, ctx: triphase.Context) -> None:
        await trio.lowlevel.checkpoint()
        raise ConnectionError("again")
