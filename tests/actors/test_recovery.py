"""A process that dies or is shut down: what becomes of what it ran."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

import triphase
from triphase.store import Disk, SimulatedStore
from triphase_protocol import Event, fold

ran: list[str] = []
"""The phases whose handlers were started, in order."""


def job_type(on_restart: str, lost_most: int = 5) -> type[Any]:
    @triphase.job(name="Long", on_restart=on_restart, lost_most=lost_most)
    class Long:
        @triphase.phase()
        async def first(self, ctx: triphase.Context) -> str:
            ran.append("first")
            return "one"

        @triphase.phase()
        async def second(self, ctx: triphase.Context) -> str:
            ran.append("second")
            await ctx.progress(7, total=9)
            if ctx.attempt < 99:
                await trio.sleep_forever()
            return "two"

        @triphase.phase()
        async def third(self, ctx: triphase.Context) -> str:
            return "three"

    return Long


async def die_once(disk: Disk, kind: type[Any], *, submit: bool = False) -> None:
    """Run what is there until nothing moves, and die: nothing of the end reaches the disk."""
    store = SimulatedStore(disk)
    with trio.CancelScope() as scope:
        async with triphase.open_runtime([kind], store=store) as runtime:
            if submit:
                await runtime.submit(kind())
            await trio.testing.wait_all_tasks_blocked()
            store.fence()
            scope.cancel()
            await trio.lowlevel.checkpoint()


async def shut_down_once(disk: Disk, kind: type[Any], *, submit: bool = False) -> None:
    """Run what is there until nothing moves, and leave in good order."""
    async with triphase.open_runtime(
        [kind], store=SimulatedStore(disk), drain_timeout=0
    ) as runtime:
        if submit:
            await runtime.submit(kind())
        await trio.testing.wait_all_tasks_blocked()


async def look(disk: Disk, kind: type[Any]) -> tuple[triphase.Job, list[Event]]:
    """Open the store again; return the only job as it is then, and its events."""
    async with triphase.open_runtime(
        [kind], store=SimulatedStore(disk), drain_timeout=0
    ) as runtime:
        [record] = (await runtime.find()).jobs
        # As it was found, before the scheduler starts it again.
        events = await runtime._parts.store.events(job=record.id)
        return record, events


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@pytest.mark.parametrize("end", [die_once, shut_down_once], ids=["killed", "shut down"])
@pytest.mark.parametrize(
    ("on_restart", "state", "phases"),
    [
        ("resume", "queued", ["completed", "interrupted", "pending"]),
        ("restart", "queued", ["pending", "pending", "pending"]),
        ("fail", "failed", ["completed", "cancelled", "cancelled"]),
        ("hold", "interrupted", ["completed", "interrupted", "cancelled"]),
    ],
)
async def test_the_job_types_policy_decides_what_becomes_of_an_interrupted_run(
    on_restart: str, state: str, phases: list[str], end: Any
) -> None:
    disk, kind = Disk(), job_type(on_restart)
    await end(disk, kind, submit=True)
    record, events = await look(disk, kind)
    assert record.state.value == state
    assert [phase.state.value for phase in record.phases] == phases
    summary = fold(events)
    assert summary.state is record.state
    assert summary.phases == {phase.name: phase.state for phase in record.phases}
    [interrupted] = [e for e in events if e.type is triphase.EventType.PHASE_INTERRUPTED]
    assert interrupted.phase == "second"
    cause = "lost" if end is die_once else "shutdown"
    assert (interrupted.data["cause"], interrupted.data["attempt"]) == (cause, 1)
    if on_restart == "hold":
        assert record.phases[1].progress == triphase.Progress(done=7, total=9)
        assert record.reason
        assert isinstance(record, triphase.Job)


async def test_restart_runs_completed_phases_again_and_resume_does_not() -> None:
    for on_restart, expected in [
        ("resume", ["first", "second", "second"]),
        ("restart", ["first", "second", "first", "second"]),
    ]:
        ran.clear()
        disk, kind = Disk(), job_type(on_restart)
        await die_once(disk, kind, submit=True)
        await die_once(disk, kind)
        assert ran == expected


@pytest.mark.parametrize("on_restart", ["resume", "restart"])
async def test_a_job_that_kills_its_process_again_and_again_ends(on_restart: str) -> None:
    disk, kind = Disk(), job_type(on_restart, lost_most=2)
    await die_once(disk, kind, submit=True)
    await die_once(disk, kind)
    await die_once(disk, kind)
    record, events = await look(disk, kind)
    assert record.state is triphase.JobState.FAILED
    assert record.error is not None
    assert record.error.message == "second: its process was lost 3 times"
    assert fold(events).state is triphase.JobState.FAILED
    assert ran.count("second") == 3


async def test_shutdowns_use_up_no_budget() -> None:
    disk, kind = Disk(), job_type("resume", lost_most=0)
    await shut_down_once(disk, kind, submit=True)
    for _ in range(4):
        await shut_down_once(disk, kind)
    record, _ = await look(disk, kind)
    assert record.state is triphase.JobState.QUEUED
    assert record.phases[1].spent == {"shutdown": 5}


async def test_a_held_job_waits_for_a_retry_that_goes_on_where_it_was() -> None:
    disk, kind = Disk(), job_type("hold")
    await die_once(disk, kind, submit=True)
    ran.clear()
    async with triphase.open_runtime(
        [kind], store=SimulatedStore(disk), drain_timeout=0
    ) as runtime:
        [record] = (await runtime.find()).jobs
        outcome = await runtime.wait(record.id)
        assert isinstance(outcome, triphase.Interrupted)
        await runtime.retry(record.id)
        await trio.testing.wait_all_tasks_blocked()
        assert ran == ["second"]
        await runtime.cancel(record.id)


async def test_recovering_twice_changes_nothing() -> None:
    disk, kind = Disk(), job_type("hold")
    await die_once(disk, kind, submit=True)
    once, _ = await look(disk, kind)
    twice, _ = await look(disk, kind)
    assert once == twice


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_restart": "explode"}, "on_restart='explode'; there are: 'resume', 'restart'"),
        ({"lost_most": -1}, "lost_most=-1"),
        ({"lost_most": True}, "lost_most=True"),
    ],
)
def test_a_policy_that_is_none_is_refused_when_it_is_declared(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(triphase.DefinitionError) as caught:

        @triphase.job(**options)
        class Wrong:
            @triphase.phase()
            async def only(self, ctx: triphase.Context) -> None: ...

    assert message in str(caught.value)
