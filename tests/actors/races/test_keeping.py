"""What is kept, for how long, and who looks after it: retention, memory, and the reconciler.

Rows 35 to 37 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from tests.actors.sample_jobs import Held, Reopen
from tests.actors.store import building
from tests.actors.store.sqlite_files import run_sql

import triphase
from triphase.feed import RING
from triphase.journal import step
from triphase.lifecycle import decide
from triphase.store import (
    Applied,
    Delete as DeleteOperation,
    Disk,
    SimulatedStore,
    SqliteStore,
    Store,
)
from triphase.store.backend import PAGE_MOST
from triphase_protocol import CancelJob, Delete

from .jobs import new_gate
from .moments import Hold, log_of, ticks


@triphase.job(queue="default")
class Quick:
    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> int:
        return ctx.run


async def test_whoever_meets_a_job_as_it_is_deleted_has_its_end_or_hears_that_it_is_gone(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async def ask(job: triphase.JobHandle, verb: str, delay: int) -> None:
        await ticks(delay)
        again = {"from_phase": "only"} if verb == "retry" else {}
        try:
            answers.append(type(await getattr(job, verb)(**again)).__name__)
        except triphase.JobGone:
            answers.append("gone")

    met: dict[str, set[str]] = {"wait": set(), "get": set(), "retry": set()}
    # By so many ticks the question is ahead of the deletion.
    for lead in range(-15, 15):
        store = reopen()
        async with triphase.open_runtime(
            [Quick], store=store, clock=clock, retention=triphase.Retention(delete_after=5)
        ) as runtime:
            for verb, words in met.items():
                job, answers = await runtime.submit(Quick()), list[str]()
                await job.wait()
                async with trio.open_nursery() as nursery:
                    with Hold(store, "ended", answer=bool) as hold:
                        await hold.reached.wait()
                        nursery.start_soon(ask, job, verb, max(0, -lead))
                        await ticks(lead)
                assert len(answers) == 1
                words.add(answers[0])
                if verb == "retry" and answers == ["Job"]:
                    # It was quicker: the job lives, and nobody deletes it.
                    assert await job.wait() == triphase.Completed(job=job.id, run=2, result=2)
                    await log_of(runtime, job.id)
                else:
                    await trio.testing.wait_all_tasks_blocked()
                    with pytest.raises(triphase.JobGone):
                        await job.get()
    assert met == {"wait": {"Completed", "gone"}, "get": {"Job", "gone"}, "retry": {"Job", "gone"}}


async def test_a_wait_hears_of_an_end_although_the_job_is_deleted_in_the_same_commit(
    reopen: Reopen,
) -> None:
    outcomes: list[triphase.Outcome] = []

    async def wait() -> None:
        outcomes.append(await job.wait())

    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        parts = runtime._parts
        await runtime.pause("held")
        job = await runtime.submit(Held("a"))
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            record, now = await job.get(), parts.clock.now()
            end = decide(record, CancelJob(reason="enough"), now)
            deletion = decide(end.job, Delete(), now)
            delete = DeleteOperation(
                job=job.id, run=end.job.run, version=end.job.version, events=deletion.events
            )
            results = await parts.writer.commit_all([step(record, end), delete])
            assert all(isinstance(result, Applied) for result in results)
        with pytest.raises(triphase.JobGone):
            await job.wait()
    assert outcomes == [triphase.Cancelled(job=job.id, run=0, reason="enough")] * 3


async def test_a_runtime_that_has_run_many_jobs_holds_nothing_of_them(reopen: Reopen) -> None:
    async with triphase.open_runtime([Quick], store=reopen()) as runtime:
        for _ in range(4):
            jobs = [await runtime.submit(Quick()) for _ in range(350)]
            await runtime.wait_all(jobs)
        await trio.testing.wait_all_tasks_blocked()
        statistics, parts = runtime.statistics(), runtime._parts
        assert statistics.feed.last_seq >= 2 * RING
        assert statistics.feed.kept < 2 * RING
        assert (statistics.active, statistics.waiting, statistics.handlers.running) == (0, 0, 0)
        assert not parts.waiters._waits
        assert not parts.directory._actors
        assert not parts.directory._claiming


@attrs.frozen
class Pair:
    """Two jobs in one state, of which the first is going to be corrupt."""

    bad: str
    good: str


async def test_one_corrupt_row_in_every_state_holds_up_no_other_row(
    tmp_path: Path, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "jobs.db"

    async def pair(runtime: triphase.Runtime, name: str, **options: Any) -> Pair:
        first, second = [await runtime.submit(Held(name), **options) for _ in range(2)]
        return Pair(first.id, second.id)

    gate = new_gate()
    made: dict[str, Pair] = {}
    with trio.CancelScope() as scope:
        store = SqliteStore(path, inline_below=math.inf)
        async with triphase.open_runtime([Held], store=store, clock=clock) as runtime:
            made["running"] = await pair(runtime, "running")
            made["ended"] = await pair(runtime, "ended")
            await trio.testing.wait_all_tasks_blocked()
            for id in attrs.astuple(made["ended"]):
                await runtime.cancel(id)
            await runtime.pause("held")
            made["queued"] = await pair(runtime, "queued")
            made["scheduled"] = await pair(runtime, "scheduled", delay=100)
            made["overdue"] = await pair(runtime, "overdue", queue_timeout=100)
            await runtime.resume("held")
            # As when the process dies.
            await store.close()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    bad = ", ".join(f"'{pair.bad}'" for pair in made.values())
    run_sql(path, f"UPDATE jobs SET payload = '{{' WHERE id IN ({bad})")
    await trio.sleep(200)
    gate.opened.set()
    store = SqliteStore(path, inline_below=math.inf)
    async with triphase.open_runtime(
        [Held], store=store, clock=clock, retention=triphase.Retention(delete_after=60)
    ) as runtime:
        for name in ("running", "queued", "scheduled"):
            assert isinstance(await runtime.wait(made[name].good), triphase.Completed)
        assert isinstance(await runtime.wait(made["overdue"].good), triphase.Failed)
        await trio.sleep(20)
        with pytest.raises(triphase.JobGone):
            await runtime.get(made["ended"].good)
        for each in made.values():
            with pytest.raises(triphase.CorruptRecord):
                await runtime.get(each.bad)


async def filled(store: Store, ended: int, running: int, owner: str) -> None:
    """Fill a store with jobs that have ended, and behind them some of a dead owner that run."""
    for begin in range(0, ended + running, 200):
        numbers = range(begin, min(begin + 200, ended + running))
        made = [
            building.submit(f"job{n}", type="Quick", phases=("only",), payload={}, queue="default")
            for n in numbers
        ]
        await store.write(made)
        await store.write(
            [
                building.cancel(each.job) if n < ended else building.start(each.job, owner=owner)
                for n, each in zip(numbers, made, strict=True)
            ]
        )


@pytest.mark.parametrize(("ended", "running"), [(PAGE_MOST + 50, 3), (3, PAGE_MOST + 50)])
async def test_no_run_is_too_far_behind_others_to_be_found(ended: int, running: int) -> None:
    disk = Disk()
    store = SimulatedStore(disk)
    await store.open()
    await filled(store, ended, running, "dead")
    await store.close()
    async with triphase.open_runtime(
        [Quick], store=SimulatedStore(disk), queues={"default": triphase.Queue(paused=True)}
    ) as runtime:
        assert runtime.statistics().reconciler.recovered == running
        assert await runtime._parts.store.slots() == {}


async def test_a_sweep_at_the_moment_of_a_start_takes_no_run_for_lost(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Slow], store=reopen(), clock=clock) as runtime:
        # Starts and ends fall together with sweeps, again and again.
        jobs = [await runtime.submit(Slow(), delay=10 * (n % 8)) for n in range(48)]
        outcomes = (await runtime.wait_all(jobs)).values()
        statistics = runtime.statistics().reconciler
    assert {o.run for o in outcomes if isinstance(o, triphase.Completed)} == {1}
    assert len(outcomes) == 48
    assert (statistics.recovered, statistics.failed) == (0, 0)
    assert statistics.sweeps >= 9


@triphase.job()
class Slow:
    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> None:
        await trio.sleep(20)
