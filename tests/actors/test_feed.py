"""The feed: every event once, in order, from the log and then live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import trio
import trio.testing
from hypothesis import given, settings, strategies as st

from triphase import feed as feed_module
from triphase.feed import Entry, EventStream, Feed
from triphase.store import SimulatedStore
from triphase.store.operations import Applied, Submit
from triphase_protocol import Event, EventType, InvalidValue, Job, JobNotFound, JobState


def event(job: str, type: EventType, version: int = 1) -> Event:
    return Event(seq=0, version=version, at=0.0, job=job, run=0, phase=None, type=type)


class Log:
    """A store and a feed over it, with short pages and a short ring."""

    def __init__(self) -> None:
        self.store = SimulatedStore()
        self.feed = Feed(self.store, 0)
        self.count = 0

    async def add(self, types: Sequence[EventType] = (EventType.JOB_SUBMITTED,)) -> list[Event]:
        """Commit and publish the events of one new job."""
        self.count += 1
        id = f"j{self.count}"
        job = Job(id=id, type="T", state=JobState.SCHEDULED, version=len(types))
        events = tuple(event(id, each, index + 1) for index, each in enumerate(types))
        [result] = await self.store.write([Submit(job=job, events=events)])
        assert isinstance(result, Applied)
        self.feed.publish([Entry.of(each, job) for each in result.events])
        return list(result.events)


@pytest.fixture
async def log(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    monkeypatch.setattr(feed_module, "RING", 4)
    monkeypatch.setattr(feed_module, "PAGE", 3)
    log = Log()
    await log.store.open()
    yield log
    await log.store.close()


async def take(stream: EventStream, count: int) -> list[int]:
    return [(await anext(stream)).seq for _ in range(count)]


async def test_a_reader_from_now_on_sees_only_what_comes(log: Log) -> None:
    await log.add()
    stream = log.feed.subscribe()
    await log.add()
    assert await take(stream, 1) == [2]


async def test_a_reader_that_fell_off_the_ring_reads_on_from_the_log(log: Log) -> None:
    stream = log.feed.subscribe(after=0)
    await log.add()
    assert await take(stream, 1) == [1]
    for _ in range(20):
        await log.add()
    assert log.feed.statistics().kept < 20
    assert await take(stream, 20) == list(range(2, 22))
    await log.add()
    assert await take(stream, 1) == [22]


async def test_the_cursor_resumes_where_the_reader_is(log: Log) -> None:
    for _ in range(9):
        await log.add()
    stream = log.feed.subscribe(after=2)
    assert await take(stream, 2) == [3, 4]
    assert stream.cursor == 4
    assert await take(log.feed.subscribe(after=stream.cursor), 5) == [5, 6, 7, 8, 9]


async def test_filters_hold_in_the_log_and_in_the_ring(log: Log) -> None:
    both = [EventType.JOB_SUBMITTED, EventType.JOB_QUEUED]
    for _ in range(6):
        await log.add(both)
    stream = log.feed.subscribe(after=0, types=[EventType.JOB_QUEUED])
    assert await take(stream, 6) == [2, 4, 6, 8, 10, 12]
    await log.add(both)
    assert await take(stream, 1) == [14]
    assert await take(log.feed.subscribe(after=0, job="j2"), 2) == [3, 4]


async def test_leaving_costs_nothing_and_a_cancel_loses_nothing(log: Log) -> None:
    stream = log.feed.subscribe()
    with trio.move_on_after(0):
        await anext(stream)
    await log.add()
    assert await take(stream, 1) == [1]
    assert log.feed.statistics().waiting == 0


async def test_a_job_stream_ends_with_its_job_and_others_do_not_keep_it(log: Log) -> None:
    ended = [EventType.JOB_SUBMITTED, EventType.JOB_FAILED]
    await log.add(ended)
    await log.add()
    stream = log.feed.subscribe(after=0, job="j1", until_end=True)
    assert [each.type for each in [e async for e in stream]] == ended


async def test_a_reader_of_what_is_not_there_says_so(log: Log) -> None:
    await log.add()
    with pytest.raises(InvalidValue, match=r"after=2: must be a seq of the log, from 0 to 1"):
        log.feed.subscribe(after=2)
    with pytest.raises(JobNotFound, match="'nobody'"):
        await anext(log.feed.subscribe(job="nobody"))


async def test_readers_end_when_the_feed_closes(log: Log) -> None:
    seen: list[int] = []

    async def read() -> None:
        seen.extend([each.seq async for each in log.feed.subscribe(after=0)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await log.add()
        await trio.testing.wait_all_tasks_blocked()
        await log.add()
        log.feed.close()
    assert seen == [1, 2]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.integers(0, 10),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_any_reader_sees_every_event_once_in_order(
    bursts: list[int], after: int, ring: int, page: int
) -> None:
    async def main() -> None:
        log = Log()
        await log.store.open()
        for _ in range(10):
            await log.add()
        stream = log.feed.subscribe(after=after)
        begin, seen = stream.cursor, list[int]()

        async def read() -> None:
            seen.extend([each.seq async for each in stream])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for burst in bursts:
                for _ in range(burst):
                    await log.add()
                await trio.lowlevel.checkpoint()
            log.feed.close()
        assert seen == list(range(begin + 1, 10 + sum(bursts) + 1))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_module, "RING", ring)
        patch.setattr(feed_module, "PAGE", page)
        trio.run(main)
