"""Cancel, timeout and retry: a job is `cancelled` when what ran of it has stopped."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

import triphase
from triphase.store import Disk, SimulatedStore
from triphase_protocol import STATES, TERMINAL_EVENTS, fold

from .sample_jobs import Flaky, Gate, Held, Reopen


async def types_of(job: triphase.JobHandle) -> list[str]:
    return [event.type.value async for event in job.events()]


@triphase.job()
class Stubborn:
    """Three phases; what the second does when it is asked to stop is its payload."""

    how: str

    @triphase.phase()
    async def before(self, ctx: triphase.Context) -> str:
        return "kept"

    @triphase.phase(stop_grace=5, timeout=100)
    async def middle(self, ctx: triphase.Context) -> str:
        return await HOW[self.how]()

    @triphase.phase()
    async def after(self, ctx: triphase.Context) -> str:
        return ctx.result_of(Stubborn.middle)


async def cooperative() -> str:
    await trio.sleep_forever()
    raise AssertionError


async def tidies_up() -> str:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
    raise AssertionError


async def shields_itself() -> str:
    with trio.CancelScope(shield=True):
        await trio.sleep(1000)
    return "much too late"


async def swallows() -> str:
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        return "done all the same"
    raise AssertionError


async def raises() -> str:
    try:
        await trio.sleep_forever()
    finally:
        raise OSError("while stopping")


async def nursery_raises() -> str:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises)
        await trio.sleep_forever()
    raise AssertionError


HOW: dict[str, Callable[[], Awaitable[str]]] = {
    each.__name__: each
    for each in (cooperative, tidies_up, shields_itself, swallows, raises, nursery_raises)
}


@pytest.mark.parametrize(
    ("how", "seconds", "abandoned"),
    [
        ("cooperative", 0, False),
        ("tidies_up", 3, False),
        ("shields_itself", 5, True),
        ("swallows", 0, False),
        ("raises", 0, False),
        ("nursery_raises", 0, False),
    ],
)
async def test_cancelled_is_committed_when_the_handler_has_stopped_or_was_abandoned(
    how: str,
    seconds: float,
    abandoned: bool,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with triphase.open_runtime([Stubborn], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Stubborn(how))
        await trio.testing.wait_all_tasks_blocked()
        record = await job.cancel(reason="not needed", by="alice")
        assert record.state is triphase.JobState.STOPPING
        assert STATES[record.state].holds_slot
        assert (await job.cancel(reason="again")).stop == record.stop
        outcome = await job.wait()
        assert outcome == triphase.Cancelled(job=job.id, run=1, reason="not needed")
        ended = await job.get()
        assert runtime.statistics().handlers.abandoned == (1 if abandoned else 0)
        events = [event async for event in job.events()]
    assert ended.stop is not None
    assert (ended.stop.by, ended.stop.abandoned) == ("alice", abandoned)
    assert ended.stop.stopped_at == pytest.approx(ended.stop.asked_at + seconds)
    assert [phase.state.value for phase in ended.phases] == ["completed", "cancelled", "cancelled"]
    assert [event.type.value for event in events][-4:] == [
        "job.stopping",
        "phase.cancelled",
        "phase.cancelled",
        "job.cancelled",
    ]
    assert events[-1].data["how"] == ("abandoned" if abandoned else "stopped")
    assert fold(events).state is triphase.JobState.CANCELLED


async def test_a_stopping_job_keeps_its_slot_until_it_has_stopped(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Stubborn], store=reopen(), clock=clock, limit=1) as runtime:
        first = await runtime.submit(Stubborn("tidies_up"))
        second = await runtime.submit(Stubborn("cooperative"))
        await trio.testing.wait_all_tasks_blocked()
        await first.cancel()
        await trio.sleep(2)
        assert (await second.get()).state is triphase.JobState.QUEUED
        await first.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert (await second.get()).state is triphase.JobState.RUNNING
        await second.cancel()


async def test_what_does_not_run_is_cancelled_at_once(reopen: Reopen, gate: Gate) -> None:
    queues = {"held": triphase.Queue(1)}
    async with triphase.open_runtime([Held, Flaky], store=reopen(), queues=queues) as runtime:
        await runtime.submit(Held("blocker"))
        queued = await runtime.submit(Held("queued"))
        scheduled = await runtime.submit(Held("scheduled"), delay=1000)
        backing_off = await runtime.submit(Flaky(9))
        await trio.testing.wait_all_tasks_blocked()
        for job in (queued, scheduled, backing_off):
            record = await runtime.cancel(job, reason="changed my mind")
            assert record.state is triphase.JobState.CANCELLED
            assert isinstance(await job.wait(), triphase.Cancelled)
            assert (await types_of(job)).count("job.cancelled") == 1
            done = {phase.state.value for phase in record.phases}
            assert done <= {"completed", "failed", "cancelled"}
        gate.opened.set()
    assert gate.order == ["blocker"]


async def test_a_job_that_has_ended_cannot_be_cancelled_and_says_how_it_ended(
    reopen: Reopen, gate: Gate
) -> None:
    gate.opened.set()
    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        job = await runtime.submit(Held("a"))
        await job.wait()
        with pytest.raises(triphase.IllegalTransition, match="it is completed"):
            await job.cancel()
        with pytest.raises(triphase.JobNotFound, match="'nobody'"):
            await runtime.cancel("nobody")
        wrong: object = 5
        with pytest.raises(triphase.InvalidValue, match="reason=5"):
            await job.cancel(reason=wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_many_cancels_at_once_make_one_end(reopen: Reopen, gate: Gate) -> None:
    async def cancel(job: triphase.JobHandle, delay: int) -> None:
        for _ in range(delay):
            await trio.lowlevel.checkpoint()
        # One that comes after the end is told so; any other changes nothing.
        with contextlib.suppress(triphase.IllegalTransition):
            await job.cancel(by=str(delay))

    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        for ticks in range(0, 12, 3):
            job = await runtime.submit(Held("a"))
            async with trio.open_nursery() as nursery:
                for delay in range(4):
                    nursery.start_soon(cancel, job, ticks + delay)
            assert isinstance(await job.wait(), triphase.Cancelled)
            types = await types_of(job)
            assert types.count("job.cancelled") == 1
            assert types.count("job.stopping") <= 1
    assert gate.inside == 0


async def test_a_cancel_that_meets_another_is_told_that_the_job_is_being_cancelled(
    reopen: Reopen, gate: Gate
) -> None:
    told: list[triphase.Job] = []

    async def cancel(job: triphase.JobHandle, by: str) -> None:
        told.append(await job.cancel(by=by))

    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        job = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        # Each of them reads a job that runs; only then the first of them is carried out.
        async with trio.open_nursery() as nursery:
            for by in "abc":
                nursery.start_soon(cancel, job, by)
        assert [each.state.value for each in told] == ["stopping"] * 3
        assert len({each.version for each in told}) == 1
        assert isinstance(await job.wait(), triphase.Cancelled)
        # To one that has ended the same cancel is refused, and says how it did.
        with pytest.raises(triphase.IllegalTransition, match="it is cancelled"):
            await job.cancel()


async def test_a_cancel_at_the_phase_boundary_makes_one_end_and_runs_nothing_after(
    reopen: Reopen,
) -> None:
    for ticks in range(40):
        async with triphase.open_runtime([Flaky], store=reopen()) as runtime:
            job = await runtime.submit(Flaky(0))
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            try:
                await job.cancel()
            except triphase.IllegalTransition:
                assert isinstance(await job.wait(), triphase.Completed)
                continue
            outcome = await job.wait()
            assert isinstance(outcome, triphase.Cancelled)
            types = await types_of(job)
            assert types[-1] == "job.cancelled"
            ends = [each for each in types if each in ("job.cancelled", "job.completed")]
            assert len(ends) == 1


async def test_a_timeout_asks_waits_for_the_grace_and_abandons(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Stubborn], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Stubborn("shields_itself"))
        outcome = await job.wait()
        record = await job.get()
        types = await types_of(job)
    assert isinstance(outcome, triphase.Failed)
    assert outcome.error.message == "middle: no end after 100 s"
    assert record.stop is not None
    assert record.stop.abandoned
    assert record.finished_at == pytest.approx(record.submitted_at + 105)
    assert types[-4:] == ["job.stopping", "phase.failed", "phase.cancelled", "job.failed"]


async def test_a_cancel_wins_over_a_timeout_that_is_stopping_the_job(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Stubborn], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Stubborn("shields_itself"))
        await trio.sleep(102)
        assert (await job.get()).state is triphase.JobState.STOPPING
        await job.cancel(reason="enough")
        outcome = await job.wait()
        assert outcome == triphase.Cancelled(job=job.id, run=1, reason="enough")
        assert (await types_of(job)).count("job.stopping") == 2


async def test_a_late_result_of_an_abandoned_handler_changes_nothing(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Stubborn], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Stubborn("shields_itself"))
        await trio.testing.wait_all_tasks_blocked()
        await job.cancel()
        await job.wait()
        before = await job.get()
        await trio.sleep(2000)
        assert await job.get() == before
        statistics = runtime.statistics().handlers
        assert (statistics.running, statistics.abandoned, statistics.abandoned_ever) == (0, 0, 1)


async def test_a_thread_is_asked_by_its_flag_and_abandoned_if_it_does_not_look() -> None:
    started, release = threading.Event(), threading.Event()

    @triphase.job()
    class Threads:
        looks: bool

        @triphase.phase(stop_grace=0.2)
        def work(self, ctx: triphase.Context) -> str:
            started.set()
            while not (self.looks and ctx.stop_requested):
                if release.wait(0.001):
                    break
            return "dropped"

    async with triphase.open_runtime([Threads], store="memory:") as runtime:
        for looks in (True, False):
            started.clear()
            job = await runtime.submit(Threads(looks))
            await trio.to_thread.run_sync(started.wait)
            await job.cancel()
            assert isinstance(await job.wait(), triphase.Cancelled)
            stop = (await job.get()).stop
            assert stop is not None
            assert stop.abandoned is not looks
        assert runtime.statistics().handlers.abandoned == 1
        release.set()


async def test_a_cancel_that_was_under_way_is_not_forgotten_by_a_crash(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    disk = Disk()
    store = SimulatedStore(disk)
    with trio.CancelScope() as scope:
        async with triphase.open_runtime([Stubborn], store=store, clock=clock) as runtime:
            job = await runtime.submit(Stubborn("shields_itself"))
            await trio.testing.wait_all_tasks_blocked()
            await job.cancel(reason="before the crash")
            store.fence()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    async with triphase.open_runtime([Stubborn], store=SimulatedStore(disk)) as runtime:
        [record] = (await runtime.find()).jobs
        assert record.state is triphase.JobState.CANCELLED
        assert record.reason == "before the crash"


async def test_leaving_is_bounded_although_a_handler_will_not_stop(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    begin = trio.current_time()
    async with triphase.open_runtime(
        [Stubborn], store=reopen(), clock=clock, drain_timeout=7
    ) as runtime:
        await runtime.submit(Stubborn("shields_itself"))
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() - begin == pytest.approx(12)
    async with triphase.open_runtime([Stubborn], store=reopen(), clock=clock) as runtime:
        [record] = (await runtime.find()).jobs
        assert record.phases[1].spent == {"shutdown": 1}
        await runtime.cancel(record.id)


async def test_a_retry_keeps_the_results_before_the_phase_it_starts_from(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Flaky], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Flaky(4))
        assert isinstance(await job.wait(), triphase.Failed)
        before = await job.get()
        record = await job.retry(by="bob")
        assert (record.state, record.error) == (triphase.JobState.QUEUED, None)
        assert record.phases[0] == before.phases[0]
        assert (record.phases[1].attempt, dict(record.phases[1].spent)) == (0, {})
        assert isinstance(await job.wait(), triphase.Failed)
        again = await job.get()
        assert again.run == before.run + 4
        assert again.phases[0] == before.phases[0]
        events = [event async for event in job.events()]
    [retried] = [event for event in events if event.type is triphase.EventType.JOB_RETRIED]
    assert retried.data == {"from": "shaky", "phases": ["shaky"], "by": "bob"}
    assert [e.type.value for e in events].count("job.failed") == 2
    assert fold(events).state is triphase.JobState.FAILED


async def test_each_run_has_one_end_although_a_retry_is_cancelled_before_it_starts(
    reopen: Reopen, gate: Gate
) -> None:
    async with triphase.open_runtime(
        [Held], store=reopen(), queues={"held": triphase.Queue(1)}
    ) as runtime:
        job = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        await job.cancel()
        await job.wait()
        await runtime.submit(Held("blocker"))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            assert (await job.retry()).state is triphase.JobState.QUEUED
            await job.cancel()
        await job.retry()
        gate.opened.set()
        assert await job.wait() == triphase.Completed(job=job.id, run=4, result="a")
        ends = [event.run async for event in job.events() if event.type in TERMINAL_EVENTS]
    assert ends == [1, 2, 3, 4]


async def test_a_completed_job_is_retried_from_a_phase_that_is_named(
    reopen: Reopen, gate: Gate
) -> None:
    gate.opened.set()
    async with triphase.open_runtime([Held, Flaky], store=reopen()) as runtime:
        job = await runtime.submit(Flaky(0))
        await job.wait()
        with pytest.raises(triphase.IllegalTransition, match="completed every phase"):
            await job.retry()
        with pytest.raises(triphase.UnknownPhase, match="no phase 'x'; it has: sure, shaky"):
            await job.retry(from_phase="x")
        await job.retry(from_phase="shaky")
        assert await job.wait() == triphase.Completed(job=job.id, run=2, result=1)
        await job.retry(from_phase="sure")
        assert await job.wait() == triphase.Completed(job=job.id, run=3, result=1)
        assert (await job.get()).phases[0].attempt == 1


async def test_a_retry_across_a_changed_phase_is_refused_and_nothing_changes(
    reopen: Reopen,
) -> None:
    def kind(version: int) -> type[Any]:
        @triphase.job(name="Versioned")
        class Versioned:
            @triphase.phase(version=version)
            async def only(self, ctx: triphase.Context) -> int:
                return version

        return Versioned

    async with triphase.open_runtime([kind(1)], store=reopen()) as runtime:
        job = await runtime.submit(kind_instance(runtime))
        await job.wait()
        before = await job.get()
    async with triphase.open_runtime([kind(2)], store=reopen()) as runtime:
        with pytest.raises(
            triphase.DefinitionChanged,
            match=r"with the phases only; Versioned now has only \(version 2\)",
        ):
            await runtime.retry(job.id, from_phase="only")
        assert await runtime.get(job.id) == before
    with pytest.raises(triphase.DefinitionError, match="version=0"):
        kind(0)


def kind_instance(runtime: triphase.Runtime) -> object:
    return next(iter(runtime._parts.registry)).cls()


async def test_a_job_that_has_not_ended_cannot_be_retried(reopen: Reopen, gate: Gate) -> None:
    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        job = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(triphase.IllegalTransition, match="it is running"):
            await job.retry()
        gate.opened.set()
        assert isinstance(await job.wait(), triphase.Completed)
