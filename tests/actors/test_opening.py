"""Opening and crashing: what becomes of the body, of the jobs and of the actors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
import trio
import trio.testing

import triphase
from triphase import job_actor, outcomes
from triphase.actor import Supervisor
from triphase.lifecycle import Effect
from triphase.store import Disk, Operation, Result, SimulatedStore


@triphase.job()
class Quick:
    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> int:
        return ctx.run


class Breaking(SimulatedStore):
    """A store that refuses to write while it is broken."""

    broken = False

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        if self.broken:
            raise triphase.StoreUnavailable("the disk is full")
        return await super().write(operations)


async def test_a_store_that_refuses_is_an_error_of_the_submit_and_nothing_is_stored() -> None:
    store = Breaking()
    async with triphase.open_runtime([Quick], store=store) as runtime:
        store.broken = True
        with pytest.raises(triphase.StoreUnavailable, match="the disk is full"):
            await runtime.submit(Quick())
        store.broken = False
        job = await runtime.submit(Quick())
        assert isinstance(await job.wait(), triphase.Completed)


async def test_actors_that_keep_failing_crash_the_runtime_and_lose_no_job() -> None:
    disk = Disk()
    store = Breaking(disk)

    async def body() -> None:
        async with triphase.open_runtime([Quick], store=store) as runtime:
            await runtime.submit(Quick(), delay=1)
            await trio.testing.wait_all_tasks_blocked()
            store.broken = True
            await trio.sleep_forever()

    with pytest.raises(triphase.RuntimeCrashed) as caught:
        with trio.fail_after(60):
            await body()
    assert isinstance(caught.value.__cause__, triphase.StoreUnavailable)
    async with triphase.open_runtime([Quick], store=SimulatedStore(disk)) as runtime:
        [record] = (await runtime.find()).jobs
        assert isinstance(await runtime.wait(record.id), triphase.Completed)


async def test_a_crash_of_the_runtime_and_of_the_body_are_both_told() -> None:
    store = Breaking()

    async def body() -> None:
        async with triphase.open_runtime([Quick], store=store) as runtime:
            await runtime.submit(Quick(), delay=1)
            store.broken = True
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("mine")

    with pytest.raises(triphase.RuntimeCrashed) as caught:
        await body()
    group = caught.value.__cause__
    assert isinstance(group, ExceptionGroup)
    raised = {type(error) for error in cast("ExceptionGroup[Exception]", group).exceptions}
    assert raised == {KeyError, triphase.StoreUnavailable}


async def test_a_job_actor_that_crashes_puts_its_job_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, crashes = outcomes.command_for, iter([RuntimeError("a bug of ours")])

    def command_for(*args: object) -> object:
        for crash in crashes:
            raise crash
        return real(*args)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(job_actor, "command_for", command_for)
    async with triphase.open_runtime([Quick], store="memory:") as runtime:
        job = await runtime.submit(Quick())
        assert await job.wait() == triphase.Completed(job=job.id, run=2, result=2)
        record = await job.get()
    assert record.phases[0].spent == {"lost": 1}
    assert "crashed" in caplog.text


async def test_a_runtime_that_cannot_open_its_store_says_why_and_leaves_nothing_open() -> None:
    disk = Disk()
    first = SimulatedStore(disk)
    await first.open()
    with pytest.raises(triphase.StoreLocked):
        async with triphase.open_runtime([Quick], store=SimulatedStore(disk)):
            pytest.fail("it opened")
    await first.close()


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
async def test_a_limit_out_of_range_is_refused_before_the_store_is_touched(limit: int) -> None:
    store = SimulatedStore()
    with pytest.raises(triphase.DefinitionError, match="limit="):
        async with triphase.open_runtime([Quick], store=store, limit=limit):
            pytest.fail("it opened")


async def test_a_run_without_an_actor_is_found_by_the_slow_look(
    autojump_clock: trio.testing.MockClock,
    clock: triphase.TrioClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with triphase.open_runtime([Quick], store="memory:", clock=clock) as runtime:
        directory = runtime._parts.directory
        real, lost = directory.start, list[str]()

        def start(job: triphase.Job, effects: tuple[Effect, ...]) -> None:
            if lost:
                real(job, effects)
            lost.append(job.id)

        monkeypatch.setattr(directory, "start", start)
        job = await runtime.submit(Quick())
        begin = clock.now()
        assert await job.wait() == triphase.Completed(job=job.id, run=2, result=2)
        assert clock.now() - begin <= 21
        assert runtime.statistics().reconciler.recovered == 1


async def test_what_is_published_while_the_scheduler_is_being_started_is_not_missed(
    autojump_clock: trio.testing.MockClock,
    clock: triphase.TrioClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Supervisor.start

    async def start(self: Supervisor, factory: Any, *, name: str, **more: Any) -> Any:
        ref = await real(self, factory, name=name, **more)
        if name == "scheduler":
            # It has looked, and what it has started has ended, before anybody can wake it.
            await trio.testing.wait_all_tasks_blocked()
        return ref

    disk = Disk()
    async with triphase.open_runtime([Quick], store=SimulatedStore(disk)) as runtime:
        await runtime.drain()
        jobs = [(await runtime.submit(Quick())).id for _ in range(3)]
    monkeypatch.setattr(Supervisor, "start", start)
    async with triphase.open_runtime(
        [Quick], store=SimulatedStore(disk), clock=clock, limit=1
    ) as runtime:
        begin = trio.current_time()
        await runtime.wait_all(jobs)
        assert trio.current_time() - begin < 1.0
