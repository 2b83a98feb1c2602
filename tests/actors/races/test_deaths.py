"""The process dies, at every point of every commit; another goes on, and does nothing twice.

Rows 6 and 10 to 13 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import pytest
import trio
import trio.testing
from tests.actors.sample_jobs import Gate, Held, Reopen, gates

import triphase
from triphase.store import Disk, Query, SimulatedStore
from triphase_protocol import JobState, PhaseState

from .jobs import Three, started
from .moments import Died, Fuse, Hold, Refusal, log_of, types


async def live(disk: Disk, points: int | None) -> bool:
    """Run what there is to its end; True if the process died before."""
    store = SimulatedStore(disk, at=None if points is None else Fuse(points))
    died = False
    try:
        async with triphase.open_runtime([Three], store=store) as runtime:
            # The same submit again: with its key, it is known whether it was accepted.
            job = await runtime.submit(Three(), key="k")
            assert isinstance(await job.wait(), triphase.Completed)
            await log_of(runtime, job.id)
    except* Died:
        died = True
    return died


async def on(disk: Disk) -> list[triphase.Job]:
    """Return what is on the disk while no process has it."""
    store = SimulatedStore(disk)
    await store.open()
    jobs = await store.find(Query())
    await store.close()
    return jobs


def completed(jobs: list[triphase.Job]) -> dict[str, object]:
    """Return the results that are durable."""
    phases = [phase for job in jobs for phase in job.phases]
    return {p.name: p.result for p in phases if p.state is PhaseState.COMPLETED}


@pytest.mark.parametrize("again", [None, 1, 3, 5, 7, 9, 11, 13])
async def test_whatever_commit_it_dies_in_the_job_ends_and_no_completed_phase_runs_again(
    again: int | None,
) -> None:
    points, died = 0, True
    while died:
        disk = Disk()
        started.clear()
        died = await live(disk, points)
        kept, deaths = completed(await on(disk)), int(died)
        if died and again is not None:
            started.clear()
            deaths += await live(disk, again)
            assert not set(kept) & set(started)
            kept = completed(await on(disk))
        started.clear()
        assert not await live(disk, None)
        [record] = await on(disk)
        assert record.state is JobState.COMPLETED
        # What was durable was not done again, and is what it was; all the rest was done.
        assert started == [name for name in ("one", "two", "three") if name not in kept]
        assert completed([record]).items() >= kept.items()
        assert sum(sum(phase.spent.values()) for phase in record.phases) <= deaths
        points += 1
    assert points > 20


async def test_who_opens_a_store_that_is_in_use_changes_nothing_of_it(
    reopen: Reopen, gate: Gate
) -> None:
    store = reopen()
    async with triphase.open_runtime([Held], store=store) as runtime:
        job = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        before, log = await job.get(), await log_of(runtime, job.id)
        for _ in range(3):
            with pytest.raises(triphase.StoreLocked):
                async with triphase.open_runtime([Held], store=reopen()):
                    pytest.fail("it opened")
        assert (await job.get(), await log_of(runtime, job.id)) == (before, log)
        gate.opened.set()
        assert await job.wait() == triphase.Completed(job=job.id, run=1, result="a")


async def test_a_run_that_says_nothing_for_an_hour_is_not_taken_for_lost_and_keeps_its_slot(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    queues = {"held": triphase.Queue(limit=1)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues, clock=clock) as runtime:
        job, other = await runtime.submit(Held("a")), await runtime.submit(Held("b"))
        await trio.sleep(3600)
        # Neither by the clock of the machine, whatever that says.
        clock.step(86_400)
        await trio.sleep(60)
        statistics = runtime.statistics().reconciler
        assert statistics.sweeps > 300
        assert (statistics.recovered, await runtime._parts.store.slots()) == (0, {"held": 1})
        assert gate.order == ["a"]
        gate.opened.set()
        assert await job.wait() == triphase.Completed(job=job.id, run=1, result="a")
        assert await other.wait() == triphase.Completed(job=other.id, run=1, result="b")


@triphase.job()
class Resumed:
    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> int:
        return ctx.run


@triphase.job(on_restart="hold")
class Kept:
    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> int:
        return ctx.run


@pytest.mark.parametrize(("payload", "verb"), [(Resumed(), "cancel"), (Kept(), "retry")])
async def test_two_who_find_one_lost_run_put_it_back_once(
    payload: object,
    verb: str,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = reopen()
    async with triphase.open_runtime([Resumed, Kept], store=store, clock=clock) as runtime:
        await trio.testing.wait_all_tasks_blocked()
        # Refused are what its handler has returned, and then that the actor puts it back.
        Refusal(store, "write", 2)
        Refusal(store, "write", 3)
        job = await runtime.submit(payload)
        await trio.testing.wait_all_tasks_blocked()
        assert ((await job.get()).state, runtime.statistics().active) == (JobState.RUNNING, 0)
        await trio.sleep(15)
        # The second look of the reconciler knows that it is lost; somebody else is quicker.
        with Hold(store, "find") as hold:
            await hold.reached.wait()
            record = await getattr(job, verb)()
        await trio.testing.wait_all_tasks_blocked()
        if verb == "cancel":
            assert record.state is JobState.CANCELLED
        else:
            assert await job.wait() == triphase.Completed(job=job.id, run=2, result=2)
        log = types(await log_of(runtime, job.id))
        assert log.count("phase.interrupted") == 1
        assert runtime.statistics().reconciler.recovered == 0


@triphase.job()
class Tidy:
    """Takes three seconds to clean up."""

    @triphase.phase(stop_grace=5)
    async def only(self, ctx: triphase.Context) -> None:
        inside.append(ctx.job_id)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            inside.remove(ctx.job_id)


inside: list[str] = []


async def test_a_job_is_put_back_only_when_its_handler_has_ended(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    back: list[tuple[str, bool]] = []

    async def follow(runtime: triphase.Runtime) -> None:
        queued = runtime.events(types="job.queued")
        back.extend([(e.job, e.job in inside) async for e in queued if e.run])

    async with (
        trio.open_nursery() as nursery,
        triphase.open_runtime([Tidy], store=reopen(), clock=clock, drain_timeout=0) as runtime,
    ):
        jobs = [await runtime.submit(Tidy()) for _ in range(3)]
        nursery.start_soon(follow, runtime)
        await trio.testing.wait_all_tasks_blocked()
        assert len(inside) == 3
    assert sorted(back) == sorted((job.id, False) for job in jobs)


times: list[float] = []


@triphase.job(queue="crowd")
class Crowd:
    @triphase.phase(retry=triphase.Retry(attempts=3, backoff=60))
    async def only(self, ctx: triphase.Context) -> None:
        times.append(trio.current_time())
        await gates[0].pass_through(ctx.job_id)
        if ctx.attempt == 1:
            raise ConnectionError("all at once")


async def test_a_crowd_that_failed_together_comes_back_one_by_one_and_within_the_limit(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    times.clear()
    gate.opened.set()
    async with triphase.open_runtime(
        [Crowd],
        store=reopen(),
        clock=clock,
        queues={"crowd": triphase.Queue(limit=10)},
        entropy=triphase.Entropy(1),
    ) as runtime:
        await runtime.pause("crowd")
        jobs = [await runtime.submit(Crowd()) for _ in range(100)]
        await runtime.resume("crowd")
        outcomes = (await runtime.wait_all(jobs)).values()
    assert {type(outcome) for outcome in outcomes} == {triphase.Completed}
    assert len(set(times[:100])) == 1
    assert len(set(times[100:])) > 95
    assert gate.most == 10


keys: set[str] = set()


@triphase.job()
class Keyed:
    @triphase.phase(retry=triphase.Retry(attempts=2, backoff=0))
    async def only(self, ctx: triphase.Context) -> None:
        keys.add(ctx.idempotency_key)
        started.append(f"run {ctx.run}")
        if ctx.run < 5:
            raise ConnectionError
        await trio.sleep_forever()


async def test_every_try_of_a_phase_has_one_key_for_the_world_outside(reopen: Reopen) -> None:
    keys.clear()
    async with triphase.open_runtime([Keyed], store=reopen(), drain_timeout=0) as runtime:
        job = await runtime.submit(Keyed())
        await job.wait()
        await job.retry()
        await job.wait()
        await job.retry()
        await trio.testing.wait_all_tasks_blocked()
    async with triphase.open_runtime([Keyed], store=reopen(), drain_timeout=0) as runtime:
        await trio.testing.wait_all_tasks_blocked()
        await runtime.cancel(job)
    assert started == [f"run {number}" for number in range(1, 7)]
    assert keys == {f"{job.id}:only"}
