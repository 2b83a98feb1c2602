"""The pool of workers: kept warm, ended when there are enough, and never left behind."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import triphase
from triphase.endings import Died, Ending, Returned, Unfinished
from triphase.processes import Processes, open_processes
from triphase.processes.pool import surplus

from .conftest import PATIENCE, Ear, is_gone, run, start, wait_gone
from .jobs import call_of, process_jobs
from .scripts import script

pytestmark = pytest.mark.slow

Do = process_jobs.Do


async def pid_of(processes: Processes, what: str = "who") -> int:
    """Run a handler that says in which process it ran."""
    outcome = (await run(processes, Do(what))).outcome
    assert isinstance(outcome, Returned)
    pid: int = outcome.value["pid"] if what == "who" else outcome.value
    return pid


async def test_a_hundred_calls_reuse_one_warm_worker(processes: Processes) -> None:
    pids = {await pid_of(processes) for _ in range(100)}
    assert len(pids) == 1
    assert processes.statistics().started == 1


async def test_calls_at_the_same_time_run_in_different_processes(
    processes: Processes, ear: Ear
) -> None:
    async with trio.open_nursery() as nursery:
        running = [start(nursery, processes, Do("sleep", ear.path)) for _ in range(3)]
        pids = {await ear.line() for _ in running}
        assert len(pids) == 3
        assert processes.statistics().alive == 3
        for each in running:
            each.stop.set()


async def test_a_worker_with_a_thread_left_in_it_is_not_used_again() -> None:
    # Such a thread keeps it from leaving, so all of the grace passes.
    async with open_processes(close_grace=0.05) as processes:
        first = await pid_of(processes, "thread")
        assert await pid_of(processes) != first
        await wait_gone(first)


async def test_a_worker_that_was_dead_before_the_handler_began_costs_nothing(
    processes: Processes,
) -> None:
    first = await pid_of(processes)
    os.kill(first, 9)
    assert await pid_of(processes) != first
    assert processes.statistics().started == 2


async def test_idle_workers_beyond_a_number_end() -> None:
    pids: set[int] = set()
    gone: list[int] = []

    async def who() -> None:
        pids.add(await pid_of(processes))

    async def watch(pid: int) -> None:
        await wait_gone(pid)
        gone.append(pid)
        if len(gone) == 2:
            watching.cancel_scope.cancel()

    async with open_processes(idle_most=1) as processes:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(who)
        assert len(pids) == 3
        async with trio.open_nursery() as watching:
            for pid in pids:
                watching.start_soon(watch, pid)
        await wait_all_tasks_blocked()
        assert processes.statistics().alive == processes.statistics().idle == 1
        assert await pid_of(processes) not in gone


async def test_a_worker_that_is_idle_for_too_long_ends() -> None:
    async with open_processes(idle_seconds=0.05) as processes:
        await wait_gone(await pid_of(processes))
        await wait_all_tasks_blocked()
        assert processes.statistics().alive == 0


def test_of_idle_workers_the_oldest_end_first() -> None:
    assert surplus((), now=9, most=2, seconds=5) == (0, float("inf"))
    assert surplus((6, 7), now=9, most=2, seconds=5) == (0, 11)
    assert surplus((4, 7), now=9, most=2, seconds=5) == (1, 12)
    assert surplus((6, 7, 8), now=9, most=2, seconds=5) == (1, 12)
    assert surplus((1, 2), now=9, most=2, seconds=5) == (2, float("inf"))


async def test_closing_ends_every_worker(ear: Ear) -> None:
    async with trio.open_nursery() as nursery:
        async with open_processes(close_grace=0.1) as processes:
            idle = await pid_of(processes)
            running = start(nursery, processes, Do("ignore", ear.path))
            pids = [idle, int(await ear.line())]
        assert all(map(is_gone, pids))
        assert processes.statistics().alive == 0
        assert await running.ending() == Ending(Unfinished())
    with pytest.raises(triphase.RuntimeClosed):
        await run(processes, Do("who"))


async def test_what_is_raised_inside_of_the_block_leaves_it_as_it_is() -> None:
    with pytest.raises(LookupError):  # noqa: PT012 - the block is what is tested
        async with open_processes() as processes:
            await pid_of(processes)
            raise LookupError


async def test_a_cancel_of_all_is_bounded_and_leaves_nothing(ear: Ear) -> None:
    pid = 0
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        async with open_processes(close_grace=0.1) as processes, trio.open_nursery() as nursery:
            start(nursery, processes, Do("ignore", ear.path), grace=0.1)
            pid = int(await ear.line())
            scope.cancel()
    assert pid
    assert is_gone(pid)


PARENT = """
import sys, trio
from process_jobs import Do
from triphase.definition import definition_of
from triphase.processes import Call, open_processes
from triphase_protocol import Job, JobState, PhaseRecord

async def main():
    async with open_processes() as processes, trio.open_nursery() as nursery:
        for what in sys.argv[2:]:
            await nursery.start(run, processes, Do(what, f"{sys.argv[1]}/{what}"), nursery)
        print("ready", flush=True)
        await trio.sleep_forever()

async def run(processes, job, nursery, task_status):
    definition = definition_of(Do)
    definition.resolve()
    record = Job(id="x", type="Do", state=JobState.RUNNING, run=1,
                 payload=definition.payload_of(job),
                 phases=tuple(PhaseRecord(name=phase.name) for phase in definition.phases))
    call = Call.of(definition, record, 0)
    running = lambda: processes.run(
        call, report=lambda _: None, stop=trio.Event(), grace=99)
    if job.what == "who":
        ending = await running()
        with open(job.path, "w") as pipe:
            print(ending.outcome.value["pid"], file=pipe)
    else:
        nursery.start_soon(running)
    task_status.started()

trio.run(main)
"""


async def test_nothing_of_a_worker_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    # The last leaves an idle one behind, which none of the others can take.
    deeds = ["sleep", "ignore", "swallow", "hold the lock", "with a child", "who"]
    ears = {what: Ear(tmp_path / what) for what in deeds}
    with script(tmp_path / "parent.py", PARENT, str(tmp_path), *deeds) as parent:
        # Of each its number, and that of its child if it has one.
        heard = {what: (await ear.line()).split() for what, ear in ears.items()}
        numbers = {number: what for what, said in heard.items() for number in said}
        living = {os.pidfd_open(int(number)): what for number, what in numbers.items()}
        assert len(living) == len(deeds) + 1
        parent.kill()
        for descriptor, what in living.items():
            with trio.move_on_after(PATIENCE) as patience:
                await trio.lowlevel.wait_readable(descriptor)
            assert not patience.cancelled_caught, what
            os.close(descriptor)
    for ear in ears.values():
        ear.close()


async def test_a_worker_that_cannot_be_started_is_data(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    outcome = (await run(processes, Do("who"))).outcome
    assert isinstance(outcome, Died)
    assert outcome.error.type == "ProcessNotStarted"


async def test_a_worker_that_is_no_worker_is_a_death_with_its_words(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = call_of(Do("who"), "plain")
    monkeypatch.setattr("sys.path", [])
    with trio.fail_after(PATIENCE):
        ending = await processes.run(call, report=lambda _: None, stop=trio.Event(), grace=PATIENCE)
    assert isinstance(ending.outcome, Died)
    assert "ModuleNotFoundError" in (ending.outcome.error.traceback or "")


async def test_a_call_that_cannot_be_sent_costs_no_worker(processes: Processes) -> None:
    call = call_of(Do("who"), "plain")
    broken = attrs.evolve(call, job=attrs.evolve(call.job, payload={"what": "\udcff"}))
    with pytest.raises(triphase.InvalidValue):
        await processes.run(broken, report=lambda _: None, stop=trio.Event(), grace=PATIENCE)
    await pid_of(processes)
    assert processes.statistics().started == 1
