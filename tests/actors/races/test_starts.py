"""A job is started once, never over a limit, and never left waiting while there is a slot.

Rows 14 to 18 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
import trio
import trio.testing
from tests.actors.processes.conftest import PATIENCE
from tests.actors.sample_jobs import Gate, Held, Reopen

import triphase
from triphase.journal import claim
from triphase.lifecycle import decide
from triphase.scheduler import LOOK_AGAIN, Signals
from triphase.store import Applied, Limits
from triphase_protocol import Claim, JobState

from .jobs import new_gate
from .moments import Hold, Refusal, log_of, starts_a_job, ticks


@pytest.mark.parametrize("before", [True, False], ids=["not durable", "durable"])
async def test_a_job_whose_start_takes_a_while_is_started_once_however_often_somebody_looks(
    before: bool, reopen: Reopen, gate: Gate
) -> None:
    store = reopen()
    async with (
        trio.open_nursery() as nursery,
        triphase.open_runtime([Held], store=store) as runtime,
    ):
        with Hold(store, "write", before=before, wanted=starts_a_job) as hold:
            jobs = [await runtime.submit(Held("0"))]
            await hold.reached.wait()
            for number in range(1, 4):
                nursery.start_soon(runtime.submit, Held(str(number)))
                runtime._parts.look()
                await trio.testing.wait_all_tasks_blocked()
            # No handler is called before its start is durable, and known to be.
            assert gate.order == []
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(gate.order) == ["0", "1", "2", "3"]
        assert await runtime._parts.store.slots() == {"held": 4}
        gate.opened.set()
        jobs = [runtime.handle(job.id) for job in (await runtime.find()).jobs]
        assert {(await job.wait()).run for job in jobs} == {1}


@pytest.mark.parametrize("method", ["slots", "queued", "due", "next_due"])
async def test_a_scheduler_that_crashes_at_any_of_its_reads_starts_each_job_once(
    method: str, reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    which, refused = 0, True
    while refused:
        store = reopen()
        async with triphase.open_runtime([Held], store=store, clock=clock) as runtime:
            gate = new_gate()
            await trio.testing.wait_all_tasks_blocked()
            refusal = Refusal(store, method, which)
            jobs = [await runtime.submit(Held(str(number)), delay=number) for number in range(4)]
            await trio.sleep(3)
            await trio.testing.wait_all_tasks_blocked()
            assert gate.order == ["0", "1", "2", "3"]
            gate.opened.set()
            outcomes = await runtime.wait_all(jobs)
            assert {o.run for o in outcomes.values() if isinstance(o, triphase.Completed)} == {1}
        which, refused = which + 1, refusal.happened
    assert which > 4


@pytest.mark.parametrize("verb", ["retry", "approve"])
async def test_of_many_who_want_a_job_to_go_on_one_starts_a_run(
    verb: str, reopen: Reopen, gate: Gate
) -> None:
    refused: list[str] = []

    async def attempt(delay: int) -> None:
        await ticks(delay)
        try:
            await getattr(job, verb)()
        except triphase.IllegalTransition:
            refused.append(verb)

    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        job = await runtime.submit(Held("a"), approval=verb == "approve")
        if verb == "retry":
            await job.cancel()
            await job.wait()
        gate.order.clear()
        async with trio.open_nursery() as nursery:
            for delay in range(30):
                nursery.start_soon(attempt, delay)
        await trio.testing.wait_all_tasks_blocked()
        assert gate.order == ["a"]
        # A decision that was made is told to whoever comes later; a second retry is refused.
        assert len(refused) == (29 if verb == "retry" else 0)
        gate.opened.set()
        assert isinstance(await job.wait(), triphase.Completed)
        await log_of(runtime, job.id)


async def test_a_count_of_slots_that_is_out_of_date_starts_nothing_over_the_limit(
    reopen: Reopen, gate: Gate
) -> None:
    store = reopen()
    async with triphase.open_runtime([Held], store=store, limit=1) as runtime:
        parts = runtime._parts
        await runtime.pause("held")
        first, second = await runtime.submit(Held("first")), await runtime.submit(Held("second"))
        with Hold(store, "slots") as hold:
            await runtime.resume("held")
            await hold.reached.wait()
            # It has counted none. Somebody else takes the only slot before it does.
            record = await second.get()
            decision = decide(record, Claim(owner="somebody else"), parts.clock.now())
            taken = claim(record, decision, Limits(total=1, queue=1))
            assert isinstance(await parts.writer.commit(taken), Applied)
        await trio.testing.wait_all_tasks_blocked()
        assert gate.order == []
        assert (await first.get()).state is JobState.QUEUED
        assert await store.slots() == {"held": 1}
        # Refused by the store, once; and it does not ask again and again.
        assert runtime.statistics().scheduler.refused == 1
        await second.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert gate.order == ["first"]
        gate.opened.set()


async def test_a_slot_that_is_freed_while_jobs_come_in_is_never_left_empty(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    # The others are looked at after it: meanwhile something may happen to it.
    queues = {name: triphase.Queue(limit=1) for name in ("held", "b", "c", "d")}
    for count in range(40):
        gate = new_gate()
        async with triphase.open_runtime(
            [Held], store=reopen(), queues=queues, clock=clock
        ) as runtime:
            begin = trio.current_time()
            await runtime.submit(Held("blocker"))
            await trio.testing.wait_all_tasks_blocked()
            gate.opened.set()
            await ticks(count)
            job = await runtime.submit(Held("next"))
            await job.wait()
            # Without the help of a look that comes by itself.
            assert (gate.most, trio.current_time()) == (1, begin)


@pytest.mark.parametrize("what", ["resumed", "raised", "due earlier"])
async def test_what_lets_a_job_start_does_so_at_once_whatever_goes_on(
    what: str, reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    for count in range(30):
        gate = new_gate()
        gate.opened.set()
        async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
            begin, after = trio.current_time(), 0.0
            if what == "resumed":
                await runtime.pause("held")
                job = await runtime.submit(Held("a"))
                await ticks(count)
                await runtime.resume("held")
            elif what == "raised":
                gate.opened = trio.Event()
                await runtime.set_limit("held", 1)
                await runtime.submit(Held("blocker"))
                job = await runtime.submit(Held("a"))
                await ticks(count)
                await runtime.set_limit("held", 2)
                await trio.testing.wait_all_tasks_blocked()
                assert gate.order == ["blocker", "a"]
                gate.opened.set()
            else:
                await runtime.submit(Held("late"), delay=1000)
                await ticks(count)
                job, after = await runtime.submit(Held("a"), delay=5), 5.0
            await job.wait()
            assert trio.current_time() == begin + after
            for record in (await runtime.find(states="scheduled")).jobs:
                await runtime.cancel(record.id)


async def test_a_wake_up_that_is_lost_is_made_good_by_the_next_look(
    reopen: Reopen,
    gate: Gate,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate.opened.set()
    async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
        await trio.testing.wait_all_tasks_blocked()
        begin = trio.current_time()
        monkeypatch.setattr(Signals, "note", deaf)
        with trio.fail_after(100):
            await (await runtime.submit(Held("a"))).wait()
        assert 0 < trio.current_time() - begin <= LOOK_AGAIN


def deaf(signals: Signals, events: Iterable[triphase.Event]) -> bool:
    """Take note of nothing."""
    return False


async def test_as_many_threads_work_at_once_as_the_limit_allows(reopen: Reopen) -> None:
    together = threading.Barrier(60)

    @triphase.job()
    class Wide:
        @triphase.phase()
        def only(self, ctx: triphase.Context) -> int:
            # Passes when all of them are inside: more than trio has threads for by default.
            return together.wait(PATIENCE)

    queues = {"default": triphase.Queue(limit=60)}
    async with triphase.open_runtime([Wide], store=reopen(), queues=queues, limit=60) as runtime:
        jobs = [await runtime.submit(Wide()) for _ in range(60)]
        outcomes = (await runtime.wait_all(jobs)).values()
        places = {o.result for o in outcomes if isinstance(o, triphase.Completed)}
    assert places == set(range(60))


@triphase.job()
class Hanging:
    how: str

    @triphase.phase(stop_grace=1000)
    async def only(self, ctx: triphase.Context) -> None:
        with trio.CancelScope(shield=self.how != "silent"):
            await trio.sleep(900)


async def test_a_handler_that_hangs_or_will_not_stop_delays_nobody_else(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    gate.opened.set()
    async with triphase.open_runtime(
        [Hanging, Held], store=reopen(), clock=clock, drain_timeout=0
    ) as runtime:
        silent = await runtime.submit(Hanging("silent"))
        deaf = [await runtime.submit(Hanging("deaf")) for _ in range(5)]
        await trio.testing.wait_all_tasks_blocked()
        begin = trio.current_time()
        for job in deaf:
            assert (await job.cancel()).state is JobState.STOPPING
        assert isinstance(await (await runtime.submit(Held("a"))).wait(), triphase.Completed)
        await runtime.pause("held")
        assert len((await runtime.find(states=["running", "stopping"])).jobs) == 6
        assert isinstance(await silent.explain(), tuple)
        await silent.cancel()
        assert isinstance(await silent.wait(), triphase.Cancelled)
        assert trio.current_time() == begin
        # Nor what has a time of its own.
        late = await runtime.submit(Held("b"), queue_timeout=7)
        assert isinstance(await late.wait(), triphase.Failed)
        assert trio.current_time() == pytest.approx(begin + 7)
