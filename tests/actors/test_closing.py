"""Opening and leaving: what becomes of what runs, and of who waits."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

import triphase
from triphase.store import Disk, Query, SimulatedStore
from triphase.store.sqlite import open_reader

from .sample_jobs import Gate, Held, Reopen, Transcode


async def test_an_exception_of_the_body_leaves_it_as_it_is(reopen: Reopen, gate: Gate) -> None:
    async def body() -> None:
        async with triphase.open_runtime([Held], store=reopen()) as runtime:
            await runtime.submit(Held("a"))
            await trio.testing.wait_all_tasks_blocked()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await body()
    assert gate.inside == 0


async def test_leaving_waits_for_what_runs_but_starts_nothing_more(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async def open_later() -> None:
        await trio.sleep(5)
        gate.opened.set()

    queues = {"held": triphase.Queue(1)}
    async with (
        trio.open_nursery() as nursery,
        triphase.open_runtime([Held], store=reopen(), queues=queues, clock=clock) as runtime,
    ):
        first, second = await runtime.submit(Held("1")), await runtime.submit(Held("2"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(open_later)
    store = reopen()
    await store.open()
    one, two = await store.get(first.id), await store.get(second.id)
    await store.close()
    assert one is not None
    assert two is not None
    assert (one.state.value, two.state.value) == ("completed", "queued")


async def test_what_still_runs_after_the_drain_is_put_back_and_resumed_at_the_next_open(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime(
        [Held], store=reopen(), clock=clock, drain_timeout=7
    ) as runtime:
        job = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
    assert gate.inside == 0
    gate.opened.set()
    async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
        assert runtime.statistics().reconciler.recovered == 0
        assert await runtime.wait(job.id) == triphase.Completed(job=job.id, run=2, result="a")
        record = await runtime.get(job.id)
    assert record.phases[0].spent == {"shutdown": 1}


async def test_a_drain_starts_nothing_more_and_still_accepts(reopen: Reopen, gate: Gate) -> None:
    drained: list[bool] = []

    async def drain(runtime: triphase.Runtime) -> None:
        drained.append(await runtime.drain())

    queues = {"held": triphase.Queue(1)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        running = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        assert not await runtime.drain(timeout=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, runtime)
            later = await runtime.submit(Held("b"))
            await trio.testing.wait_all_tasks_blocked()
            gate.opened.set()
        assert drained == [True]
        assert (await running.get()).state is triphase.JobState.COMPLETED
        assert (await later.get()).state is triphase.JobState.QUEUED


async def test_a_crash_while_recovering_changes_nothing_and_the_next_open_recovers(
    gate: Gate,
) -> None:
    disk = Disk()
    first = SimulatedStore(disk)
    with trio.CancelScope() as scope:
        async with triphase.open_runtime([Held], store=first) as runtime:
            for name in ("a", "b"):
                await runtime.submit(Held(name))
            await trio.testing.wait_all_tasks_blocked()
            first.fence()
            scope.cancel()
            await trio.lowlevel.checkpoint()

    for point in ("before", "apply:0", "commit"):
        with pytest.raises(BaseExceptionGroup) as caught:
            await _open_and_leave(SimulatedStore(disk, at=_crash_at(point)))
        assert caught.value.subgroup(KeyboardInterrupt) is not None
    gate.opened.set()
    async with triphase.open_runtime([Held], store=SimulatedStore(disk)) as runtime:
        assert runtime.statistics().reconciler.recovered == 2
        for job in (await runtime.find()).jobs:
            assert isinstance(await runtime.wait(job.id), triphase.Completed)
            assert (await runtime.get(job.id)).phases[0].spent == {"lost": 1}


def _crash_at(wanted: str) -> Callable[[str], None]:
    def crash(point: str) -> None:
        if point == wanted:
            raise KeyboardInterrupt(point)

    return crash


async def _open_and_leave(store: SimulatedStore) -> None:
    async with triphase.open_runtime([Held], store=store):
        pytest.fail("it opened")


@pytest.mark.parametrize("option", ["drain_timeout", "progress_interval"])
@pytest.mark.parametrize("value", [-1, float("nan"), "5", True])
async def test_a_number_of_seconds_out_of_range_is_refused_on_opening(
    option: str, value: object
) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(triphase.DefinitionError, match=f"{option}="):
        async with triphase.open_runtime([Held], store="memory:", **options):
            pytest.fail("it opened")


async def test_a_cancel_from_outside_puts_back_what_runs(reopen: Reopen, gate: Gate) -> None:
    with trio.CancelScope() as scope:
        async with triphase.open_runtime([Held], store=reopen()) as runtime:
            await runtime.submit(Held("a"))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert gate.inside == 0
    store = reopen()
    await store.open()
    [record] = await store.find(triphase.store.Query())
    await store.close()
    assert record.state is triphase.JobState.QUEUED
    assert record.phases[0].spent == {"shutdown": 1}


async def test_a_closed_runtime_refuses_and_its_readers_end(reopen: Reopen, gate: Gate) -> None:
    seen: list[str] = []

    async def follow(runtime: triphase.Runtime) -> None:
        seen.extend([event.type.value async for event in runtime.events(after=0)])

    async def wait(runtime: triphase.Runtime, id: str) -> None:
        with pytest.raises(triphase.RuntimeClosed):
            await runtime.wait(id)

    async with (
        trio.open_nursery() as nursery,
        triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime,
    ):
        job = await runtime.submit(Held("a"), delay=100)
        nursery.start_soon(follow, runtime)
        nursery.start_soon(wait, runtime, job.id)
        await trio.testing.wait_all_tasks_blocked()
    assert seen == ["job.submitted", "job.scheduled"]
    for call in (runtime.get(job.id), runtime.submit(Held("b")), runtime.wait(job.id)):
        with pytest.raises(triphase.RuntimeClosed):
            await call
    assert "closed" in repr(runtime)
    assert runtime.statistics().active == 0


async def test_two_runtimes_live_side_by_side(gate: Gate) -> None:
    gate.opened.set()
    async with (
        triphase.open_runtime([Held], store="memory:") as one,
        triphase.open_runtime([Held], store="memory:") as other,
    ):
        first = await one.submit(Held("1"))
        second = await other.submit(Held("2"))
        await first.wait()
        await second.wait()
        with pytest.raises(triphase.JobNotFound):
            await one.get(second.id)


async def test_it_can_be_started_in_a_nursery(gate: Gate) -> None:
    gate.opened.set()
    async with trio.open_nursery() as nursery:

        async def serve(
            task_status: trio.TaskStatus[triphase.Runtime] = trio.TASK_STATUS_IGNORED,
        ) -> None:
            await triphase.serve_runtime([Held], store="memory:", task_status=task_status)

        runtime: triphase.Runtime = await nursery.start(serve)
        job = await runtime.submit(Held("a"))
        assert isinstance(await job.wait(), triphase.Completed)
        nursery.cancel_scope.cancel()


async def test_a_dead_owners_runs_are_resumed_from_the_interrupted_phase(gate: Gate) -> None:
    disk = Disk()
    first = SimulatedStore(disk)
    with trio.CancelScope() as scope:
        async with triphase.open_runtime([Held, Transcode], store=first) as runtime:
            await runtime.submit(Held("a"))
            await trio.testing.wait_all_tasks_blocked()
            # As a killed process: nothing of what follows reaches the disk.
            first.fence()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    gate.opened.set()
    async with triphase.open_runtime([Held, Transcode], store=SimulatedStore(disk)) as runtime:
        assert runtime.statistics().reconciler.recovered == 1
        [record] = (await runtime.find()).jobs
        outcome = await runtime.wait(record.id)
        assert outcome == triphase.Completed(job=record.id, run=2, result="a")
        record = await runtime.get(record.id)
    assert record.phases[0].spent == {"lost": 1}
    assert record.phases[0].attempt == 2


STUCK = """
import sys, threading, trio, triphase

@triphase.job()
class Stuck:
    @triphase.phase(stop_grace=3600)
    def only(self, ctx: triphase.Context) -> None:
        print("running", flush=True)
        while not ctx.stop_requested:
            threading.Event().wait(0.001)
        print("asked", flush=True)
        threading.Event().wait(3600)

async def main() -> None:
    async with triphase.open_runtime([Stuck], store=sys.argv[1]) as runtime:
        await runtime.submit(Stuck())
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.slow
def test_a_second_interrupt_waits_for_no_grace_and_still_puts_back_what_ran(
    tmp_path: Path,
) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    store = tmp_path / "jobs.db"
    with subprocess.Popen(
        [sys.executable, tmp_path / "stuck.py", store],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for word in ("running\n", "asked\n"):
            assert process.stdout.readline() == word
            process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert "KeyboardInterrupt" in said

    async def look() -> triphase.Job:
        async with open_reader(store) as reader:
            [job] = await reader.find(Query())
            return job

    record = trio.run(look)
    assert record.state is triphase.JobState.QUEUED
    assert record.phases[0].spent == {"shutdown": 1}
