"""Stopping a handler in a worker process: it is asked, then made to, and then it is gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.endings import Ending, Returned, Snoozed, Unfinished
from triphase.processes import Processes
from triphase_protocol import StopHow

from .conftest import Ear, is_gone, run, start, wait_gone
from .jobs import process_jobs

pytestmark = pytest.mark.slow

Do = process_jobs.Do


PHASES = ("plain", "in_trio")


async def test_a_handler_is_interrupted_where_it_waits(processes: Processes, ear: Ear) -> None:
    async with trio.open_nursery() as nursery:
        running = [start(nursery, processes, Do("sleep", ear.path), phase) for phase in PHASES]
        pids = [int(await ear.line()) for _ in running]
        for each in running:
            each.stop.set()
    for ending in [await each.ending() for each in running]:
        assert ending.outcome == Unfinished()
        assert ending.halt is not None
        assert ending.halt.how is StopHow.TERMINATED
        assert 0 < ending.halt.seconds < 10
    assert all(map(is_gone, pids))


async def test_a_handler_may_clean_up_and_what_it_returns_is_told(
    processes: Processes, ear: Ear
) -> None:
    async with trio.open_nursery() as nursery:
        running = [start(nursery, processes, Do("clean up", ear.path), phase) for phase in PHASES]
        pids = [int(await ear.line()) for _ in running]
        for each in running:
            each.stop.set()
    for each, value in zip(running, ("cleaned up, True", "cleaned up"), strict=True):
        ending = await each.ending()
        assert ending.outcome == Returned(value)
        assert ending.halt is not None
        assert ending.halt.how is StopHow.TERMINATED
    assert all(map(is_gone, pids))


async def test_a_handler_that_goes_on_is_killed_when_its_grace_is_over(
    processes: Processes, ear: Ear
) -> None:
    deeds = ("ignore", "swallow", "hold the lock")
    async with trio.open_nursery() as nursery:
        running = [start(nursery, processes, Do(what, ear.path), grace=0.1) for what in deeds]
        pids = [int(await ear.line()) for _ in running]
        for each in running:
            each.stop.set()
    for each, what in zip(running, deeds, strict=True):
        ending = await each.ending()
        assert ending.outcome == Unfinished(), what
        assert ending.halt is not None
        assert ending.halt.how is StopHow.KILLED, what
        assert 0.1 <= ending.halt.seconds < 10
    assert all(map(is_gone, pids))
    assert processes.statistics().killed == 3


async def test_a_request_that_was_missed_is_repeated(processes: Processes, ear: Ear) -> None:
    os.mkfifo(f"{ear.path}.go")
    async with trio.open_nursery() as nursery:
        running = start(nursery, processes, Do("miss one", ear.path))
        await ear.line()
        running.stop.set()
        await wait_all_tasks_blocked()
        await trio.to_thread.run_sync(Path(f"{ear.path}.go").write_text, "")
        ending = await running.ending()
    assert ending.halt is not None
    assert ending.halt.how is StopHow.TERMINATED


async def test_what_a_handler_started_is_stopped_with_it(processes: Processes, ear: Ear) -> None:
    async with trio.open_nursery() as nursery:
        running = start(nursery, processes, Do("with a child", ear.path))
        pid, child = map(int, (await ear.line()).split())
        running.stop.set()
        await running.ending()
    assert is_gone(pid)
    await wait_gone(child)


async def test_what_a_handler_started_does_not_outlive_its_death(
    processes: Processes, ear: Ear
) -> None:
    async with trio.open_nursery() as nursery:
        running = start(nursery, processes, Do("with a child", ear.path))
        pid, child = map(int, (await ear.line()).split())
        os.kill(pid, 9)
        await running.ending()
    await wait_gone(child)


async def test_a_cancel_returns_when_the_process_is_gone(processes: Processes, ear: Ear) -> None:
    async with trio.open_nursery() as nursery:
        running = [
            start(nursery, processes, Do(what, ear.path), grace=0.1) for what in ("sleep", "ignore")
        ]
        pids = [int(await ear.line()) for _ in running]
        for each in running:
            each.scope.cancel()
        with trio.fail_after(10):
            for each in running:
                await each.done.wait()
        assert all(map(is_gone, pids))
    assert [each.endings for each in running] == [[], []]
    assert processes.statistics().killed == 1


async def test_a_stop_before_the_start_starts_nothing(processes: Processes) -> None:
    async with trio.open_nursery() as nursery:
        running = start(nursery, processes, Do("who"))
        running.stop.set()
        ending = await running.ending()
    assert ending.outcome == Unfinished()
    assert processes.statistics().started == 0


async def test_a_stop_during_the_start_ends_the_process(processes: Processes) -> None:
    async with trio.open_nursery() as nursery:
        running = start(nursery, processes, Do("sleep", "/nowhere"))
        while not processes.statistics().started:
            await trio.lowlevel.checkpoint()
        running.stop.set()
        ending = await running.ending()
    assert ending.outcome == Unfinished()
    assert processes.statistics().alive == 0


async def test_a_stop_after_the_end_changes_nothing(processes: Processes) -> None:
    async with trio.open_nursery() as nursery:
        running = start(nursery, processes, Do("fail"))
        ending = await running.ending()
        running.stop.set()
    assert ending.halt is None
    assert await run(processes, Do("snooze")) == Ending(Snoozed(5.0))
    assert processes.statistics().started == 1
