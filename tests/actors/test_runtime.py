"""The runtime from outside: submit, run, wait, look, follow, close."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
import trio.testing

import triphase
from triphase.store import Disk, SimulatedStore, Store
from triphase_protocol import fold

Reopen = Callable[[], Store]


@attrs.frozen
class Size:
    width: int
    height: int


@triphase.job(queue="media")
class Transcode:
    url: str

    @triphase.phase()
    async def fetch(self, ctx: triphase.Context) -> Size:
        await ctx.progress(3, total=10, message="downloading")
        return Size(4, 3)

    @triphase.phase()
    def encode(self, ctx: triphase.Context) -> dict[str, int]:
        size = ctx.result_of(Transcode.fetch)
        ctx.progress_nowait(1, total=1)
        return {"pixels": size.width * size.height, "attempt": ctx.attempt}


class Gate:
    """Holds handlers until it is opened, and counts those inside."""

    def __init__(self) -> None:
        self.opened = trio.Event()
        self.inside = 0
        self.most = 0
        self.order: list[str] = []

    async def pass_through(self, name: str) -> None:
        self.order.append(name)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.opened.wait()
        finally:
            self.inside -= 1


# Handlers are methods of module-level classes: they find their gate here.
gates: list[Gate] = []


@pytest.fixture
def gate() -> Gate:
    gates[:] = [Gate()]
    return gates[0]


@triphase.job(queue="held")
class Held:
    name: str

    @triphase.phase()
    async def hold(self, ctx: triphase.Context) -> str:
        await gates[0].pass_through(self.name)
        return self.name


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


async def test_the_same_key_and_payload_is_the_same_job(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode, Flaky], store=reopen()) as runtime:
        first = await runtime.submit(Transcode("u"), key="k")
        assert await runtime.submit(Transcode("u"), key="k") == first
        await first.wait()
        assert await runtime.submit(Transcode("u"), key="k") == first
        with pytest.raises(triphase.KeyConflict, match=f"key 'k' belongs to job {first.id}"):
            await runtime.submit(Transcode("v"), key="k")
        with pytest.raises(triphase.KeyConflict, match="another type"):
            await runtime.submit(Flaky(0), key="k")
        assert len((await runtime.find()).jobs) == 1


async def test_many_submits_of_one_key_at_once_make_one_job(reopen: Reopen) -> None:
    ids: set[str] = set()

    async def submit(runtime: triphase.Runtime) -> None:
        ids.add((await runtime.submit(Transcode("u"), key="k")).id)

    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(submit, runtime)
        assert len(ids) == 1


async def test_limits_hold_per_queue_and_in_total(reopen: Reopen, gate: Gate) -> None:
    async with triphase.open_runtime(
        [Held], store=reopen(), queues={"held": triphase.Queue(3)}, limit=2
    ) as runtime:
        jobs = [await runtime.submit(Held(str(n))) for n in range(8)]
        await trio.testing.wait_all_tasks_blocked()
        assert gate.inside == 2
        gate.opened.set()
        await runtime.wait_all(job.id for job in jobs)
        assert gate.most == 2
        assert sorted(gate.order) == [str(n) for n in range(8)]


async def test_higher_priority_starts_first(reopen: Reopen, gate: Gate) -> None:
    queues = {"held": triphase.Queue(1)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        await runtime.submit(Held("blocker"))
        await trio.testing.wait_all_tasks_blocked()
        jobs = [
            await runtime.submit(Held(name), priority=priority)
            for name, priority in [("low", -1), ("first", 0), ("second", 0), ("urgent", 9)]
        ]
        gate.opened.set()
        await runtime.wait_all(job.id for job in jobs)
    assert gate.order == ["blocker", "urgent", "first", "second", "low"]


async def test_delayed_and_dated_jobs_start_when_they_are_due(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    gate.opened.set()
    async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
        begin = clock.now()
        later = await runtime.submit(Held("delay"), delay=3600)
        date = datetime.datetime.fromtimestamp(begin + 60, datetime.UTC)
        dated = await runtime.submit(Held("dated"), at=date)
        assert (await later.get()).state is triphase.JobState.SCHEDULED
        await runtime.wait_all([later.id, dated.id])
        assert (await dated.get()).started_at == pytest.approx(begin + 60)
        assert (await later.get()).started_at == pytest.approx(begin + 3600)
    assert gate.order == ["dated", "delay"]


@triphase.job()
class Flaky:
    fails: int

    @triphase.phase()
    async def sure(self, ctx: triphase.Context) -> int:
        return ctx.attempt

    @triphase.phase(retry=triphase.Retry(attempts=4, backoff=10, jitter=False))
    async def shaky(self, ctx: triphase.Context) -> int:
        if ctx.attempt <= self.fails:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return ctx.attempt


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
    assert outcome.error.message == "two: the job's timeout passed"
    assert record.started_at is not None
    assert record.finished_at == pytest.approx(record.started_at + 10)


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


async def test_unknown_ids_types_and_queues_are_named(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        with pytest.raises(triphase.JobNotFound, match="'nobody'"):
            await runtime.get("nobody")
        with pytest.raises(triphase.JobNotFound, match="'nobody'"):
            await runtime.wait("nobody")
        with pytest.raises(triphase.UnknownJobType, match=r"'Held' .*: Transcode"):
            await runtime.submit(Held("x"))
        with pytest.raises(triphase.UnknownQueue, match=r"'nowhere'; there are: media"):
            await runtime.submit(Transcode("u"), queue="nowhere")
        assert (await runtime.find()).jobs == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": -1}, "delay=-1"),
        ({"delay": float("nan")}, "delay=nan"),
        ({"delay": 1, "at": 2.0}, "give one of them"),
        ({"at": datetime.datetime(2030, 1, 1)}, "needs a time zone"),
        ({"at": "tomorrow"}, "at='tomorrow'"),
        ({"priority": 1.5}, "priority=1.5"),
        ({"priority": 2**40}, "priority="),
        ({"key": ""}, "key ''"),
        ({"key": 7}, "key 7"),
        ({"labels": {"a": 1}}, "label 'a' 1"),
        ({"labels": ["a"]}, "labels="),
        ({"labels": {"a": "\ud800"}}, "surrogate"),
    ],
)
async def test_an_option_out_of_range_is_named_and_nothing_is_stored(
    options: dict[str, Any], message: str
) -> None:
    async with triphase.open_runtime([Transcode], store="memory:") as runtime:
        with pytest.raises(triphase.InvalidValue) as caught:
            await runtime.submit(Transcode("u"), **options)
        assert message in str(caught.value)
        assert (await runtime.find()).jobs == ()


async def test_a_payload_of_the_wrong_shape_names_the_field_and_nothing_is_stored() -> None:
    five: Any = 5
    async with triphase.open_runtime([Transcode], store="memory:") as runtime:
        with pytest.raises(triphase.InvalidPayload, match=r"\$\.url: expected str, got 5 \(int\)"):
            await runtime.submit(Transcode(five))
        assert (await runtime.find()).jobs == ()


async def test_find_filters_and_pages(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode, Flaky], store=reopen()) as runtime:
        ids = [
            (await runtime.submit(Transcode(str(n)), labels={"n": str(n % 2)})).id for n in range(5)
        ]
        await runtime.submit(Flaky(0))
        await runtime.wait_all(ids)
        found = await runtime.find(types=["Transcode"], labels={"n": "0"}, newest_first=False)
        assert [job.id for job in found.jobs] == [ids[0], ids[2], ids[4]]
        page = await runtime.find(types=["Transcode"], limit=3)
        assert [job.id for job in page.jobs] == [ids[4], ids[3], ids[2]]
        rest = await runtime.find(types=["Transcode"], limit=3, after=page.next)
        assert [job.id for job in rest.jobs] == [ids[1], ids[0]]
        assert rest.next is None
        assert (await runtime.find(states=["failed"])).jobs == ()
        with pytest.raises(triphase.InvalidValue, match="'done' is not a job state"):
            await runtime.find(states=["done"])
        with pytest.raises(triphase.InvalidValue, match="limit=0"):
            await runtime.find(limit=0)


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
        assert runtime.statistics().threads == 0
    assert names != [threading.get_ident()]


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
