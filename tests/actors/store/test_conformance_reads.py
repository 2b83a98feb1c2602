"""What every store must do, whatever it is made of: what is found, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from triphase.store import Query, Step, Store, Submit
from triphase.store.backend import PAGE_MOST
from triphase_protocol import EventType, Job, JobNotFound, JobState

from . import building
from .building import AT, applied
from .homes import HOMES, fresh


def ids(jobs: Sequence[Job]) -> str:
    return " ".join(job.id for job in jobs)


async def write(store: Store, *operations: Submit | Step) -> list[Job]:
    return [applied(result).job for result in await store.write(operations)]


# find


@pytest.fixture
async def zoo(store: Store) -> Store:
    """A store with six jobs, from a1 to c6, that differ in all that can be asked for."""
    a1, a2, *_ = await write(
        store,
        building.submit("a1", labels={"team": "x", "env": "live"}),
        building.submit("a2", queue="mail", type="Send", labels={"team": "x"}),
        building.submit("b3", queue="mail", key="k", labels={"team": "y"}),
        building.scheduled("b4", type="Send"),
        building.submit("b5", key="other", labels={'we"ird.[0]\\': "é\n$"}),
        building.scheduled("c6", queue="mail"),
    )
    running, _ = await write(store, building.start(a1), building.cancel(a2))
    await write(store, building.fail(running))
    return store


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "c6 b5 b4 b3 a2 a1"),
        ({"newest_first": False}, "a1 a2 b3 b4 b5 c6"),
        ({"limit": 2}, "c6 b5"),
        ({"states": [JobState.FAILED]}, "a1"),
        ({"states": [JobState.SCHEDULED, JobState.FAILED]}, "c6 b4 a1"),
        ({"states": [JobState.SCHEDULED, JobState.FAILED], "newest_first": False}, "a1 b4 c6"),
        ({"states": [JobState.SCHEDULED, JobState.FAILED], "limit": 2}, "c6 b4"),
        ({"states": [JobState.QUEUED, JobState.QUEUED]}, "b5 b3"),
        ({"states": [JobState.RUNNING]}, ""),
        ({"types": ["Send"]}, "b4 a2"),
        ({"types": ["Send", "Transcode"], "limit": 3}, "c6 b5 b4"),
        ({"types": ["No"]}, ""),
        ({"queues": ["mail"]}, "c6 b3 a2"),
        ({"queues": ["mail"], "states": [JobState.QUEUED]}, "b3"),
        ({"labels": {"team": "x"}}, "a2 a1"),
        ({"labels": {"team": "x", "env": "live"}}, "a1"),
        ({"labels": {"team": "z"}}, ""),
        ({"labels": {'we"ird.[0]\\': "é\n$"}}, "b5"),
        ({"key": "k"}, "b3"),
        ({"key": "no"}, ""),
        ({"key": "k", "states": [JobState.FAILED]}, ""),
        ({"prefix": "b"}, "b5 b4 b3"),
        ({"prefix": "b4"}, "b4"),
        ({"prefix": "%"}, ""),
        ({"prefix": "b", "key": "k"}, "b3"),
        ({"prefix": "a", "key": "k"}, ""),
        ({"after": "b3"}, "a2 a1"),
        ({"after": "b3", "newest_first": False}, "b4 b5 c6"),
        ({"after": "c6", "newest_first": False}, ""),
        ({"after": "a1"}, ""),
        ({"after": "b4", "prefix": "b"}, "b3"),
        ({"after": "b4", "states": [JobState.QUEUED]}, "b3"),
        ({"limit": 0}, ""),
    ],
)
async def test_a_query_finds_what_meets_every_condition(
    zoo: Store, query: dict[str, Any], found: str
) -> None:
    assert ids(await zoo.find(Query(**query))) == found


async def test_a_page_after_a_job_that_is_not_there_is_refused(zoo: Store) -> None:
    with pytest.raises(JobNotFound, match="b33"):
        await zoo.find(Query(after="b33"))


async def test_what_is_found_is_what_is_there(zoo: Store) -> None:
    for job in await zoo.find(Query()):
        assert await zoo.get(job.id) == job
    assert await zoo.get("a") is None


@pytest.mark.parametrize("kind", HOMES)
@settings(deadline=None, max_examples=15)
@given(
    count=st.integers(0, 12),
    size=st.integers(1, 5),
    newest_first=st.booleans(),
    states=st.sampled_from([(), (JobState.QUEUED, JobState.SCHEDULED), (JobState.QUEUED,)]),
)
async def test_pages_hold_each_job_once(
    kind: str, count: int, size: int, newest_first: bool, states: tuple[JobState, ...]
) -> None:
    async with fresh(kind) as store:
        made = [
            building.scheduled(f"{n}") if n % 3 == 0 else building.submit(f"{n}")
            for n in range(count)
        ]
        await write(store, *made)
        everything = await store.find(Query(newest_first=newest_first, states=states))
        paged, after = list[Job](), None
        while True:
            query = Query(newest_first=newest_first, states=states, after=after, limit=size)
            page = await store.find(query)
            paged += page
            if len(page) < size:
                break
            after = page[-1].id
        assert paged == everything


async def test_a_read_returns_a_bounded_page(store: Store) -> None:
    await write(store, *[building.submit(f"{number}") for number in range(PAGE_MOST + 1)])
    assert len(await store.find(Query(limit=10**9))) == PAGE_MOST
    assert len(await store.queued("default", ["Transcode"], 10**9)) == PAGE_MOST
    assert len(await store.events(limit=10**9)) == PAGE_MOST
    assert await store.find(Query(limit=-1)) == []


# events


async def test_events_are_found_by_seq_job_and_type(store: Store) -> None:
    a, _ = await write(store, building.submit("a"), building.submit("b"))
    await write(store, building.start(a))
    everything = await store.events()
    assert [event.seq for event in everything] == [1, 2, 3, 4, 5, 6]
    assert await store.events(after=4) == everything[4:]
    assert await store.events(after=6) == []
    assert await store.events(limit=2) == everything[:2]
    assert await store.events(limit=0) == []
    assert await store.events(job="a") == [e for e in everything if e.job == "a"]
    assert await store.events(job="a", after=2, limit=1) == everything[4:5]
    assert await store.events(job="no") == []
    queued = await store.events(types=[EventType.JOB_QUEUED, EventType.PHASE_STARTED])
    assert [event.seq for event in queued] == [2, 4, 6]
    assert await store.events(job="b", types=[EventType.JOB_QUEUED]) == everything[3:4]
    assert await store.events(types=[EventType.JOB_STALE]) == []


async def test_an_event_is_read_as_it_was_written(store: Store) -> None:
    made = building.submit("a", phases=["é", "b"])
    [result] = await store.write([made])
    [submitted, queued] = await store.events()
    assert (submitted, queued) == applied(result).events
    assert submitted.data == {"type": "Transcode", "phases": ["é", "b"]}
    assert queued.data == {}
    assert isinstance(queued.type, EventType)


# What the scheduler asks for


async def test_queued_jobs_come_by_priority_and_then_by_position(store: Store) -> None:
    made = [
        building.submit("a", priority=0),
        building.submit("b", priority=5),
        building.submit("c", priority=-5),
        building.submit("d", priority=5),
        building.submit("e", priority=0, position=1),
        building.submit("f", queue="mail", priority=9),
        building.submit("g", type="Send"),
        building.scheduled("h", priority=9),
    ]
    await write(store, *made)
    assert ids(await store.queued("default", ["Transcode"], 10)) == "b d e a c"
    assert ids(await store.queued("default", ["Transcode", "Send"], 10)) == "b d e a g c"
    assert ids(await store.queued("default", ["Transcode"], 2)) == "b d"
    assert ids(await store.queued("mail", ["Transcode"], 10)) == "f"
    assert await store.queued("default", ["Transcode"], 0) == []
    assert await store.queued("default", [], 10) == []
    assert await store.queued("no", ["Transcode"], 10) == []


async def test_due_jobs_come_in_the_order_in_which_they_are_due(store: Store) -> None:
    assert await store.next_due() is None
    b, _, c, *_ = await write(
        store,
        building.scheduled("b", due_at=AT + 2),
        building.scheduled("d", due_at=AT + 2.5),
        building.scheduled("c", due_at=AT + 2),
        building.scheduled("a", due_at=AT + 1),
        building.submit("e"),
    )
    assert await store.next_due() == AT + 1
    assert await store.due(AT + 0.5, 10) == []
    assert ids(await store.due(AT + 1, 10)) == "a"
    assert ids(await store.due(AT + 3, 10)) == "a b c d"
    assert ids(await store.due(AT + 3, 2)) == "a b"
    assert await store.due(AT + 3, 0) == []
    await write(store, building.enqueue(b), building.cancel(c))
    assert ids(await store.due(AT + 3, 10)) == "a d"


async def test_statistics_count_the_jobs_in_each_state(store: Store) -> None:
    empty = await store.statistics()
    assert (empty.jobs, empty.last_seq, empty.corrupt) == ({}, 0, 0)
    a, *_ = await write(store, building.submit("a"), building.submit("b"), building.submit("c"))
    await write(store, building.start(a))
    full = await store.statistics()
    assert full.jobs == {JobState.QUEUED: 2, JobState.RUNNING: 1}
    assert full.last_seq == 8
