"""Deadlines: each passes exactly when it should, in a run, in a wait and after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

import triphase
from triphase.store import Disk, Operation, Result, SimulatedStore
from triphase.store.operations import step_of

from .sample_jobs import Gate, Held, Reopen


@triphase.job(run_timeout=20)
class Steps:
    """Reports progress in steps of so many seconds, so many times."""

    every: float
    times: int

    @triphase.phase(
        progress_timeout=5, retry=triphase.Retry(attempts=1, timeouts=2, backoff=0), stop_grace=1
    )
    async def walk(self, ctx: triphase.Context) -> int:
        for step in range(self.times):
            await trio.sleep(self.every)
            await ctx.progress(step)
        return ctx.attempt


async def ended(
    runtime: triphase.Runtime, job: triphase.JobHandle
) -> tuple[triphase.Outcome, float, list[triphase.Event]]:
    """Wait for a job; return its outcome, how long that took, and its events."""
    begin = trio.current_time()
    outcome = await job.wait()
    took = trio.current_time() - begin
    return outcome, took, [event async for event in job.events()]


async def test_a_phase_that_reports_progress_may_take_its_time(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Steps], store=reopen(), clock=clock) as runtime:
        outcome, took, _ = await ended(runtime, await runtime.submit(Steps(4, 4)))
    assert isinstance(outcome, triphase.Completed)
    assert took == pytest.approx(16)


@triphase.job()
class Brief:
    """Is there in time, though what it reports takes long to write."""

    seconds: float

    @triphase.phase(timeout=2, stop_grace=1)
    async def hurry(self, ctx: triphase.Context) -> str:
        await ctx.progress(1)
        await trio.sleep(self.seconds)
        return "here"


class SlowDisk(SimulatedStore):
    """Takes five seconds to write a report of progress."""

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """See `Store.write`."""
        steps = [step for each in operations if (step := step_of(each)) is not None]
        if any(event.type == "phase.progress" for step in steps for event in step.events):
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
        return await super().write(operations)


@pytest.mark.parametrize(("seconds", "end"), [(1.9, "completed"), (3.0, "failed")])
async def test_a_handler_that_ends_in_time_is_not_late_because_the_disk_is_slow(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock, seconds: float, end: str
) -> None:
    async with triphase.open_runtime(
        [Brief], store=SlowDisk(Disk()), clock=clock, progress_interval=0.1
    ) as runtime:
        job = await runtime.submit(Brief(seconds))
        await job.wait()
        assert (await job.get()).state == end


async def test_a_phase_without_progress_is_stopped_and_tried_within_the_budget_of_timeouts(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Steps], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Steps(6, 1))
        outcome, took, events = await ended(runtime, job)
        record = await job.get()
    assert isinstance(outcome, triphase.Failed)
    assert outcome.error.message == "walk: no progress for 5 s"
    assert took == pytest.approx(10)
    assert record.phases[0].spent == {"timeout": 2}
    stopping = [event for event in events if event.type is triphase.EventType.JOB_STOPPING]
    assert [event.data["deadline"] for event in stopping] == ["progress", "progress"]


async def test_a_run_has_its_own_time_and_the_next_run_has_it_again(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Steps], store=reopen(), clock=clock) as runtime:
        outcome, took, events = await ended(runtime, await runtime.submit(Steps(4, 9)))
    assert isinstance(outcome, triphase.Failed)
    assert outcome.error.message == "walk: the run's timeout of 20 s passed"
    assert took == pytest.approx(40)
    assert [event.data["deadline"] for event in events if "deadline" in event.data] == ["run"] * 2


@triphase.job()
class Asked:
    """Stops by itself after so many seconds, if it is asked to."""

    after: float

    @triphase.phase(timeout=10, ask_grace=5, stop_grace=3)
    async def work(self, ctx: triphase.Context) -> str:
        while not ctx.stop_requested:  # noqa: ASYNC110 - as a handler would
            await trio.sleep(0.5)
        try:
            await trio.sleep(self.after)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.after / 4)
        return "stopped by itself"


@pytest.mark.parametrize(
    ("after", "steps", "how", "seconds"),
    [
        (2.0, ["ask"], "stopped", 3.0),
        (8.0, ["ask", "cancel"], "stopped", 7.0),
        (40.0, ["ask", "cancel"], "abandoned", 8.0),
    ],
)
async def test_a_stop_goes_from_asking_to_cancelling_to_giving_up(
    after: float,
    steps: list[str],
    how: str,
    seconds: float,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with triphase.open_runtime([Asked], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Asked(after))
        outcome, took, events = await ended(runtime, job)
    assert isinstance(outcome, triphase.Failed)
    assert took == pytest.approx(10 + seconds)
    stopping = [event for event in events if event.type is triphase.EventType.JOB_STOPPING]
    assert [event.data["step"] for event in stopping] == steps
    assert [event.data["how"] for event in events if "how" in event.data] == [how]


async def test_a_job_that_waits_too_long_for_a_slot_fails_exactly_then(
    gate: Gate,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    queues = {"held": triphase.Queue(limit=1)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues, clock=clock) as runtime:
        first = await runtime.submit(Held("first"), queue_timeout=7)
        second = await runtime.submit(Held("second"), queue_timeout=7)
        third = await runtime.submit(Held("third"))
        outcome, took, _ = await ended(runtime, second)
        assert isinstance(outcome, triphase.Failed)
        assert outcome.error.message == "not started in 7 s after it was queued"
        assert took == pytest.approx(7)
        gate.opened.set()
        for job in (first, third):
            assert isinstance(await job.wait(), triphase.Completed)
    assert gate.order == ["first", "third"]


async def test_a_deadline_that_is_earlier_than_the_one_waited_for_rings_first(
    gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    queues = {"held": triphase.Queue(paused=True)}
    begin = trio.current_time()
    async with triphase.open_runtime(
        [Held], store="memory:", queues=queues, clock=clock
    ) as runtime:
        for seconds in (9.0, 3.0, 6.0):
            await runtime.submit(Held(str(seconds)), queue_timeout=seconds)
        found: list[tuple[str, float]] = []
        async for event in runtime.events(after=0, types="job.failed"):
            record = await runtime.get(event.job)
            found.append((record.payload["name"], event.at - clock.now() + trio.current_time()))
            if len(found) == 3:
                break
    assert [name for name, _ in found] == ["3.0", "6.0", "9.0"]
    assert [at - begin for _, at in found] == pytest.approx([3, 6, 9])


@triphase.job(timeout=100)
class Endless:
    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> None:
        await trio.sleep_forever()


@triphase.job(timeout=100)
class Whole:
    @triphase.phase(retry=triphase.Retry(attempts=99, backoff=30, factor=1, jitter=False))
    async def only(self, ctx: triphase.Context) -> None:
        await trio.sleep(1)
        raise ConnectionError("again")


async def test_a_whole_job_has_its_time_across_restarts(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    disk = Disk()
    began = trio.current_time()
    async with triphase.open_runtime([Whole], store=SimulatedStore(disk), clock=clock) as runtime:
        job = await runtime.submit(Whole())
        await trio.sleep(40)
    await trio.sleep(20)
    async with triphase.open_runtime([Whole], store=SimulatedStore(disk), clock=clock) as runtime:
        outcome = await runtime.wait(job)
        assert trio.current_time() - began == pytest.approx(100)
        assert isinstance(outcome, triphase.Failed)
        assert outcome.error.message == "the job has not ended in 100 s after its start"


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
async def test_a_step_of_the_wall_clock_neither_ends_nor_prolongs_what_runs(
    step: float,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with triphase.open_runtime([Steps], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Steps(4, 9))
        await trio.sleep(2)
        clock.step(step)
        outcome, took, events = await ended(runtime, job)
    assert isinstance(outcome, triphase.Failed)
    assert took == pytest.approx(38)
    assert [event.seq for event in events] == sorted(event.seq for event in events)


async def test_a_wall_clock_that_is_set_back_as_a_run_begins_gives_no_more_than_the_whole_time(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    disk = Disk()

    def set_back(point: str) -> None:
        types = {event.type for event in disk.events_after(0)}
        if point == "after" and triphase.EventType.JOB_STARTED in types and clock.now() > begun:
            clock.step(-3600)

    begun = clock.now() - 60
    store = SimulatedStore(disk, at=set_back)
    async with triphase.open_runtime([Endless], store=store, clock=clock) as runtime:
        outcome, took, _ = await ended(runtime, await runtime.submit(Endless()))
    assert isinstance(outcome, triphase.Failed)
    assert took == pytest.approx(100)


async def test_a_wall_clock_that_is_set_back_as_a_stop_is_written_prolongs_no_grace(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    disk = Disk()

    def set_back(point: str) -> None:
        stopping = triphase.EventType.JOB_STOPPING
        if point == "after" and disk.events_after(0)[-1].type is stopping:
            clock.step(-3600)

    store = SimulatedStore(disk, at=set_back)
    async with triphase.open_runtime([Asked], store=store, clock=clock) as runtime:
        outcome, took, _ = await ended(runtime, await runtime.submit(Asked(40)))
    assert isinstance(outcome, triphase.Failed)
    assert took == pytest.approx(10 + 8)


async def test_a_cancel_after_the_wall_clock_was_set_back_prolongs_no_grace(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Asked], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Asked(8))
        await trio.sleep(12)
        clock.step(-3600)
        await job.cancel()
        outcome, took, _ = await ended(runtime, job)
    assert isinstance(outcome, triphase.Cancelled)
    # Asked after 10 s, cancelled after 15, and two more to clean up.
    assert took == pytest.approx(17 - 12)


async def test_a_step_of_the_wall_clock_moves_what_waits_by_no_more_than_the_step(
    gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    queues = {"held": triphase.Queue(paused=True)}
    async with triphase.open_runtime(
        [Held], store="memory:", queues=queues, clock=clock
    ) as runtime:
        late = await runtime.submit(Held("late"), queue_timeout=50)
        early = await runtime.submit(Held("early"), queue_timeout=1000)
        await trio.sleep(20)
        clock.step(-30)
        assert (await ended(runtime, late))[1] == pytest.approx(60)
        clock.step(5000)
        # Noticed by the next sweep at the latest.
        assert (await ended(runtime, early))[1] <= 10


@pytest.mark.parametrize(
    ("options", "phase", "words"),
    [
        ({"run_timeout": 20, "timeout": 10}, {}, "run_timeout=20 is above timeout=10"),
        ({"timeout": 10}, {"timeout": 11}, "timeout=11, which is above the job's timeout=10"),
        ({"run_timeout": 5}, {"timeout": 6}, "above the job's run_timeout=5"),
        ({}, {"timeout": 5, "progress_timeout": 5}, "progress_timeout=5 is not below timeout=5"),
        ({}, {"retry": triphase.Retry(timeouts=2)}, "no timeout that could pass"),
        ({"queue_timeout": 0}, {}, "queue_timeout=0: must be a finite number"),
        ({}, {"ask_grace": -1}, "ask_grace=-1: must be a finite number of seconds of at least 0"),
        ({}, {"isolation": "thread"}, "isolation='thread': there is only 'process'"),
        ({"approval": 5}, {}, "approval=5: must be True or a triphase.Approval"),
        ({"translate": 5}, {}, "translate=5: must be a function of a job"),
    ],
)
def test_declarations_that_contradict_each_other_are_refused(
    options: dict[str, Any], phase: dict[str, Any], words: str
) -> None:
    with pytest.raises(triphase.DefinitionError, match=words):

        @triphase.job(**options)
        class Contradiction:
            @triphase.phase(**phase)
            async def only(self, ctx: triphase.Context) -> None: ...


def test_a_command_that_survives_needs_a_job_that_resumes() -> None:
    with pytest.raises(triphase.DefinitionError, match="needs on_restart='resume', not 'fail'"):

        @triphase.job(on_restart="fail")
        class Contradiction:
            @triphase.command(survives=True)
            def only(self, ctx: triphase.Context) -> list[str]:
                return ["true"]


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), "5"])
async def test_a_queue_timeout_out_of_range_is_refused(seconds: Any) -> None:
    async with triphase.open_runtime([Held], store="memory:") as runtime:
        with pytest.raises(triphase.InvalidValue, match="queue_timeout="):
            await runtime.submit(Held("x"), queue_timeout=seconds)


def test_a_process_has_no_time_to_stop_by_itself() -> None:
    with pytest.raises(triphase.DefinitionError, match="a process is asked by SIGTERM"):

        @triphase.job()
        class Contradiction:
            @triphase.phase(isolation="process", ask_grace=1)
            def only(self, ctx: triphase.Context) -> None: ...
