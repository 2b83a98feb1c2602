"""What every store must do, whatever it is made of: what is found, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triphase.store import Done, Operation, Query, QueueSetting, SetQueue, Step, Store, Submit
from triphase.store.backend import PAGE_MOST
from triphase_protocol import EventType, Job, JobNotFound, JobState, StoreUnavailable

from . import building
from .building import AT, applied
from .homes import HOMES, Home, fresh


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


async def test_overdue_jobs_come_in_the_order_of_their_deadlines(store: Store) -> None:
    assert await store.next_deadline() is None
    assert await store.overdue(AT + 99, 10) == []
    b, _, c, _, e = await write(
        store,
        building.submit("b", deadline=AT + 2),
        building.scheduled("d", deadline=AT + 2.5),
        building.gated("c", timeout=2.0),
        building.submit("a", deadline=AT + 1, queue="mail"),
        building.submit("e"),
    )
    assert await store.next_deadline() == AT + 1
    assert await store.overdue(AT + 0.5, 10) == []
    assert ids(await store.overdue(AT + 1, 10)) == "a"
    assert ids(await store.overdue(AT + 3, 10)) == "a b c d"
    assert ids(await store.overdue(AT + 3, 2)) == "a b"
    assert await store.overdue(AT + 3, 0) == []
    assert await store.overdue(AT + 2, 3) == [await store.get(id) for id in "abc"]
    # A step that clears a deadline, one that sets another, and one that sets the first.
    await write(
        store,
        building.start(b),
        building.cancel(attrs.evolve(c, deadline=AT + 0.25)),
        building.note(e, deadline=None),
    )
    assert ids(await store.overdue(AT + 3, 10)) == "c a d"
    assert await store.next_deadline() == AT + 0.25
    [job] = await store.overdue(AT + 3, 1)
    await store.write([building.delete(job)])
    assert ids(await store.overdue(AT + 3, 10)) == "a d"
    assert await store.next_deadline() == AT + 1


async def test_a_step_that_changes_a_deadline_alone_is_seen(store: Store) -> None:
    [job] = await write(store, building.submit("a"))
    for deadline in (AT + 5, AT + 3, None, AT + 4):
        step = building.note(job, deadline=deadline)
        [job] = await write(store, step)
        assert await store.next_deadline() == deadline
        assert await store.overdue(AT + 5, 5) == ([] if deadline is None else [job])


async def test_ended_jobs_come_in_the_order_of_their_ends(store: Store) -> None:
    made = [building.submit(id) for id in "abcdef"]
    ends = zip(await write(store, *made), (4, 2, 3, 2, 5, 1), strict=True)
    a, b, *_ = await write(
        store, *[building.cancel(job, at=AT + at) for job, at in ends if job.id != "f"]
    )
    failed = building.fail((await write(store, building.start(made[5].job)))[0])
    await write(store, attrs.evolve(failed, job=attrs.evolve(failed.job, finished_at=AT + 1)))
    cancelled = JobState.CANCELLED
    assert ids(await store.ended(cancelled, AT + 1, 10)) == ""
    assert ids(await store.ended(cancelled, AT + 2, 10)) == "b d"
    assert ids(await store.ended(cancelled, AT + 9, 10)) == "b d c a e"
    assert ids(await store.ended(cancelled, AT + 9, 3)) == "b d c"
    assert await store.ended(cancelled, AT + 9, 0) == []
    assert ids(await store.ended(JobState.FAILED, AT + 9, 10)) == "f"
    assert await store.ended(JobState.COMPLETED, AT + 9, 10) == []
    assert await store.ended(cancelled, AT + 2, 1) == [await store.get("b")]
    # One that is marked is still among all of them; one that is retried is in neither.
    marked, _ = await write(store, building.mark_stale(b), building.retry(a))
    assert ids(await store.ended(cancelled, AT + 9, 10)) == "b d c e"
    assert ids(await store.ended(cancelled, AT + 9, 10, fresh=True)) == "d c e"
    assert ids(await store.ended(cancelled, AT + 9, 2, fresh=True)) == "d c"
    again = building.cancel((await write(store, building.retry(marked)))[0], at=AT + 8)
    await write(store, again)
    assert ids(await store.ended(cancelled, AT + 9, 10, fresh=True)) == "d c e b"


# Settings of queues


async def test_a_queues_settings_are_kept_and_overwritten(store: Store) -> None:
    assert await store.queue_settings() == {}
    group: list[Operation] = [
        SetQueue(name="mail", paused=True, slots=None),
        building.submit("a"),
        SetQueue(name="é", paused=None, slots=0),
    ]
    results = await store.write(group)
    assert isinstance(results[0], Done)
    assert isinstance(results[2], Done)
    paused = QueueSetting(paused=True, slots=None)
    assert await store.queue_settings() == {"mail": paused, "é": QueueSetting(None, 0)}
    await store.write(
        [
            SetQueue(name="mail", paused=True, slots=7),
            SetQueue(name="mail", paused=False, slots=3),
            SetQueue(name="é", paused=False, slots=None),
        ]
    )
    found = await store.queue_settings()
    assert found == {"mail": QueueSetting(False, 3), "é": QueueSetting(False, None)}
    assert found["mail"].paused is False
    assert (await store.statistics()).last_seq == 2, "settings have no events"


async def test_a_queues_settings_are_there_after_a_reopening(home: Home) -> None:
    async with home.open() as store:
        await store.write([SetQueue(name="mail", paused=True, slots=2)])
        await store.write([SetQueue(name="mail", paused=True, slots=1)])
    async with home.open() as store:
        assert await store.queue_settings() == {"mail": QueueSetting(paused=True, slots=1)}


async def test_settings_in_a_group_that_is_refused_are_not_kept(store: Store) -> None:
    await store.write([SetQueue(name="mail", paused=True, slots=2)])
    group: list[Operation] = [
        SetQueue(name="mail", paused=False, slots=None),
        SetQueue(name="media", paused=False, slots=None),
        building.submit("a", payload={1j}),
    ]
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        await store.write(group)
    assert await store.queue_settings() == {"mail": QueueSetting(paused=True, slots=2)}


async def test_statistics_count_the_jobs_in_each_state(store: Store) -> None:
    empty = await store.statistics()
    assert (empty.jobs, empty.last_seq, empty.corrupt) == ({}, 0, 0)
    a, *_ = await write(store, building.submit("a"), building.submit("b"), building.submit("c"))
    await write(store, building.start(a))
    full = await store.statistics()
    assert full.jobs == {JobState.QUEUED: 2, JobState.RUNNING: 1}
    assert full.last_seq == 8
