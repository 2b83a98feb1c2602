"""A decision counts once, and what it is about starts once: whenever it comes, whatever dies.

Row 40 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import pytest
import trio
import trio.testing
from tests.actors.sample_jobs import Reopen

import triphase
from triphase.store import Disk, Query, SimulatedStore
from triphase_protocol import JobState

from .jobs import started, work
from .moments import Died, Fuse, Hold, log_of, ticks, types


@triphase.job()
class Deploy:
    """Its second phase waits for somebody."""

    @triphase.phase()
    async def build(self, ctx: triphase.Context) -> dict[str, int]:
        return await work("build", ctx)

    @triphase.phase(approval=True)
    async def release(self, ctx: triphase.Context) -> dict[str, int]:
        return await work("release", ctx)


async def test_a_decision_before_at_or_after_the_asking_leads_to_one_start(
    reopen: Reopen,
) -> None:
    met: set[str] = set()
    for count in range(40):
        started.clear()
        async with triphase.open_runtime([Deploy], store=reopen()) as runtime:
            await runtime.pause("default")
            job = await runtime.submit(Deploy())
            await runtime.resume("default")
            await ticks(count)
            try:
                await job.approve(phase="release", by="early")
                met.add("counts")
            except triphase.IllegalTransition:
                # Nobody has asked yet: it is no decision, and opens nothing later.
                met.add("too early")
                await trio.testing.wait_all_tasks_blocked()
                assert started == ["build"]
                assert (await job.get()).state is JobState.GATED
                await job.approve(phase="release", by="in time")
            assert isinstance(await job.wait(), triphase.Completed)
            # Once more, after the end: it is told what was decided, and changes nothing.
            gate = await job.approve(phase="release", by="late")
            assert gate.by in ("early", "in time")
            log = types(await log_of(runtime, job.id))
        assert started == ["build", "release"]
        assert log.count("job.approved") == 1
    assert met == {"counts", "too early"}


@pytest.mark.parametrize("other", ["approve", "reject", "cancel", "retry"])
async def test_two_who_decide_on_the_same_card_come_to_one_end(other: str, reopen: Reopen) -> None:
    async def attempt(verb: str, delay: int) -> None:
        await ticks(delay)
        try:
            await getattr(job, verb)()
        except triphase.IllegalTransition:
            return

    met: set[str] = set()
    for lead in range(-15, 15):
        started.clear()
        store = reopen()
        async with triphase.open_runtime([Deploy], store=store) as runtime:
            job = await runtime.submit(Deploy())
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt, "approve", max(0, -lead))
                nursery.start_soon(attempt, other, max(0, lead))
            outcome = await job.wait()
            met.add(type(outcome).__name__)
            await trio.testing.wait_all_tasks_blocked()
            log = types(await log_of(runtime, job.id))
            assert log.count("job.approved") + log.count("job.rejected") <= 1
            assert started.count("release") <= log.count("job.approved")
            assert isinstance(outcome, triphase.Completed) is (log[-1] == "job.completed")
    assert "Completed" in met
    if other in ("reject", "cancel"):
        assert len(met) == 2


async def test_a_decision_made_on_an_old_reading_is_told_what_was_decided_meanwhile(
    reopen: Reopen,
) -> None:
    answers: list[triphase.Gate] = []

    async def decide() -> None:
        answers.append(await job.approve(by="slow"))

    store = reopen()
    async with triphase.open_runtime([Deploy], store=store) as runtime:
        job = await runtime.submit(Deploy())
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            with Hold(store, "get") as hold:
                nursery.start_soon(decide)
                await hold.reached.wait()
                await job.reject(by="quick")
        [answer] = answers
        assert (answer.approved, answer.by) == (False, "quick")
        assert (await job.get()).state is JobState.REJECTED
    assert started == ["build"]


@triphase.job(approval=triphase.Approval(timeout=30))
class Timed:
    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> dict[str, int]:
        return await work("only", ctx)


async def test_a_decision_at_the_very_end_of_its_time_counts_or_is_refused_and_nothing_between(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    met: set[str] = set()
    for lead in range(-20, 20):
        started.clear()
        store = reopen()
        async with triphase.open_runtime([Timed], store=store, clock=clock) as runtime:
            job = await runtime.submit(Timed())
            with Hold(store, "overdue", answer=bool) as hold:
                # Its time has passed, and that is about to be written.
                await hold.reached.wait()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(let_go, hold, max(0, lead))
                    await ticks(max(0, -lead))
                    decision = await answer_of(job)
            outcome = await job.wait()
            await trio.testing.wait_all_tasks_blocked()
            assert isinstance(outcome, triphase.Completed) is decision.approved
            assert len(started) == bool(decision.approved)
            met.add(type(outcome).__name__)
            await log_of(runtime, job.id)
    assert met == {"Completed", "Rejected"}


async def let_go(hold: Hold, delay: int) -> None:
    await ticks(delay)
    hold.go.set()


async def answer_of(job: triphase.JobHandle) -> triphase.Gate:
    return await job.approve(by="at the last moment")


async def test_a_death_around_a_decision_leaves_it_made_or_not_and_a_repeat_harms_nobody() -> None:
    points, died = 0, True
    while died:
        disk, fuse, died = Disk(), Fuse(points, lit=False), False
        started.clear()
        try:
            async with triphase.open_runtime(
                [Deploy], store=SimulatedStore(disk, at=fuse)
            ) as runtime:
                job = await runtime.submit(Deploy())
                await trio.testing.wait_all_tasks_blocked()
                fuse.light()
                await job.approve(by="alice")
                await job.wait()
        except* Died:
            died = True
        [record] = await on(disk)
        made = record.phases[1].gate
        assert made is not None
        assert (record.state is JobState.GATED) is (made.approved is None)
        assert made.approved or started == ["build"]
        async with triphase.open_runtime([Deploy], store=SimulatedStore(disk)) as runtime:
            # Nobody had answered.
            assert (await runtime.approve(record.id, by="alice")).approved is True
            assert isinstance(await runtime.wait(record.id), triphase.Completed)
            log = types(await log_of(runtime, record.id))
        assert log.count("job.approved") == 1
        assert started.count("build") == 1
        assert 1 <= started.count("release") <= 1 + log.count("phase.interrupted")
        points += 1
    assert points > 12


async def on(disk: Disk) -> list[triphase.Job]:
    """Return what is on a disk that no process has."""
    store = SimulatedStore(disk)
    await store.open()
    jobs = await store.find(Query())
    await store.close()
    return jobs
