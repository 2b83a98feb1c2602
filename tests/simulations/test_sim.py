"""`Sim` and `simulate`: what a test author holds in hand."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
import trio
from hypothesis import given, settings, strategies as st

import triphase
from triphase_simulations import (
    ProcessDied,
    Sim,
    SimRuntime,
    SimulationEscape,
    SimulationFailed,
    point,
    simulate,
    stub,
)


class Psp:
    """A payment service."""

    def __init__(self) -> None:
        self.orders: list[int] = []

    async def charge(self, order: int) -> None:
        self.orders.append(order)

    def charges(self, order: int) -> int:
        return self.orders.count(order)


class Inbox:
    """Receives webhooks."""

    def post(self, headers: Mapping[str, str], body: bytes) -> None: ...


psp_stub = stub("https://psp", Psp)


@triphase.job()
class Refund:
    order: int

    @triphase.phase(retry=triphase.Retry(attempts=5, backoff=1))
    async def look(self, ctx: triphase.Context) -> int:
        await trio.sleep(1)
        await point("looked")
        return self.order

    @triphase.phase(retry=triphase.Retry(attempts=5, backoff=1))
    async def charge(self, ctx: triphase.Context) -> str:
        await psp_stub.charge(ctx.result_of(Refund.look))
        return "charged"


@triphase.job()
class Gated:
    @triphase.phase(approval=True)
    async def act(self, ctx: triphase.Context) -> None: ...


def failure_of(test: Any, **about: Any) -> str:
    """Run a test that fails; return its report."""
    with pytest.raises(SimulationFailed) as raised:
        test(**about)
    return str(raised.value)


# Runs


def test_each_seed_is_a_run_and_the_first_disturbs_nothing() -> None:
    seeds: list[int] = []

    @simulate(runs=3)
    async def test(sim: Sim) -> None:
        seeds.append(sim.seed)
        await trio.sleep(1)
        assert sim.now() == 1.0

    test()
    assert seeds == [0, 1, 2]
    test(seed=9)
    assert seeds == [0, 1, 2, 9]


def test_seeds_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    @simulate(seeds=(4, 8))
    async def test(sim: Sim) -> None: ...

    test()
    assert capsys.readouterr().out == "test: seeds 4, 8\n"


def test_a_skip_is_a_skip() -> None:
    @simulate(runs=2)
    async def test(sim: Sim) -> None:
        pytest.skip("for a reason")

    with pytest.raises(pytest.skip.Exception, match="for a reason"):
        test()


@pytest.mark.parametrize("number", [1, 2])
@simulate(runs=2)
async def test_parameters_and_fixtures_are_passed_on(
    sim: Sim, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert number in (1, 2)
    assert capsys is not None


@settings(max_examples=10, deadline=None)
@given(numbers=st.lists(st.integers(0, 9), max_size=3), seed=st.integers(0, 2**32))
@simulate()
async def test_hypothesis_draws_the_workload_and_the_seed(sim: Sim, numbers: list[int]) -> None:
    sim.chaos(crash=True)
    psp = sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    for place, number in enumerate(numbers):
        await runtime.submit(Refund(number), key=f"{place}")
    await sim.settle()
    assert set(psp.orders) == set(numbers)


def test_the_same_seed_is_the_same_run() -> None:
    hashes: list[str] = []

    @simulate(runs=8)
    async def test(sim: Sim) -> None:
        sim.chaos(crash=True, clock=True, refusals=True)
        sim.service("https://psp", Psp())
        runtime = await sim.runtime([Refund])
        await runtime.submit(Refund(1), key="one")
        await sim.settle()
        hashes.append(sim.world.history.hash())

    test()
    test()
    assert hashes[:8] == hashes[8:]
    assert len(set(hashes)) > 3


# Failures


@simulate(runs=100)
async def charged_twice(sim: Sim) -> None:
    """Fails: a crash after the charge charges again."""
    sim.chaos(crash=True)
    psp = sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    await runtime.submit(Refund(1), key="one")
    sim.always("charged at most once", lambda: psp.charges(1) <= 1)
    await sim.settle()


def test_a_failure_names_its_seed_and_what_is_left_of_its_plan() -> None:
    report = failure_of(charged_twice)
    first = report.splitlines()[0]
    assert first.startswith("charged_twice fails with seed ")
    assert "  not always: charged at most once\n" in report
    seed = int(first.partition("seed ")[2].partition(",")[0])
    assert f"--sim-seed={seed}" in report
    assert "what disturbed it (1 of " in report
    assert "  crash at " in report
    assert "store      phase.completed" in report
    assert failure_of(charged_twice, seed=seed) == report


def test_a_failing_assert_is_the_cause() -> None:
    @simulate(runs=2)
    async def test(sim: Sim) -> None:
        await trio.sleep(1)
        assert sim.now() == 2, "it is not two"

    with pytest.raises(SimulationFailed, match="it is not two") as raised:
        test()
    assert isinstance(raised.value.__cause__, AssertionError)
    assert "nothing" in str(raised.value)


def test_what_pytest_calls_a_failure_is_one() -> None:
    @simulate(runs=3)
    async def test(sim: Sim) -> None:
        with pytest.raises(ZeroDivisionError):
            await trio.sleep(sim.seed)

    assert "DID NOT RAISE" in failure_of(test)


def test_what_does_not_settle_is_reported_with_who_waits() -> None:
    @simulate(runs=1)
    async def test(sim: Sim) -> None:
        runtime = await sim.runtime([Gated])
        await runtime.submit(Gated())
        await sim.settle(within=100)

    report = failure_of(test)
    assert "not settled in 100 s without any fault" in report
    assert "(Gated) is gated, run 0, phase act: pending" in report


def test_a_test_that_waits_for_ever_is_ended_with_where_it_waits() -> None:
    async def wait_in_vain(runtime: SimRuntime, job: triphase.JobHandle) -> None:
        await runtime.wait(job)

    @simulate(runs=1, most=1000)
    async def test(sim: Sim) -> None:
        runtime = await sim.runtime([Gated])
        await wait_in_vain(runtime, await runtime.submit(Gated()))

    report = failure_of(test)
    assert "the test has not ended in 1000 virtual seconds" in report
    assert "wait_in_vain:" in report


def test_what_is_never_true_sometimes_fails_at_the_end() -> None:
    def claiming(runs: int, *, holds: bool) -> Any:
        @simulate(runs=runs)
        async def test(sim: Sim) -> None:
            sim.sometimes("the moon is full", lambda: holds and sim.seed == 7)

        return test

    assert "never true in 20 runs" in failure_of(claiming(20, holds=False))
    claiming(20, holds=True)()
    claiming(19, holds=False)()


def test_what_is_to_be_true_eventually_is_waited_for() -> None:
    @simulate(runs=1)
    async def test(sim: Sim, *, after: float) -> None:
        sim.service("https://psp", Psp())
        runtime = await sim.runtime([Refund])
        await runtime.submit(Refund(1))
        sim.eventually("it is late", lambda: sim.now() > after)
        await sim.settle(within=100)

    test(after=50)
    assert "not eventually: it is late" in failure_of(test, after=500)


def test_what_the_runtime_cannot_be_opened_with_is_told() -> None:
    @triphase.job()
    class Outside:
        @triphase.command()
        def run(self, ctx: triphase.Context) -> triphase.Command:
            return triphase.Command(["true"])

    @simulate(runs=1)
    async def test(sim: Sim) -> None:
        with pytest.raises(SimulationEscape, match="'run' of job type 'Outside'"):
            await sim.runtime([Outside])
        with pytest.raises(triphase.DefinitionError, match="is not a job type"):
            await sim.runtime([int])
        with pytest.raises(triphase.DefinitionError, match="limit"):
            await sim.runtime([Refund], limit=0)
        with pytest.raises(RuntimeError, match="one runtime"):
            await sim.runtime([Refund])

    test()


# The runtime


def test_every_verb_of_a_runtime_outlives_a_crash() -> None:
    def verbs(cls: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(cls, callable) if name[0] != "_"}

    assert verbs(triphase.Runtime) - set(vars(SimRuntime)) == {"handle"}


@simulate(runs=1)
async def test_deliveries_are_looked_at_in_whatever_life_there_is(sim: Sim) -> None:
    sim.service("https://psp", Psp())
    sim.service("https://app.example/jobs", Inbox())
    runtime = await sim.runtime([Refund], webhooks="https://app.example/jobs")
    job = await runtime.submit(Refund(1), key="one")
    await anext(runtime.events(after=0, types="hook.delivered"))
    sim.crash()
    [hook] = await runtime.hooks(job=job, states="delivered")
    sim.crash()
    assert (await runtime.hook(hook.id)).body is not None
    sim.crash_at("store.before")
    with pytest.raises(ProcessDied, match="redeliver"):
        await runtime.redeliver(hook.id)
    assert (await runtime.hook(hook.id)).state == "delivered"
    assert (await runtime.redeliver(hook.id)).state == "pending"
    with pytest.raises(triphase.HookNotFound):
        await runtime.redeliver("nothing")


@simulate(runs=1)
async def test_what_is_safe_is_asked_again_and_the_rest_says_so(sim: Sim) -> None:
    sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    sim.crash_at("store.after")
    job = await runtime.submit(Refund(1), key="one")
    assert (await job.get()).key == "one"
    sim.crash_at("store.after")
    with pytest.raises(ProcessDied, match="submit: the process died before it answered"):
        await runtime.submit(Refund(2))
    await job.get()
    await trio.sleep(0.5)
    sim.crash_at("store.before")
    with pytest.raises(ProcessDied):
        await job.cancel()
    outcomes = await runtime.wait_all([record.id for record in (await runtime.find()).jobs])
    assert [type(outcome) for outcome in outcomes.values()] == [triphase.Completed] * 2
    with pytest.raises(triphase.JobNotFound):
        await runtime.get("nothing")
    with pytest.raises(triphase.IllegalTransition):
        await runtime.cancel(job)


@simulate(runs=25)
async def test_events_come_once_and_in_order_through_every_crash(sim: Sim) -> None:
    sim.chaos(crash=True)
    sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    job = await runtime.submit(Refund(1), key="one")
    versions = [event.version async for event in job.events()]
    assert versions == list(range(1, len(versions) + 1))
    assert (await job.get()).version == versions[-1]
    sim.sometimes("a crash came between", "crash" in {kind for kind, _, _ in sim.plan.used})


@simulate(runs=1)
async def test_a_restart_resumes_the_jobs(sim: Sim) -> None:
    psp = sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    job = await runtime.submit(Refund(1))
    await sim.until(sim.event("phase.started"))
    await sim.restart()
    assert isinstance(await job.wait(), triphase.Completed)
    assert (await job.get()).phases[0].spent == {"shutdown": 1}
    assert psp.charges(1) == 1
    assert repr(runtime) == "<SimRuntime: node#2>"
    assert runtime.statistics().active == 0
    assert "default" in runtime.queues()


@simulate(runs=40)
async def test_a_refused_write_is_tried_again(sim: Sim) -> None:
    sim.chaos(refusals=True)
    sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    job = await runtime.submit(Refund(1), key="one")
    await sim.settle()
    assert (await job.get()).terminal
    sim.sometimes("refused", any(site == "store.write" for _, site, _ in sim.plan.used))


# Moments and scripts


@simulate(runs=40)
async def test_a_cancel_is_tied_to_a_boundary(sim: Sim) -> None:
    psp = sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    job = await runtime.submit(Refund(1))
    sim.at(sim.boundary(job, "look"), runtime.cancel, job)
    await sim.settle()
    outcome = await job.wait()
    sim.sometimes("cancelled before the charge", not psp.charges(1))
    sim.sometimes("too late", isinstance(outcome, triphase.Completed))


@simulate(runs=1)
async def test_a_point_is_waited_for_and_held(sim: Sim) -> None:
    psp = sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    job = await runtime.submit(Refund(1))
    await sim.until(sim.reached("looked"))
    assert sim.now() == 1.0
    async with sim.held_at("call:https://psp"):
        await trio.sleep(100)
        assert psp.charges(1) == 0
        assert (await job.get()).phases[1].state is triphase.PhaseState.RUNNING
    assert isinstance(await job.wait(), triphase.Completed)
    await sim.until(sim.event(triphase.EventType.JOB_COMPLETED, job=job))
    await sim.until(sim.after(3))
    assert sim.now() == 104.0


@simulate(runs=1)
async def test_others_go_on_while_the_committer_is_held(sim: Sim) -> None:
    psp = sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    job = await runtime.submit(Refund(1))
    await sim.until(sim.boundary(job, "look"))
    async with sim.held("committer"):
        committed = len(sim.log())
        sim.at(sim.after(0), job.cancel)
        await trio.sleep(10)
        assert psp.charges(1) == 1
        assert (await job.get()).state is triphase.JobState.RUNNING
        assert len(sim.log()) == committed
    # What was done before the cancel is recorded before it.
    assert isinstance(await job.wait(), triphase.Completed)


@simulate(runs=1)
async def test_a_task_is_held_for_some_turns(sim: Sim) -> None:
    sim.service("https://psp", Psp())
    sim.hold("committer", 5, at_step=6)
    runtime = await sim.runtime([Refund])
    await (await runtime.submit(Refund(1))).wait()
    assert sim.plan.used == {("hold", "committer", 6): 5}


@simulate(runs=1)
async def test_a_moment_that_does_not_come_is_dropped(sim: Sim) -> None:
    sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    job = await runtime.submit(Refund(1))
    sim.at(sim.event("job.failed"), runtime.retry, job)
    sim.at(sim.event("job.completed"), runtime.cancel, job)
    await sim.settle()
    said = [(entry.lane, entry.what) for entry in sim.world.history.entries]
    assert ("at:1", "dropped") in said
    assert ("at:2", "denied") in said


def test_a_bug_in_what_is_called_at_a_moment_fails_the_test() -> None:
    async def broken() -> None:
        raise ZeroDivisionError("at a bad moment")

    @simulate(runs=1)
    async def test(sim: Sim) -> None:
        sim.at(sim.after(1), broken)
        await trio.sleep(5)

    assert "ZeroDivisionError: at a bad moment" in failure_of(test)
