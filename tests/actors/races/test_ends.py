"""Every way in which a job can end is told of, and what is told is what the store holds.

Rows 1 to 6 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import pytest
import trio
import trio.testing
from tests.actors.sample_jobs import Reopen

import triphase
from triphase_protocol import STATES, TERMINAL_EVENTS, TRANSITIONS, EventType, JobState, fold

from .jobs import Three
from .moments import Refusal, log_of, types

E = EventType


async def succeeds(ctx: triphase.Context) -> object:
    return 7


async def raises(ctx: triphase.Context) -> object:
    raise ValueError("no")


async def cancels(ctx: triphase.Context) -> object:
    return triphase.Cancel("superseded")


async def goes_on(ctx: triphase.Context) -> object:
    await trio.sleep_forever()
    return None


async def shields_itself(ctx: triphase.Context) -> object:
    with trio.CancelScope(shield=True):
        await trio.sleep(50)
    return None


HOW: dict[str, Callable[[triphase.Context], Awaitable[object]]] = {
    each.__name__: each for each in (succeeds, raises, cancels, goes_on, shields_itself)
}


@triphase.job(on_restart="hold", queue="work")
class Plain:
    how: str

    @triphase.phase(stop_grace=20)
    async def only(self, ctx: triphase.Context) -> object:
        return await HOW[self.how](ctx)


@triphase.job(queue="work", timeout=10, on_restart="hold")
class Hasty:
    """Its time passes while it waits to be tried again, while it waits at a gate, or in a run."""

    how: str

    @triphase.phase(retry=triphase.Retry(attempts=9, backoff=60, jitter=False), stop_grace=20)
    async def first(self, ctx: triphase.Context) -> object:
        return await HOW[self.how](ctx)

    @triphase.phase(approval=True)
    async def second(self, ctx: triphase.Context) -> None: ...


@triphase.job(queue="work", run_timeout=10, on_restart="hold")
class Overdue:
    @triphase.phase(stop_grace=20)
    async def only(self, ctx: triphase.Context) -> object:
        return await shields_itself(ctx)


Ending: TypeAlias = Callable[[triphase.Runtime], Awaitable[triphase.JobHandle]]


@attrs.frozen
class Way:
    """A way in which a job ends: makes one that does, or will when the runtime is left."""

    before: JobState | None
    event: EventType
    make: Ending


def ways() -> list[Way]:
    """Return a way for each transition to an end; some have several."""
    return [
        Way(JobState.SCHEDULED, E.JOB_FAILED, lambda r: r.submit(Hasty("raises"))),
        Way(JobState.SCHEDULED, E.JOB_CANCELLED, cancelled_before_it_is_due),
        Way(JobState.GATED, E.JOB_REJECTED, rejected),
        Way(
            JobState.GATED,
            E.JOB_REJECTED,
            lambda r: r.submit(Plain("succeeds"), approval=triphase.Approval(timeout=5)),
        ),
        Way(JobState.GATED, E.JOB_FAILED, lambda r: r.submit(Hasty("succeeds"))),
        Way(JobState.GATED, E.JOB_CANCELLED, cancelled_at_its_gate),
        Way(
            JobState.QUEUED,
            E.JOB_FAILED,
            lambda r: r.submit(Plain("succeeds"), queue="paused", queue_timeout=5),
        ),
        Way(JobState.QUEUED, E.JOB_CANCELLED, cancelled_in_its_queue),
        Way(JobState.RUNNING, E.JOB_COMPLETED, lambda r: r.submit(Plain("succeeds"))),
        Way(JobState.RUNNING, E.JOB_FAILED, lambda r: r.submit(Plain("raises"))),
        Way(JobState.RUNNING, E.JOB_CANCELLED, lambda r: r.submit(Plain("cancels"))),
        Way(JobState.RUNNING, E.JOB_INTERRUPTED, left_while_it_runs),
        Way(JobState.STOPPING, E.JOB_CANCELLED, cancelled_in_its_run),
        Way(JobState.STOPPING, E.JOB_FAILED, lambda r: r.submit(Hasty("goes_on"))),
        Way(JobState.STOPPING, E.JOB_INTERRUPTED, left_while_its_run_is_stopped),
    ]


async def cancelled_before_it_is_due(runtime: triphase.Runtime) -> triphase.JobHandle:
    return await cancelled(await runtime.submit(Plain("succeeds"), delay=100))


async def cancelled_at_its_gate(runtime: triphase.Runtime) -> triphase.JobHandle:
    return await cancelled(await runtime.submit(Plain("succeeds"), approval=True))


async def cancelled_in_its_queue(runtime: triphase.Runtime) -> triphase.JobHandle:
    return await cancelled(await runtime.submit(Plain("succeeds"), queue="paused"))


async def cancelled_in_its_run(runtime: triphase.Runtime) -> triphase.JobHandle:
    job = await runtime.submit(Plain("goes_on"))
    await trio.testing.wait_all_tasks_blocked()
    return await cancelled(job)


async def cancelled(job: triphase.JobHandle) -> triphase.JobHandle:
    await job.cancel(reason="enough")
    return job


async def rejected(runtime: triphase.Runtime) -> triphase.JobHandle:
    job = await runtime.submit(Plain("succeeds"), approval=True)
    await job.reject(reason="no")
    return job


async def left_while_it_runs(runtime: triphase.Runtime) -> triphase.JobHandle:
    job = await runtime.submit(Plain("goes_on"))
    await trio.testing.wait_all_tasks_blocked()
    return job


async def left_while_its_run_is_stopped(runtime: triphase.Runtime) -> triphase.JobHandle:
    job = await runtime.submit(Overdue())
    await trio.sleep(12)
    return job


class Witness:
    """Hears of a job in every way there is, and reads the record whenever it hears."""

    def __init__(self) -> None:
        self.id = ""
        self.told: list[EventType] = []
        self.outcomes: list[triphase.Outcome] = []
        self.ended = 0

    async def follow(self, runtime: triphase.Runtime) -> None:
        """Read the record at each event: it has all of what the event says."""
        async for event in runtime.events():
            record = await runtime.get(event.job)
            assert record.version >= event.version
            if event.type in TERMINAL_EVENTS:
                self.told.append(event.type)
                check_end(record, event)

    async def wait(self, job: triphase.JobHandle) -> None:
        self.outcomes.append(await job.wait())

    async def read(self, job: triphase.JobHandle) -> None:
        assert [event.type async for event in job.events()][-1] in TERMINAL_EVENTS
        self.ended += 1


def check_end(record: triphase.Job, event: triphase.Event) -> None:
    """Check that a record is all that it must be once this event has been told."""
    assert (record.state, record.version) == (JobState(event.type.value[4:]), event.version)
    assert (record.finished_at, record.owner) == (event.at, None)
    assert not {p.state.value for p in record.phases} & {"pending", "running"}
    match record.state:
        case JobState.COMPLETED:
            assert record.result is not None
        case JobState.FAILED:
            assert record.error is not None
            assert event.data["error"]["message"] == record.error.message
        case _:
            assert record.reason == event.data["reason"]


async def test_whichever_way_a_job_ends_all_who_want_to_know_hear_of_it_once(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    queues = {"paused": triphase.Queue(paused=True)}
    taken: set[tuple[JobState | None, EventType]] = set()
    for way in ways():
        witness = Witness()
        async with (
            trio.open_nursery() as nursery,
            triphase.open_runtime(
                [Plain, Hasty, Overdue], store=reopen(), queues=queues, clock=clock, drain_timeout=1
            ) as runtime,
        ):
            nursery.start_soon(witness.follow, runtime)
            job = await way.make(runtime)
            nursery.start_soon(witness.wait, job)
            nursery.start_soon(witness.read, job)
            if way.event is not E.JOB_INTERRUPTED:
                await job.wait()
                await trio.testing.wait_all_tasks_blocked()
        async with triphase.open_runtime([Plain], store=reopen(), queues=queues) as runtime:
            log = await log_of(runtime, job.id)
            outcome = await runtime.wait(job.id)
        edge = fold(log[:-1]).state, log[-1].type
        taken.add(edge)
        assert edge == (way.before, way.event)
        assert witness.told[-1:] == [way.event]
        assert (witness.outcomes, witness.ended) == ([outcome], 1)
    assert taken == {
        (state, event)
        for state, row in TRANSITIONS.items()
        if state is None or not STATES[state].terminal
        for event, target in row.items()
        if STATES[target].terminal
    }


async def test_a_commit_that_is_refused_is_told_to_nobody_whichever_it_is(reopen: Reopen) -> None:
    async def follow(runtime: triphase.Runtime) -> None:
        async for event in runtime.events():
            heard.append(event)
            assert (await runtime.get(event.job)).version >= event.version

    which, refused = 0, True
    while refused:
        heard, store = list[triphase.Event](), reopen()
        async with (
            trio.open_nursery() as nursery,
            triphase.open_runtime([Three], store=store) as runtime,
        ):
            await trio.testing.wait_all_tasks_blocked()
            begin = runtime._parts.feed.last_seq
            refusal = Refusal(store, "write", which)
            nursery.start_soon(follow, runtime)
            try:
                job = await runtime.submit(Three())
            except triphase.StoreUnavailable:
                assert runtime._parts.feed.last_seq == begin
                which += 1
                continue
            assert isinstance(await job.wait(), triphase.Completed)
            log = await log_of(runtime, job.id)
        # What was heard is what is in the log: no more, no less, in the same order.
        assert [event for event in heard if event.job == job.id] == log
        assert types(log).count("job.completed") == 1
        which, refused = which + 1, refusal.happened
    assert which > 5


WORDS: dict[str, Callable[[], object]] = {
    "a result": lambda: "done all the same",
    "a snooze": lambda: triphase.Snooze(5),
    "a cancel": lambda: triphase.Cancel("by itself"),
    "a failure": lambda: triphase.Fail("by itself"),
}


@triphase.job()
class LastWords:
    """Has something to say when it is stopped, and would be tried again."""

    says: str

    @triphase.phase(
        timeout=10, stop_grace=5, retry=triphase.Retry(attempts=9, timeouts=1, backoff=0)
    )
    async def only(self, ctx: triphase.Context) -> object:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            if self.says == "an error":
                raise ConnectionError("by itself") from None
            return WORDS[self.says]()


@pytest.mark.parametrize("says", [*WORDS, "an error"])
@pytest.mark.parametrize("cause", ["cancel", "timeout"])
async def test_what_a_handler_says_while_it_is_stopped_changes_nothing_of_what_it_is_stopped_for(
    cause: str,
    says: str,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with triphase.open_runtime([LastWords], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(LastWords(says))
        await trio.testing.wait_all_tasks_blocked()
        if cause == "cancel":
            await job.cancel(reason="enough")
        outcome = await job.wait()
        if cause == "cancel":
            assert outcome == triphase.Cancelled(job=job.id, run=1, reason="enough")
        else:
            assert isinstance(outcome, triphase.Failed)
            assert outcome.error.type == "Timeout"
        before = await job.get()
        await trio.sleep(1000)
        assert await job.get() == before
        await log_of(runtime, job.id)


async def test_the_stop_of_one_run_is_not_told_of_the_next(reopen: Reopen) -> None:
    async with triphase.open_runtime([Plain], store=reopen()) as runtime:
        job = await runtime.submit(Plain("succeeds"), delay=10)
        await job.cancel(reason="not needed", by="alice")
        assert (await job.get()).stop is not None
        await job.retry()
        assert await job.wait() == triphase.Completed(job=job.id, run=1, result=7)
        record = await job.get()
    assert (record.stop, record.reason, record.error) == (None, None, None)
