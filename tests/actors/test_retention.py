"""Retention: what ended long ago is marked, then deleted, and whoever asks is told it is gone."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import triphase
from triphase.reconciler.retention import TOMBSTONES_KEPT
from triphase.store import Disk, SimulatedStore

from .sample_jobs import Gate, Held, Reopen

DAY = 86_400.0


@triphase.job()
class Quick:
    fails: bool = False

    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> int:
        if self.fails:
            raise ValueError("no")
        return 1


async def test_a_job_is_marked_and_then_deleted_by_how_it_ended(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    retention = {
        "completed": triphase.Retention(stale_after=60, delete_after=120),
        triphase.JobState.FAILED: triphase.Retention(stale_after=60),
    }
    async with triphase.open_runtime(
        [Quick], store=reopen(), clock=clock, retention=retention
    ) as runtime:
        good = await runtime.submit(Quick(), key="good")
        bad = await runtime.submit(Quick(fails=True))
        await runtime.wait_all([good, bad])
        await trio.sleep(59)
        assert (await good.get()).stale_at is None
        await trio.sleep(12)
        for job in (good, bad):
            record = await job.get()
            assert record.stale_at is not None
            assert record.finished_at is not None
            assert 60 <= record.stale_at - record.finished_at <= 70
        await trio.sleep(60)
        with pytest.raises(triphase.JobGone, match=f"job '{good.id}' was deleted"):
            await good.get()
        assert (await bad.get()).state is triphase.JobState.FAILED
        statistics = runtime.statistics().reconciler
        assert (statistics.stale, statistics.deleted, statistics.failed) == (2, 1, 0)
        # Its key is free for another job.
        assert (await runtime.submit(Quick(fails=True), key="good")).id != good.id
        with pytest.raises(triphase.JobGone):
            await anext(good.events())


async def deleted_job(runtime: triphase.Runtime) -> triphase.JobHandle:
    """Return a job that has been deleted."""
    job = await runtime.submit(Quick())
    await job.wait()
    await trio.sleep(20)
    return job


async def test_every_verb_that_meets_a_deleted_job_says_that_it_is_gone(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime(
        [Quick], store=reopen(), clock=clock, retention=triphase.Retention(delete_after=5)
    ) as runtime:
        job = await deleted_job(runtime)
        verbs: list[Any] = [
            job.get,
            job.wait,
            job.cancel,
            job.retry,
            job.approve,
            job.reject,
            job.explain,
        ]
        for verb in verbs:
            with pytest.raises(triphase.JobGone):
                await verb()
        assert await runtime.wait_all([job]) == {job.id: triphase.NotFound(job=job.id)}
        with pytest.raises(triphase.JobNotFound) as caught:
            await runtime.get("nobody")
        assert not isinstance(caught.value, triphase.JobGone)


async def test_a_reader_of_a_jobs_events_ends_when_the_job_is_deleted(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime(
        [Quick], store=reopen(), clock=clock, retention=triphase.Retention(delete_after=5)
    ) as runtime:
        job = await runtime.submit(Quick())
        slow = job.events()
        first = await anext(slow)
        await trio.sleep(30)
        with trio.fail_after(100):
            rest = [event.type.value async for event in slow]
        assert first.type is triphase.EventType.JOB_SUBMITTED
        assert rest[-1] == "job.deleted"


async def test_paging_goes_on_although_the_job_at_the_cursor_was_deleted(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime(
        [Quick], store=reopen(), clock=clock, retention=triphase.Retention(delete_after=5)
    ) as runtime:
        late = await runtime.submit(Quick(), delay=1000)
        await runtime.submit(Quick())
        later = await runtime.submit(Quick(), delay=1000)
        page = await runtime.find(limit=2, newest_first=False)
        assert page.jobs[0].id == late.id
        await trio.sleep(20)
        assert page.next is not None
        rest = await runtime.find(limit=2, newest_first=False, after=page.next)
        assert [job.id for job in rest.jobs] == [later.id]


async def test_what_has_not_ended_is_never_deleted(
    gate: Gate,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    queues = {"held": triphase.Queue(limit=1)}
    async with triphase.open_runtime(
        [Held, Quick],
        store=reopen(),
        clock=clock,
        queues=queues,
        retention=triphase.Retention(delete_after=0),
    ) as runtime:
        jobs = [
            await runtime.submit(Held("running")),
            await runtime.submit(Held("queued")),
            await runtime.submit(Quick(), delay=1000),
            await runtime.submit(Quick(), approval=True),
        ]
        await trio.sleep(100)
        states = [(await job.get()).state.value for job in jobs]
        assert states == ["running", "queued", "scheduled", "gated"]
        gate.opened.set()


async def test_a_retry_before_its_time_saves_a_job(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime(
        [Quick], store="memory:", clock=clock, retention=triphase.Retention(delete_after=50)
    ) as runtime:
        job = await runtime.submit(Quick(fails=True))
        for _ in range(5):
            await job.wait()
            await trio.sleep(45)
            await job.retry()
        assert (await job.get()).run == 6


async def test_more_jobs_than_fit_into_one_transaction_are_deleted_in_one_look(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime(
        [Quick], store="memory:", clock=clock, retention=triphase.Retention(delete_after=15)
    ) as runtime:
        jobs = [await runtime.submit(Quick()) for _ in range(450)]
        await runtime.wait_all(jobs)
        await trio.sleep(26)
        assert runtime.statistics().reconciler.deleted == 450
        assert (await runtime.find()).jobs == ()


async def test_the_store_forgets_after_a_month_that_there_was_a_job(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    disk, retention = Disk(), triphase.Retention(delete_after=5)
    async with triphase.open_runtime(
        [Quick], store=SimulatedStore(disk), clock=clock, retention=retention
    ) as runtime:
        job = await deleted_job(runtime)
    clock.step(TOMBSTONES_KEPT + 60)
    async with triphase.open_runtime(
        [Quick], store=SimulatedStore(disk), clock=clock, retention=retention
    ) as runtime:
        await trio.sleep(20)
        with pytest.raises(triphase.JobNotFound, match="there is no job"):
            await runtime.get(job)
        # No number is given a second time.
        assert (await anext((await runtime.submit(Quick())).events())).seq > 6


@pytest.mark.parametrize(
    ("retention", "words"),
    [
        ({"running": triphase.Retention()}, "'running' is no state that a job ends in"),
        ({"done": triphase.Retention()}, "'done' is no state"),
        ({"failed": 5}, "is 5, not a triphase.Retention"),
    ],
)
async def test_a_policy_that_cannot_be_is_refused(retention: Any, words: str) -> None:
    with pytest.raises(triphase.DefinitionError, match=words):
        async with triphase.open_runtime([Quick], store="memory:", retention=retention):
            pytest.fail("it opened")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stale_after": -1}, r"stale_after=-1\): must be a finite number, at least 0"),
        ({"delete_after": float("nan")}, "delete_after=nan"),
        ({"stale_after": DAY, "delete_after": 1}, "cannot be deleted before it is stale"),
    ],
)
def test_a_retention_that_contradicts_itself_is_refused(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(triphase.DefinitionError, match=words):
        triphase.Retention(**options)
