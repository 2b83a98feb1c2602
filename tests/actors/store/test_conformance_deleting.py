"""What every store must do, whatever it is made of: jobs that are deleted, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from triphase.store import (
    Claim,
    Delete,
    Done,
    Limits,
    Operation,
    Prune,
    Query,
    Step,
    Store,
    Submit,
    Why,
)
from triphase_protocol import EventType, Job, JobNotFound, JobState, StoreUnavailable

from . import building
from .building import AT, applied, rejected
from .homes import Home
from .walks import snapshot


def ids(jobs: Sequence[Job]) -> str:
    return " ".join(job.id for job in jobs)


async def first(store: Store, operation: Submit | Step | Claim | Delete) -> Job:
    """Write an operation that must be applied, and return the job."""
    [result] = await store.write([operation])
    return applied(result).job


async def ended(store: Store, id: str, **fields: Any) -> Job:
    """Take a job to its end."""
    return await first(store, building.cancel(await first(store, building.submit(id, **fields))))


async def deleted(store: Store, id: str, **fields: Any) -> Job:
    """Take a job to its end, and delete it."""
    return await first(store, building.delete(await ended(store, id, **fields)))


# Delete


async def test_a_deleted_job_is_gone_with_its_phases_and_its_events(store: Store) -> None:
    other = await first(store, building.submit("b"))
    job = await ended(store, "a", labels={"x": "y"}, key="k")
    assert not await store.gone("a")
    [result] = await store.write([building.delete(job)])
    assert applied(result).job == attrs.evolve(job, version=job.version + 1)
    assert await store.get("a") is None
    assert await store.gone("a")
    assert await store.find(Query()) == [other]
    assert await store.find(Query(prefix="a")) == []
    assert await store.find(Query(key="k")) == []
    assert await store.ended(JobState.CANCELLED, AT + 99, 10) == []
    assert (await store.statistics()).jobs == {JobState.QUEUED: 1}
    [mine, tombstone] = (await store.events())[-2:]
    assert mine.job == "b"
    assert [tombstone] == list(applied(result).events)
    assert (tombstone.type, tombstone.job) == (EventType.JOB_DELETED, "a")
    assert (tombstone.version, tombstone.run) == (job.version + 1, job.run)


async def test_a_delete_needs_the_run_and_the_version_it_was_made_for(store: Store) -> None:
    job = await ended(store, "a")
    wrong_run = attrs.evolve(building.delete(job), run=job.run + 1)
    marked = await first(store, building.mark_stale(job))
    before = await snapshot(store)
    for result in await store.write([building.delete(job), wrong_run]):
        assert (rejected(result).why, rejected(result).current) == (Why.STALE, marked)
    assert await snapshot(store) == before


async def test_a_delete_of_no_job_is_told_so(store: Store) -> None:
    never = building.delete(building.submit("a").job)
    [result] = await store.write([never])
    assert (rejected(result).why, rejected(result).current) == (Why.GONE, None)
    again = building.delete(await ended(store, "b"))
    results = await store.write([again, again])
    assert rejected(results[1]).why is Why.GONE
    assert len(await store.events(job="b")) == 1
    assert not await store.gone("a")


async def test_a_step_of_a_deleted_job_is_told_so(store: Store) -> None:
    job = await ended(store, "a")
    results = await store.write([building.delete(job), building.retry(job)])
    assert (rejected(results[1]).why, rejected(results[1]).current) == (Why.GONE, None)
    assert await store.get("a") is None


async def test_the_key_of_a_deleted_job_is_free(store: Store) -> None:
    job = await ended(store, "a", key="k")
    results = await store.write(
        [building.submit("b", key="k"), building.delete(job), building.submit("c", key="k")]
    )
    assert rejected(results[0]).current == job
    assert await store.find(Query(key="k")) == [applied(results[2]).job]


async def test_a_job_is_submitted_moved_and_deleted_in_one_group(store: Store) -> None:
    made = building.submit("a", key="k")
    job = made.job
    group: list[Operation] = [made, building.cancel(job), building.submit("b")]
    group.insert(2, building.delete(building.cancel(job).job))
    results = await store.write(group)
    [last] = applied(results[2]).events
    events = await store.events()
    assert [event.seq for event in events] == [last.seq, last.seq + 1, last.seq + 2]
    assert await store.events(job="a") == [last]
    assert [event.job for event in await store.events(job="b")] == ["b", "b"]
    assert await store.gone("a")
    assert ids(await store.find(Query(after="a", newest_first=False))) == "b"


async def test_a_slot_is_free_in_the_group_that_deletes_its_holder(store: Store) -> None:
    one = Limits(total=1, queue=1)
    a, b = [await first(store, building.submit(id)) for id in "ab"]
    a = await first(store, building.claim(a, one))
    results = await store.write(
        [building.claim(b, one), building.delete(a), building.claim(b, one)]
    )
    assert rejected(results[0]).why is Why.FULL
    assert applied(results[2]).job.state is JobState.RUNNING
    assert await store.slots() == {"default": 1}


async def test_a_delete_in_a_group_that_is_refused_has_no_effect(store: Store) -> None:
    job = await ended(store, "a", key="k")
    await store.write([building.submit("b"), building.submit("c", key="c")])
    before = await snapshot(store)
    group: list[Operation] = [
        building.delete(job),
        building.submit("d", key="k"),
        Prune(before=AT + 99),
        building.submit("e", payload={1j}),
    ]
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        await store.write(group)
    assert await snapshot(store) == before
    assert ids(await store.find(Query(newest_first=False))) == "a b c"
    results = await store.write(group[:2])
    assert applied(results[0]).events[0].seq == before.events[-1].seq + 1


async def test_what_is_left_of_a_deleted_job_is_there_after_a_reopening(home: Home) -> None:
    async with home.open() as store:
        await deleted(store, "a")
        before = await snapshot(store)
    async with home.open() as store:
        assert await snapshot(store) == before
        assert await store.gone("a")
        job = await first(store, building.submit("b"))
        assert await store.events(job="b") == (await store.events())[1:]
        assert await store.find(Query(after="a", newest_first=False)) == [job]


# What is left


async def test_the_events_of_a_deleted_job_are_its_last_one(store: Store) -> None:
    await first(store, building.submit("b"))
    await deleted(store, "a")
    [tombstone] = await store.events(job="a")
    assert tombstone == (await store.events())[-1]
    assert await store.events(job="a", after=tombstone.seq - 1) == [tombstone]
    assert await store.events(job="a", after=tombstone.seq) == []
    assert await store.events(job="a", types=[EventType.JOB_DELETED]) == [tombstone]
    assert await store.events(job="a", types=[EventType.JOB_CANCELLED]) == []
    assert await store.events(job="a", limit=0) == []
    assert await store.events(types=[EventType.JOB_DELETED]) == [tombstone]


async def test_a_page_after_a_deleted_job_goes_on_from_where_it_stood(store: Store) -> None:
    jobs = [await ended(store, id) for id in "abcde"]
    for index in (0, 2, 4):
        await first(store, building.delete(jobs[index]))
    await first(store, building.submit("f"))
    for after, newer, older in (("a", "b d f", ""), ("c", "d f", "b"), ("e", "f", "d b")):
        assert ids(await store.find(Query(after=after, newest_first=False))) == newer
        assert ids(await store.find(Query(after=after))) == older
    assert ids(await store.find(Query(after="c", prefix="d", newest_first=False))) == "d"
    assert ids(await store.find(Query(after="c", states=(JobState.QUEUED,)))) == ""
    with pytest.raises(JobNotFound, match="'g'"):
        await store.find(Query(after="g"))


async def test_an_id_that_was_deleted_can_be_another_jobs(store: Store) -> None:
    old = await deleted(store, "a")
    await first(store, building.submit("b"))
    new = await first(store, building.submit("a"))
    assert await store.get("a") == new
    assert not await store.gone("a")
    assert [event.version for event in await store.events(job="a")] == [1, 2]
    assert ids(await store.find(Query(newest_first=False))) == "b a"
    assert ids(await store.find(Query(after="a"))) == "b"
    assert [e.version for e in await store.events() if e.job == "a"] == [old.version, 1, 2]
    await first(store, building.delete(await first(store, building.cancel(new))))
    assert await store.gone("a")
    assert len(await store.events(job="a")) == 1
    assert ids(await store.find(Query(after="a"))) == "b"


# Prune


async def buried(store: Store, **times: float) -> None:
    """Delete a job at each of these times."""
    for id, at in times.items():
        delete = building.delete(await ended(store, id))
        [tombstone] = delete.events
        await first(store, attrs.evolve(delete, events=(attrs.evolve(tombstone, at=at),)))


async def test_a_prune_removes_what_is_left_of_jobs_deleted_before(store: Store) -> None:
    await first(store, building.submit("z"))
    await buried(store, a=AT + 5, b=AT + 6, c=AT + 4)
    before = await store.statistics()
    assert isinstance((await store.write([Prune(before=AT + 5)]))[0], Done)
    assert [await store.gone(id) for id in "abc"] == [True, True, False]
    assert await store.events(job="c") == []
    with pytest.raises(JobNotFound):
        await store.find(Query(after="c"))
    assert isinstance((await store.write([Prune(before=AT + 99)]))[0], Done)
    assert [await store.gone(id) for id in "abc"] == [False, False, False]
    assert {event.job for event in await store.events()} == {"z"}
    assert await store.statistics() == before, "the last seq does not go back"
    assert isinstance((await store.write([Prune(before=AT + 99)]))[0], Done)


async def test_a_seq_that_was_pruned_is_not_given_again(home: Home) -> None:
    async with home.open() as store:
        await deleted(store, "a")
        last = (await store.statistics()).last_seq
        results = await store.write([Prune(before=AT + 99), building.submit("b")])
        assert [event.seq for event in applied(results[1]).events] == [last + 1, last + 2]
        await first(store, building.delete(applied(results[1]).job))
        await store.write([Prune(before=AT + 99)])
        assert await store.events() == []
    async with home.open() as store:
        assert (await store.statistics()).last_seq == last + 3
        [result] = await store.write([building.submit("c")])
        assert applied(result).events[0].seq == last + 4


async def test_a_prune_sees_the_earlier_operations_of_its_group_only(store: Store) -> None:
    a, b = [building.delete(await ended(store, id)) for id in "ab"]
    results = await store.write([a, Prune(before=AT + 99), b])
    assert await store.events() == list(applied(results[2]).events)
    assert [await store.gone(id) for id in "ab"] == [False, True]


async def test_a_prune_leaves_every_other_event(store: Store) -> None:
    await ended(store, "a")
    before = await store.events()
    await store.write([Prune(before=AT + 10**6)])
    assert await store.events() == before


# How far the log reaches


async def test_the_extent_of_a_log_tells_what_was_pruned(home: Home) -> None:
    async with home.open() as store:
        extent = await store.extent()
        assert (extent.floor, extent.head) == (0, 0)
        assert extent.epoch
        await first(store, building.submit("z"))
        await buried(store, a=AT + 5, b=AT + 6, c=AT + 4)
        head = (await store.statistics()).last_seq
        graves = {e.job: e.seq for e in await store.events() if e.type is EventType.JOB_DELETED}
        assert await store.extent() == attrs.evolve(extent, head=head)
        await store.write([Prune(before=AT + 5)])
        assert (await store.extent()).floor == graves["c"]
        # One that was deleted before, by a clock that stood elsewhere.
        await store.write([Prune(before=AT + 6)])
        assert (await store.extent()).floor == graves["c"]
    async with home.open() as store:
        await store.write([Prune(before=AT + 6)])
        assert await store.extent() == attrs.evolve(extent, floor=graves["c"], head=head)
        await store.write([Prune(before=AT + 99)])
        assert (await store.extent()).floor == graves["c"]
        await store.write([building.submit("y"), Prune(before=AT + 99)])
        assert (await store.extent()).floor == graves["c"]


async def test_a_prune_that_is_undone_leaves_the_extent(store: Store) -> None:
    await buried(store, a=AT + 5)
    before = await store.extent()
    with pytest.raises(StoreUnavailable):
        await store.write([Prune(before=AT + 99), building.submit("e", payload={1j})])
    assert await store.extent() == before
