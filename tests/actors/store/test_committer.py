"""The store actor: groups, order, publishing, cancelled writers and poisoned writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import attrs
import pytest
import trio
import trio.testing

from triphase.actor import open_supervisor
from triphase.store import (
    Applied,
    Done,
    NewHook,
    Operation,
    Prune,
    QueueSetting,
    Result,
    SetQueue,
    SimulatedStore,
    Submit,
)
from triphase.store.committer import Committer, Counts, Writer
from triphase_protocol import Event, EventType, Job, JobState, StoreUnavailable


def submit(id: str) -> Submit:
    event = Event(seq=0, version=1, at=0.0, job=id, run=0, phase=None, type=EventType.JOB_SUBMITTED)
    job = Job(id=id, type="T", state=JobState.SCHEDULED, version=1)
    return Submit(job=job, events=(event,))


class Slow(SimulatedStore):
    """A store whose writes begin, and wait until they may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go = trio.Event()
        self.go.set()
        self.writes: list[list[str]] = []

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        self.writes.append([each.job.id for each in operations if isinstance(each, Submit)])
        with trio.CancelScope(shield=True):
            await self.go.wait()
        if any(each.job.id == "poison" for each in operations if isinstance(each, Submit)):
            raise StoreUnavailable("cannot be stored")
        return await super().write(operations)


@attrs.frozen(eq=False)
class Rig:
    """A committer on a slow store."""

    store: Slow
    writer: Writer
    counts: Counts
    published: list[int]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    store, counts, published = Slow(), Counts(), list[int]()

    def publish(applied: Sequence[Applied]) -> None:
        published.extend(event.seq for each in applied for event in each.events)

    await store.open()
    async with open_supervisor() as supervisor:
        ref = await supervisor.start(lambda: Committer(store, publish, counts), name="committer")
        yield Rig(store, Writer(ref), counts, published)
    await store.close()


async def test_writers_that_wait_share_the_next_transaction(rig: Rig) -> None:
    rig.store.go = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.writer.commit, submit("first"))
        await trio.testing.wait_all_tasks_blocked()
        for id in ("a", "b", "c"):
            nursery.start_soon(rig.writer.commit, submit(id))
        await trio.testing.wait_all_tasks_blocked()
        rig.store.go.set()
    assert [sorted(write) for write in rig.store.writes] == [["first"], ["a", "b", "c"]]
    statistics = rig.counts.statistics()
    assert (statistics.transactions, statistics.largest_group) == (2, 3)
    assert rig.published == [1, 2, 3, 4]


async def test_an_answer_comes_after_the_events_are_published(rig: Rig) -> None:
    result = await rig.writer.commit(submit("a"))
    assert isinstance(result, Applied)
    assert rig.published == [event.seq for event in result.events] == [1]


async def test_what_is_about_no_job_is_done_and_not_published(rig: Rig) -> None:
    rig.store.go = trio.Event()
    results: dict[str, Result] = {}

    async def set_queue() -> None:
        results["set"] = await rig.writer.commit(SetQueue(name="q", paused=True, slots=None))

    async def prune() -> None:
        results["prune"] = await rig.writer.commit(Prune(before=9.0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.writer.commit, submit("first"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(set_queue)
        nursery.start_soon(rig.writer.commit, submit("a"))
        nursery.start_soon(prune)
        await trio.testing.wait_all_tasks_blocked()
        rig.store.go.set()
    assert {name: type(result) for name, result in results.items()} == {"set": Done, "prune": Done}
    assert rig.published == [1, 2]
    assert rig.counts.statistics().transactions == 2
    # A group of nothing else publishes nothing at all.
    await rig.writer.commit(Prune(before=9.0))
    assert rig.published == [1, 2]
    assert await rig.store.queue_settings() == {"q": QueueSetting(paused=True, slots=None)}


async def test_a_writer_cancelled_in_the_queue_has_not_written(rig: Rig) -> None:
    rig.store.go = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.writer.commit, submit("first"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0) as scope:
            await rig.writer.commit(submit("late"))
        assert scope.cancelled_caught
        rig.store.go.set()
    await rig.writer.flush()
    assert await rig.store.get("late") is None
    assert await rig.store.get("first") is not None


async def test_a_writer_cancelled_in_flight_hears_the_outcome(rig: Rig) -> None:
    rig.store.go = trio.Event()
    results: list[Result] = []
    scope = trio.CancelScope()

    async def write() -> None:
        with scope:
            results.append(await rig.writer.commit(submit("a")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert not results
        rig.store.go.set()
    assert isinstance(results[0], Applied)


async def test_what_cannot_be_stored_harms_only_who_wrote_it(rig: Rig) -> None:
    rig.store.go = trio.Event()
    outcomes: dict[str, object] = {}

    async def write(id: str) -> None:
        try:
            outcomes[id] = type(await rig.writer.commit(submit(id)))
        except StoreUnavailable as exc:
            outcomes[id] = str(exc)

    async with trio.open_nursery() as nursery:
        for id in ("first", "a", "poison", "b"):
            nursery.start_soon(write, id)
            await trio.testing.wait_all_tasks_blocked()
        rig.store.go.set()
    assert outcomes == {
        "first": Applied,
        "a": Applied,
        "poison": "cannot be stored",
        "b": Applied,
    }
    assert rig.published == [1, 2, 3]


async def test_a_flush_waits_for_what_is_under_way_and_writes_nothing(rig: Rig) -> None:
    rig.store.go = trio.Event()
    done: list[str] = []

    async def flush() -> None:
        await rig.writer.flush()
        done.append("flushed")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.writer.commit, submit("a"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(flush)
        await trio.testing.wait_all_tasks_blocked()
        assert not done
        rig.store.go.set()
    assert done == ["flushed"]
    assert rig.counts.statistics().transactions == 1


async def test_every_operation_is_addressed_once_before_it_is_written() -> None:
    store, seen = SimulatedStore(), list[Operation]()

    def address(operation: Operation) -> Operation:
        seen.append(operation)
        if not isinstance(operation, Submit):
            return operation
        hook = NewHook(id=f"hook {len(seen)}", event=0, url="https://example.org/")
        return attrs.evolve(operation, hooks=(hook,))

    await store.open()
    async with open_supervisor() as supervisor:
        ref = await supervisor.start(
            lambda: Committer(store, lambda applied: None, address=address), name="committer"
        )
        writer = Writer(ref)
        written = [submit("a"), submit("b"), submit("a")]
        await writer.commit_all(written)
        await writer.commit(Prune(before=0.0))
        await writer.flush()
    assert seen[:3] == written
    assert [type(each) for each in seen[3:]] == [Prune]
    assert [hook.job for hook in await store.hooks()] == ["a", "b"]
    await store.close()
