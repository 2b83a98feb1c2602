"""Approvals: a job waits at its gate, in every way it can come there, and is decided once."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import triphase
from triphase.store import Disk, SimulatedStore

from .sample_jobs import Reopen

started: list[str] = []


@pytest.fixture(autouse=True)
def nothing_started() -> None:
    started.clear()


@triphase.job()
class Deploy:
    """Its second phase needs an approval of its own."""

    version: str

    @triphase.phase()
    async def build(self, ctx: triphase.Context) -> str:
        started.append("build")
        return f"{self.version}.tar"

    @triphase.phase(approval=triphase.Approval(timeout=60))
    async def release(self, ctx: triphase.Context) -> str:
        started.append("release")
        return ctx.result_of(Deploy.build)


async def test_a_phase_waits_for_its_approval_without_a_slot_and_goes_on_after_it(
    reopen: Reopen,
) -> None:
    async with triphase.open_runtime([Deploy], store=reopen(), limit=1) as runtime:
        job = await runtime.submit(Deploy("1"))
        event = await anext(runtime.events(after=0, types="job.gated"))
        record = await job.get()
        assert (record.state, record.owner, started) == ("gated", None, ["build"])
        assert await runtime.explain(job) == (
            triphase.NotApproved("release", event.at, event.at + 60),
        )
        other = await runtime.submit(Deploy("2"))
        while (await other.get()).state is not triphase.JobState.GATED:
            await trio.testing.wait_all_tasks_blocked()
        decision = await job.approve(by="alice", reason="tested")
        assert (decision.approved, decision.by, decision.reason) == (True, "alice", "tested")
        assert await job.wait() == triphase.Completed(job=job.id, run=2, result="1.tar")
        await other.cancel()
    assert started == ["build", "build", "release"]


async def test_a_rejection_is_an_outcome_with_its_reason(reopen: Reopen) -> None:
    async with triphase.open_runtime([Deploy], store=reopen()) as runtime:
        job = await runtime.submit(Deploy("1"), approval=True)
        assert (await job.reject(by="bob", reason="not today")).approved is False
        outcome = await job.wait()
    assert outcome == triphase.Rejected(job=job.id, run=0, reason="not today")
    assert started == []


async def test_who_decides_later_is_told_what_was_decided(reopen: Reopen) -> None:
    async with triphase.open_runtime([Deploy], store=reopen()) as runtime:
        job = await runtime.submit(Deploy("1"), approval=True)
        first = await job.reject(by="bob")
        assert await job.approve(by="alice") == first
        assert await job.reject(by="carol") == first
        assert (await job.get()).state is triphase.JobState.REJECTED


async def test_of_many_decisions_at_once_one_counts_and_all_are_told_of_it(reopen: Reopen) -> None:
    async with triphase.open_runtime([Deploy], store=reopen()) as runtime:
        job = await runtime.submit(Deploy("1"), approval=True)
        decisions: list[triphase.Gate] = []

        async def decide(number: int) -> None:
            verb = job.approve if number % 2 else job.reject
            decisions.append(await verb(by=str(number)))

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(decide, number)
        assert len({(each.by, each.approved) for each in decisions}) == 1
        types = [event.type.value for event in await runtime._parts.store.events(job=job.id)]
        assert types.count("job.approved") + types.count("job.rejected") == 1


async def test_a_click_on_an_old_card_decides_nothing_else(reopen: Reopen) -> None:
    async with triphase.open_runtime([Deploy], store=reopen()) as runtime:
        job = await runtime.submit(Deploy("1"), approval=True)
        await job.approve(phase="build")
        while (await job.get()).state is not triphase.JobState.GATED:
            await trio.testing.wait_all_tasks_blocked()
        # The same card once more: it was about the first gate.
        assert (await job.reject(phase="build")).approved is True
        assert (await job.get()).state is triphase.JobState.GATED
        with pytest.raises(triphase.IllegalTransition, match="asked for again, in run 1"):
            await job.approve(phase="release", asked_in=0)
        await job.approve(phase="release", asked_in=1)
        assert isinstance(await job.wait(), triphase.Completed)


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_a_job_that_asks_for_no_approval_refuses_decisions(verb: str) -> None:
    async with triphase.open_runtime([Deploy], store="memory:") as runtime:
        job = await runtime.submit(Deploy("1"), delay=100)
        decide = getattr(runtime, verb)
        with pytest.raises(triphase.IllegalTransition, match="wait for approval: it is scheduled"):
            await decide(job)
        with pytest.raises(triphase.UnknownPhase, match="has no phase 'deploy'"):
            await decide(job, phase="deploy")
        with pytest.raises(triphase.JobNotFound, match="no job 'nobody'"):
            await decide("nobody")
        with pytest.raises(triphase.InvalidValue, match="asked_in='1'"):
            await decide(job, asked_in="1")


async def test_nobody_deciding_in_time_rejects_exactly_then(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Deploy], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Deploy("1"), approval=triphase.Approval(timeout=33))
        began = trio.current_time()
        outcome = await job.wait()
        assert outcome == triphase.Rejected(job=job.id, run=0, reason="nobody approved it in 33 s")
        assert trio.current_time() - began == pytest.approx(33)
        await trio.testing.wait_all_tasks_blocked()
        assert runtime.statistics().reconciler.expired == 1


async def test_the_time_to_approve_counts_from_the_first_asking_across_restarts(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    disk = Disk()
    async with triphase.open_runtime([Deploy], store=SimulatedStore(disk), clock=clock) as runtime:
        job = await runtime.submit(Deploy("1"), approval=triphase.Approval(timeout=100))
    for _ in range(3):
        await trio.sleep(30)
        async with triphase.open_runtime(
            [Deploy], store=SimulatedStore(disk), clock=clock
        ) as runtime:
            assert (await runtime.get(job)).state is triphase.JobState.GATED
    async with triphase.open_runtime([Deploy], store=SimulatedStore(disk), clock=clock) as runtime:
        begin = trio.current_time()
        assert isinstance(await runtime.wait(job), triphase.Rejected)
        assert trio.current_time() - begin == pytest.approx(10)


async def test_one_whose_time_passed_while_nothing_ran_is_rejected_at_the_open(
    clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    disk = Disk()
    async with triphase.open_runtime([Deploy], store=SimulatedStore(disk), clock=clock) as runtime:
        job = await runtime.submit(Deploy("1"), approval=triphase.Approval(timeout=100))
    await trio.sleep(500)
    async with triphase.open_runtime([Deploy], store=SimulatedStore(disk), clock=clock) as runtime:
        assert (await runtime.get(job)).state is triphase.JobState.REJECTED


@triphase.job(approval=True)
class Careful:
    @triphase.phase()
    async def go(self, ctx: triphase.Context) -> None:
        started.append("go")


async def test_what_the_type_asks_for_nobody_can_leave_out(reopen: Reopen) -> None:
    async with triphase.open_runtime([Careful], store=reopen()) as runtime:
        for given in (None, False):
            job = await runtime.submit(Careful(), approval=given, delay=0.0)
            assert (await job.get()).state is triphase.JobState.GATED
        with pytest.raises(triphase.InvalidValue, match="approval='yes': must be True or"):
            await runtime.submit(Careful(), approval="yes")  # type: ignore[arg-type]
    assert started == []


async def test_a_cancel_ends_a_wait_for_approval(reopen: Reopen) -> None:
    async with triphase.open_runtime([Careful], store=reopen()) as runtime:
        job = await runtime.submit(Careful())
        await job.cancel(reason="not needed")
        assert isinstance(await job.wait(), triphase.Cancelled)
        with pytest.raises(triphase.IllegalTransition, match="it is cancelled"):
            await job.approve()
