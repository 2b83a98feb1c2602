"""The runtime from outside: how jobs run, end and are followed."""

from __future__ import annotations

import datetime
import enum
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

import triphase
from triphase_protocol import fold

from .sample_jobs import Flaky, Gate, Held, Reopen, Transcode


async def test_a_job_runs_its_phases_in_order_and_keeps_their_results(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        job = await runtime.submit(Transcode("u"))
        outcome = await job.wait()
        assert outcome == triphase.Completed(job=job.id, run=1, result={"pixels": 12, "attempt": 1})
        record = await job.get()
    assert record.state is triphase.JobState.COMPLETED
    assert [phase.name for phase in record.phases] == ["fetch", "encode"]
    assert record.phases[0].result == {"width": 4, "height": 3}
    assert record.phases[0].progress == triphase.Progress(done=3, total=10, message="downloading")
    assert record.phases[1].progress == triphase.Progress(done=1, total=1)
    assert record.payload == {"url": "u"}


async def test_the_result_is_there_after_the_runtime_is_gone(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        job = await runtime.submit(Transcode("u"))
        await job.wait()
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        outcome = await runtime.wait(job.id)
        assert isinstance(outcome, triphase.Completed)
        assert runtime.statistics().scheduler.started == 0


async def test_every_transition_is_an_event_and_the_row_is_their_fold(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        job = await runtime.submit(Transcode("u"))
        events = [event async for event in job.events()]
        record = await job.get()
    assert [event.type.value for event in events] == [
        "job.submitted",
        "job.queued",
        "job.started",
        "phase.started",
        "phase.progress",
        "phase.completed",
        "phase.started",
        "phase.progress",
        "phase.completed",
        "job.completed",
    ]
    assert [event.version for event in events] == list(range(1, 11))
    summary = fold(events)
    assert (summary.state, summary.version) == (record.state, record.version)


async def test_a_subscriber_that_reads_the_record_never_sees_less_than_the_event(
    reopen: Reopen,
) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        events = runtime.events(after=0)
        job = await runtime.submit(Transcode("u"))
        async for event in events:
            record = await runtime.get(event.job)
            assert record.version >= event.version
            if event.type is triphase.EventType.JOB_COMPLETED:
                assert record.result is not None
                assert record.id == job.id
                return


async def test_a_phase_is_retried_with_backoff_and_earlier_phases_are_not_run_again(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Flaky], store=reopen(), clock=clock) as runtime:
        begin = clock.now()
        job = await runtime.submit(Flaky(3))
        assert await job.wait() == triphase.Completed(job=job.id, run=4, result=4)
        record = await job.get()
    assert record.phases[0].attempt == 1
    assert record.phases[1].spent == {"error": 3}
    assert record.finished_at == pytest.approx(begin + 10 + 20 + 40)


async def test_a_phase_that_keeps_failing_fails_the_job_with_its_last_error(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Flaky], store=reopen(), clock=clock) as runtime:
        outcome = await (await runtime.submit(Flaky(99))).wait()
    assert isinstance(outcome, triphase.Failed)
    assert (outcome.error.type, outcome.error.message) == ("ConnectionError", "attempt 4")
    assert outcome.error.traceback is not None
    assert "in shaky" in outcome.error.traceback


@triphase.job()
class Odd:
    what: str

    @triphase.phase(timeout=5, retry=triphase.Retry(attempts=2, backoff=0))
    async def phase(self, ctx: triphase.Context) -> Any:
        return await ODD[self.what](ctx)


async def _returns(value: object) -> object:
    return value


async def _nested(ctx: triphase.Context) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_raise, triphase.Fail("from a child"))


async def _sleeps(seconds: float) -> None:
    await trio.sleep(seconds)


async def _raise(error: BaseException) -> None:
    raise error


ODD: dict[str, Callable[[triphase.Context], Any]] = {
    "set": lambda ctx: _returns({1, 2}),
    "nan": lambda ctx: _returns({"a": [1.0, float("nan")]}),
    "fail": lambda ctx: _returns(triphase.Fail("no such video")),
    "raise fail": lambda ctx: _raise(triphase.Fail("no such video")),
    "nested": _nested,
    "cancel": lambda ctx: _returns(triphase.Cancel("superseded")),
    "snooze": lambda ctx: _returns(triphase.Snooze(60) if ctx.attempt < 4 else ctx.attempt),
    "exit": lambda ctx: _raise(SystemExit(3)),
    "slow": lambda ctx: _sleeps(600),
    "bad text": lambda ctx: _raise(ValueError("\ud800")),
}


@pytest.mark.parametrize(
    ("what", "error", "message", "attempts"),
    [
        ("set", "InvalidResult", "result of phase 'phase' cannot be stored: $: {1, 2} (set)", 1),
        ("nan", "InvalidResult", "$.a[1]: nan is not a JSON number", 1),
        ("fail", "Fail", "no such video", 1),
        ("raise fail", "Fail", "no such video", 1),
        ("nested", "Fail", "from a child", 1),
        ("exit", "SystemExit", "3", 2),
        ("slow", "Timeout", "phase: no end after 5 s", 2),
        ("bad text", "ValueError", "\\ud800", 2),
    ],
)
async def test_how_a_phase_ends_is_data(
    what: str,
    error: str,
    message: str,
    attempts: int,
    reopen: Reopen,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with triphase.open_runtime([Odd], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Odd(what))
        outcome = await job.wait()
        assert isinstance(outcome, triphase.Failed)
        assert outcome.error.type == error
        assert message in outcome.error.message
        assert (await job.get()).phases[0].attempt == attempts


async def test_a_handler_may_cancel_its_job(reopen: Reopen) -> None:
    async with triphase.open_runtime([Odd], store=reopen()) as runtime:
        job = await runtime.submit(Odd("cancel"))
        outcome = await job.wait()
    assert outcome == triphase.Cancelled(job=job.id, run=1, reason="superseded")


async def test_a_snooze_comes_back_and_charges_no_error(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Odd], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Odd("snooze"))
        assert await job.wait() == triphase.Completed(job=job.id, run=4, result=4)
        record = await job.get()
    assert record.phases[0].spent == {"snooze": 3}
    assert record.started_at is not None
    assert record.finished_at == pytest.approx(record.started_at + 180)


@triphase.job(timeout=10)
class Long:
    @triphase.phase()
    async def one(self, ctx: triphase.Context) -> None:
        await trio.sleep(6)

    @triphase.phase(retry=triphase.Retry(attempts=9))
    async def two(self, ctx: triphase.Context) -> None:
        await trio.sleep(6)


async def test_a_job_has_its_own_time_over_all_phases(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Long], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Long())
        outcome = await job.wait()
        record = await job.get()
    assert isinstance(outcome, triphase.Failed)
    assert outcome.error.message == "two: the job's timeout of 10 s passed"
    assert record.started_at is not None
    assert record.finished_at == pytest.approx(record.started_at + 10)


@triphase.job(timeout=10)
class Slow:
    @triphase.phase(retry=triphase.Retry(attempts=9, backoff=60, jitter=False))
    async def only(self, ctx: triphase.Context) -> int:
        if ctx.attempt == 1:
            raise ConnectionError("at first")
        return ctx.attempt


async def test_a_job_whose_time_has_passed_in_its_backoff_is_not_tried_again(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Slow], store=reopen(), clock=clock) as runtime:
        outcome = await (await runtime.submit(Slow())).wait()
    assert isinstance(outcome, triphase.Failed)
    assert outcome.error.message == "the job has not ended in 10 s after its start"


class Colour(enum.Enum):
    RED = "red"


@triphase.job()
class Dated:
    @triphase.phase()
    async def day(self, ctx: triphase.Context) -> dict[str, datetime.date]:
        return {"a": datetime.date(2030, 1, 2)}

    @triphase.phase()
    async def colour(self, ctx: triphase.Context) -> Colour:
        assert ctx.result_of(Dated.day) == {"a": datetime.date(2030, 1, 2)}
        return Colour.RED

    @triphase.phase()
    async def end(self, ctx: triphase.Context) -> bool:
        return ctx.result_of(Dated.colour) is Colour.RED


async def test_results_are_stored_by_their_declared_type(reopen: Reopen) -> None:
    async with triphase.open_runtime([Dated], store=reopen()) as runtime:
        job = await runtime.submit(Dated())
        assert await job.wait() == triphase.Completed(job=job.id, run=1, result=True)
        results = [phase.result for phase in (await job.get()).phases]
    assert results == [{"a": "2030-01-02"}, "red", True]


@triphase.job()
class Chatty:
    @triphase.phase()
    async def talk(self, ctx: triphase.Context) -> None:
        for n in range(1000):
            await ctx.progress(n, total=1000)
            await trio.sleep(0.01)


async def test_progress_is_coalesced_and_the_last_one_is_kept(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime(
        [Chatty], store=reopen(), clock=clock, progress_interval=1.0
    ) as runtime:
        job = await runtime.submit(Chatty())
        await job.wait()
        done = [
            event.data["done"]
            async for event in job.events()
            if event.type is triphase.EventType.PHASE_PROGRESS
        ]
        record = await job.get()
    assert 10 <= len(done) <= 13
    assert done == sorted(done)
    assert record.phases[0].progress == triphase.Progress(done=999, total=1000)


@triphase.job()
class Jumping:
    @triphase.phase()
    async def jump(self, ctx: triphase.Context) -> int:
        await ctx.progress(1)
        await trio.testing.wait_all_tasks_blocked()
        await ctx.progress(2)
        await trio.testing.wait_all_tasks_blocked()
        clocks[0].jump(60)
        return 1


clocks: list[trio.testing.MockClock] = []


async def test_a_phase_that_ends_as_its_progress_is_due_is_not_lost(
    clock: triphase.TrioClock, mock_clock: trio.testing.MockClock
) -> None:
    clocks[:] = [mock_clock]
    async with triphase.open_runtime([Jumping], store="memory:", clock=clock) as runtime:
        job = await runtime.submit(Jumping())
        assert isinstance(await job.wait(), triphase.Completed)
        assert (await job.get()).phases[0].progress == triphase.Progress(done=2)


@pytest.mark.parametrize("timeout", [-1, -0.5, float("nan"), float("inf"), True, "1"])
async def test_a_timeout_that_is_no_time_is_refused(reopen: Reopen, timeout: Any) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        for wait in (runtime.wait("x", timeout), runtime.wait_all([], timeout)):
            with pytest.raises(
                triphase.InvalidValue, match=f"timeout={timeout!r}: must be a finite"
            ):
                await wait
        with pytest.raises(triphase.InvalidValue, match=f"timeout={timeout!r}"):
            await runtime.drain(timeout)
        # None of them has begun to drain it.
        outcome = await (await runtime.submit(Transcode("u"))).wait(60)
        assert isinstance(outcome, triphase.Completed)


async def test_waiting_has_its_own_timeout_and_leaves_the_job_alone(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Held("a"))
        with pytest.raises(triphase.WaitTimeout, match="has not ended in 3 s"):
            await job.wait(timeout=3)
        answers = await runtime.wait_all([job.id, "nobody"], timeout=3)
        assert answers == {
            job.id: triphase.TimedOut(job=job.id),
            "nobody": triphase.NotFound(job="nobody"),
        }
        gate.opened.set()
        assert isinstance(await job.wait(), triphase.Completed)
        assert runtime.statistics().waiting == 0


@triphase.job(name="Transcode", queue="media")
class Changed:
    url: str

    @triphase.phase()
    async def fetch(self, ctx: triphase.Context) -> None: ...

    @triphase.phase()
    async def publish(self, ctx: triphase.Context) -> None: ...


async def test_a_changed_phase_list_fails_the_job_and_keeps_its_results(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        job = await runtime.submit(Transcode("u"), delay=1e9)
    store = reopen()
    clock = triphase.TrioClock(4e9)
    async with triphase.open_runtime([Changed], store=store, clock=clock) as runtime:
        outcome = await runtime.wait(job.id)
    assert isinstance(outcome, triphase.Failed)
    assert outcome.error.type == "DefinitionChanged"
    assert "fetch, encode; Transcode now has fetch, publish" in outcome.error.message


async def test_a_job_of_a_type_that_is_not_known_waits_and_can_be_looked_at(
    reopen: Reopen, gate: Gate
) -> None:
    gate.opened.set()
    async with triphase.open_runtime([Held, Transcode], store=reopen()) as runtime:
        job = await runtime.submit(Held("a"), queue="media", delay=1e9)
    clock = triphase.TrioClock(4e9)
    async with triphase.open_runtime([Transcode], store=reopen(), clock=clock) as runtime:
        other = await runtime.submit(Transcode("u"))
        assert isinstance(await other.wait(), triphase.Completed)
        assert (await runtime.get(job.id)).state is triphase.JobState.QUEUED
    async with triphase.open_runtime([Held, Transcode], store=reopen(), clock=clock) as runtime:
        assert isinstance(await runtime.wait(job.id), triphase.Completed)


async def test_plain_functions_run_in_threads_of_their_own(gate: Gate) -> None:
    names: list[int] = []

    @triphase.job()
    class Plain:
        @triphase.phase()
        def work(self, ctx: triphase.Context) -> int:
            names.append(threading.get_ident())
            return ctx.attempt

    async with triphase.open_runtime([Plain], store="memory:") as runtime:
        await (await runtime.submit(Plain())).wait()
        assert runtime.statistics().handlers.running == 0
    assert names != [threading.get_ident()]
