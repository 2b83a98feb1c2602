"""Leaving a runtime is bounded and leaves nothing behind, whoever does what meanwhile.

Row 34 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from tests.actors.sample_jobs import Gate, Held, Reopen

import triphase
from triphase.store import Delete, SetQueue, Store
from triphase_protocol import JobState

from .jobs import new_gate
from .moments import log_of, ticks

Verb = Callable[[triphase.Runtime, "Jobs"], Awaitable[object]]


class Jobs:
    """A job in each of several states."""

    def __init__(self, running: str, queued: str, ended: str) -> None:
        self.running = running
        self.queued = queued
        self.ended = ended


VERBS: dict[str, Verb] = {
    "submit": lambda runtime, jobs: runtime.submit(Held("new")),
    "get": lambda runtime, jobs: runtime.get(jobs.running),
    "find": lambda runtime, jobs: runtime.find(),
    "explain": lambda runtime, jobs: runtime.explain(jobs.queued),
    "wait": lambda runtime, jobs: runtime.wait(jobs.running),
    "wait for one that has ended": lambda runtime, jobs: runtime.wait(jobs.ended),
    "wait for all": lambda runtime, jobs: runtime.wait_all([jobs.ended]),
    "events": lambda runtime, jobs: anext(runtime.events(after=0, job=jobs.running)),
    "pause": lambda runtime, jobs: runtime.pause("held"),
    "set limit": lambda runtime, jobs: runtime.set_limit("held", 2),
}


async def test_a_verb_that_meets_the_end_of_the_runtime_has_worked_or_says_that_it_is_closed(
    reopen: Reopen,
) -> None:
    async def attempt(runtime: triphase.Runtime, verb: str, jobs: Jobs, count: int) -> None:
        await ticks(count)
        try:
            answers[verb] = await VERBS[verb](runtime, jobs)
        except triphase.RuntimeClosed as exc:
            answers[verb] = exc

    met: dict[str, set[bool]] = {verb: set() for verb in VERBS}
    for count in range(45):
        gate, answers = new_gate(), dict[str, object]()
        async with (
            trio.open_nursery() as nursery,
            triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime,
        ):
            jobs = await some_jobs(runtime, gate)
            for verb in VERBS:
                nursery.start_soon(attempt, runtime, verb, jobs, count)
        for verb in VERBS:
            met[verb].add(isinstance(answers[verb], triphase.RuntimeClosed))
        found = await ids_in(reopen())
        submitted = answers["submit"]
        # What was refused is not there, and what was accepted is.
        assert len(found) == 3 + isinstance(submitted, triphase.JobHandle)
        assert not isinstance(submitted, triphase.JobHandle) or submitted.id in found
        await clear(reopen())
    never = met.pop("wait")
    assert never == {True}
    assert set(map(frozenset, met.values())) == {frozenset({True, False})}


async def some_jobs(runtime: triphase.Runtime, gate: Gate) -> Jobs:
    """Make a job in each of several states."""
    ended = await runtime.submit(Held("ended"))
    gate.opened.set()
    await ended.wait()
    gate.opened = trio.Event()
    running, queued = await runtime.submit(Held("running")), await runtime.submit(Held("queued"))
    await trio.testing.wait_all_tasks_blocked()
    return Jobs(running.id, queued.id, ended.id)


async def ids_in(store: Store) -> set[str]:
    """Return the ids of the jobs of a store that nobody has."""
    await store.open()
    jobs = await store.find(triphase.store.Query())
    await store.close()
    return {job.id for job in jobs}


async def clear(store: Store) -> None:
    """Take all that there is out of a store that nobody has."""
    await store.open()
    jobs = await store.find(triphase.store.Query())
    await store.write([SetQueue(name="held", paused=False, slots=None)])
    await store.write(
        [Delete(job=job.id, run=job.run, version=job.version, events=(gone(job),)) for job in jobs]
    )
    await store.close()


def gone(job: triphase.Job) -> triphase.Event:
    """Return the event of a job that is taken away."""
    return triphase.Event(
        seq=0,
        version=job.version + 1,
        at=0.0,
        job=job.id,
        run=job.run,
        phase=None,
        type=triphase.EventType.JOB_DELETED,
    )


async def test_a_cancel_that_was_acknowledged_while_the_runtime_closes_is_kept(
    reopen: Reopen,
) -> None:
    met: set[JobState] = set()
    for count in range(16):
        gate = new_gate()
        acknowledged: list[triphase.Job] = []

        async def cancel(runtime: triphase.Runtime, job: str, to: list[triphase.Job]) -> None:
            try:
                to.append(await runtime.cancel(job, reason="while closing"))
            except triphase.RuntimeClosed:
                return

        async with (
            trio.open_nursery() as nursery,
            triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime,
        ):
            jobs = await some_jobs(runtime, gate)
            nursery.start_soon(cancel, runtime, jobs.running, acknowledged)
            await ticks(count)
        async with triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime:
            record = await runtime.get(jobs.running)
            if acknowledged:
                met.add(acknowledged[0].state)
                assert (record.state, record.reason) == (JobState.CANCELLED, "while closing")
            await log_of(runtime, jobs.running)
            for job in (await runtime.find(states=["queued", "running"])).jobs:
                await runtime.cancel(job.id)
    assert JobState.STOPPING in met


class Break(Exception):
    """The body of the block fails."""


@triphase.job(queue="held")
class Stuck:
    """Does not end by itself; what it does when it is stopped is its payload."""

    how: str

    @triphase.phase(stop_grace=5)
    async def only(self, ctx: triphase.Context) -> None:
        if self.how == "shielded":
            with trio.CancelScope(shield=True):
                await trio.sleep(60)
        await trio.sleep_forever()


def tasks_alive() -> list[str]:
    """Return the names of all tasks, system tasks included."""
    root = trio.lowlevel.current_root_task()
    todo, found = [root] if root else [], list[str]()
    while todo:
        task = todo.pop()
        found.append(task.name)
        todo += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return sorted(found)


class Audience:
    """Those who wait while a runtime ends."""

    def __init__(self) -> None:
        self.runtime: triphase.Runtime
        self.job = ""
        self.ended: list[str] = []

    async def attend(self, runtime: triphase.Runtime, payload: object) -> None:
        """Submit a job that will not end, wait for it and follow it, until the runtime ends."""
        self.runtime, self.job = runtime, (await runtime.submit(payload)).id
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            with pytest.raises(triphase.RuntimeClosed):
                await runtime.wait(self.job)
            self.ended.append("waiter")

    async def _follow(self) -> None:
        async for _ in self.runtime.events(after=0):
            pass
        self.ended.append("reader")


@pytest.mark.parametrize("how", ["left", "cancelled", "raised", "refused by its store"])
@pytest.mark.parametrize("kind", ["cooperative", "shielded", "thread"])
async def test_nothing_of_a_runtime_is_left_whichever_way_it_ends(
    kind: str,
    how: str,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    release = threading.Event()

    @triphase.job(queue="held")
    class Deaf:
        @triphase.phase(stop_grace=5)
        def only(self, ctx: triphase.Context) -> None:
            release.wait()

    async def body(store: Any) -> None:
        async with triphase.open_runtime(
            [Stuck, Deaf], store=store, clock=clock, drain_timeout=7
        ) as runtime:
            nursery.start_soon(
                audience.attend, runtime, Deaf() if kind == "thread" else Stuck(kind)
            )
            await trio.testing.wait_all_tasks_blocked()
            if how == "cancelled":
                scope.cancel()
            elif how == "raised":
                raise Break
            elif how == "refused by its store":
                store.write = refuse
                await runtime.submit(Stuck("cooperative"))

    audience = Audience()
    await trio.testing.wait_all_tasks_blocked()
    before, began = tasks_alive(), trio.current_time()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope, contextlib.suppress(Break, triphase.StoreUnavailable):
            await body(reopen())
    assert trio.current_time() - began <= 7 + 5
    assert sorted(audience.ended) == ["reader", "waiter"]
    statistics = audience.runtime.statistics()
    assert (statistics.active, statistics.waiting) == (0, 0)
    release.set()
    await trio.sleep(100)
    await trio.testing.wait_all_tasks_blocked()
    assert tasks_alive() == before
    # The store is free for another, and what is in it is sound.
    async with triphase.open_runtime([Stuck, Deaf], store=reopen(), clock=clock) as runtime:
        await runtime.pause("held")
        await log_of(runtime, audience.job)
        await runtime.cancel(audience.job)


async def refuse(*_: object) -> None:
    raise triphase.StoreUnavailable("the disk is full")


async def test_two_may_drain_a_runtime_and_it_may_be_drained_again(
    reopen: Reopen, gate: Gate
) -> None:
    drained: list[bool] = []

    async def drain(runtime: triphase.Runtime) -> None:
        drained.append(await runtime.drain())

    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        job = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, runtime)
            nursery.start_soon(drain, runtime)
            await trio.testing.wait_all_tasks_blocked()
            assert drained == []
            gate.opened.set()
        assert isinstance(await job.wait(), triphase.Completed)
        await drain(runtime)
    assert drained == [True] * 3


async def test_a_job_whose_actor_has_had_no_turn_is_put_back_and_is_not_taken_for_lost(
    reopen: Reopen, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime:
        directory = runtime._parts.directory
        real = directory.start

        def start(job: triphase.Job, effects: Any) -> None:
            real(job, effects)
            # As when everything is stopped while the new task still waits for its first turn.
            supervisor: Any = directory._supervisor
            supervisor._stop_nowait(supervisor._children[f"job:{job.id}:{job.run}"], "closing")

        monkeypatch.setattr(directory, "start", start)
        job = await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        assert (await job.get()).state is JobState.RUNNING
        assert gate.order == []
    gate.opened.set()
    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        assert isinstance(await runtime.wait(job.id), triphase.Completed)
        causes = [event.data.get("cause") for event in await log_of(runtime, job.id)]
        assert (causes.count("shutdown"), causes.count("lost")) == (2, 0)
