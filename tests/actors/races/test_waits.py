"""Whoever waits for a job hears of its end, whenever they began, and of no other run's.

Rows 11 and 38 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from tests.actors.sample_jobs import Gate, Held, Reopen

import triphase
from triphase_protocol import JobState

from .jobs import new_gate
from .moments import Hold, log_of, ticks


@asynccontextmanager
async def patient_nursery() -> AsyncGenerator[trio.Nursery]:
    """Open a nursery for those who wait, and fail if they wait for ever."""
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            yield nursery


async def test_a_wait_returns_whether_it_begins_before_at_or_after_the_end(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async def wait(runtime: triphase.Runtime, ids: list[str], delay: int) -> None:
        await ticks(delay)
        answers.append(await runtime.wait_all(ids))

    async def wait_one(runtime: triphase.Runtime, id: str, delay: int) -> None:
        await ticks(delay)
        answers.append({id: await runtime.wait(id)})

    gate = new_gate()
    answers: list[object] = []
    async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
        jobs = [await runtime.submit(Held(str(n))) for n in range(3)]
        ids = [job.id for job in jobs]
        await trio.testing.wait_all_tasks_blocked()
        begin = trio.current_time()
        async with patient_nursery() as nursery:
            for delay in range(40):
                nursery.start_soon(wait, runtime, ids, delay)
                for id in ids:
                    nursery.start_soon(wait_one, runtime, id, delay)
            await ticks(10)
            gate.opened.set()
        outcomes = {
            id: triphase.Completed(job=id, run=1, result=str(n)) for n, id in enumerate(ids)
        }
        assert [a for a in answers if len(a) == 3] == [outcomes] * 40  # type: ignore[arg-type]
        for id in ids:
            assert answers.count({id: outcomes[id]}) == 40
        assert (trio.current_time(), runtime.statistics().waiting) == (begin, 0)


async def test_an_end_between_the_look_and_the_wait_is_not_missed(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    store = reopen()
    async with triphase.open_runtime([Held], store=store, clock=clock) as runtime:
        job = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        outcomes: list[triphase.Outcome] = []

        async def wait() -> None:
            outcomes.append(await job.wait())

        async with patient_nursery() as nursery:
            with Hold(store, "get") as hold:
                nursery.start_soon(wait)
                # It has read that the job runs.
                await hold.reached.wait()
                gate.opened.set()
                await trio.testing.wait_all_tasks_blocked()
                assert (await job.get()).state is JobState.COMPLETED
        assert outcomes == [triphase.Completed(job=job.id, run=1, result="a")]


async def test_a_wait_hears_of_the_run_it_waited_for_and_one_after_a_retry_of_the_next(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async def wait(job: triphase.JobHandle, to: list[int]) -> None:
        to.append((await job.wait()).run)

    for delay in range(25):
        gate = new_gate()
        async with (
            patient_nursery() as nursery,
            triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime,
        ):
            job = await runtime.submit(Held("a"))
            first, second = list[int](), list[int]()
            nursery.start_soon(wait, job, first)
            await trio.testing.wait_all_tasks_blocked()
            gate.opened.set()
            while True:
                try:
                    await job.retry(from_phase="hold")
                    break
                except triphase.IllegalTransition:
                    await trio.lowlevel.checkpoint()
            # Retried at once: the old outcome is in nobody's way.
            nursery.start_soon(wait, job, second)
            await ticks(delay)
            await trio.testing.wait_all_tasks_blocked()
            assert (first, second) == ([1], [2])
            assert isinstance(await job.wait(), triphase.Completed)
            await log_of(runtime, job.id)


async def test_all_who_wait_for_a_job_hear_of_it_and_those_who_gave_up_harm_nobody(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async def wait(job: triphase.JobHandle, timeout: float | None) -> None:
        try:
            heard.append(type(await job.wait(timeout)).__name__)
        except triphase.WaitTimeout:
            heard.append("timed out")

    heard: list[str] = []
    async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Held("a"))
        async with patient_nursery() as nursery:
            for timeout in (1, 2, None, 3, None, 9):
                nursery.start_soon(wait, job, timeout)
            with trio.move_on_after(2.5):
                await job.wait()
            assert heard == ["timed out"] * 2
            await trio.sleep(2)
            gate.opened.set()
        assert heard == ["timed out"] * 3 + ["Completed"] * 3
        assert runtime.statistics().waiting == 0


async def test_a_wait_that_a_restart_cut_short_can_be_begun_again(
    reopen: Reopen, gate: Gate
) -> None:
    async with triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime:
        job = await runtime.submit(Held("a"))
    for _ in range(2):
        async with (
            trio.open_nursery() as nursery,
            triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime,
        ):
            nursery.start_soon(ends_with_the_runtime, runtime, job.id)
            await trio.testing.wait_all_tasks_blocked()
    gate.opened.set()
    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        outcome = await runtime.wait(job.id)
    assert isinstance(outcome, triphase.Completed)
    assert outcome.run >= 3


async def ends_with_the_runtime(runtime: triphase.Runtime, id: str) -> None:
    with pytest.raises(triphase.RuntimeClosed):
        await runtime.wait(id)
