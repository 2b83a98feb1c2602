"""The feed: committed events, to whoever wants to read them.

The newest events stand in one ring that all readers share; a reader is only a cursor, so a
slow one holds nothing, delays nobody, and may leave at any moment. A reader whose cursor has
fallen off the ring reads on from the store's log, and comes back to the ring when it has
caught up. Either way it sees every event once, in the order of `seq`, and only events that
are durable.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence

import attrs
import trio

from triphase_protocol import TERMINAL_EVENTS, Event, EventType, InvalidValue, Job, encode

from .missing import missing
from .store.backend import Store

RING = 4096
"""How many of the newest events are kept in memory."""

PAGE = 512
"""How many events a reader takes from the store's log at a time."""


@attrs.define(eq=False)
class Entry:
    """An event in the ring, and what readers may choose it by."""

    event: Event
    type: str
    """The job's type."""

    queue: str
    """The job's queue."""

    labels: Mapping[str, str]
    """The job's labels."""

    _encoded: bytes | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, event: Event, job: Job) -> Entry:
        """Return the entry for an event of a job."""
        return cls(event, job.type, job.queue, job.labels)

    @property
    def seq(self) -> int:
        """The event's place in the log."""
        return self.event.seq

    @property
    def encoded(self) -> bytes:
        """The event as JSON; written once, for all who send it."""
        if self._encoded is None:
            self._encoded = encode(self.event)
        return self._encoded


@attrs.frozen(kw_only=True)
class FeedStatistics:
    """The feed at one moment."""

    last_seq: int
    """The sequence number of the last published event."""

    kept: int
    """Events in the ring."""

    waiting: int
    """Readers that have read everything and wait for more."""


class Feed:
    """See the module's text.

    Args:
      store: where the log is.
      last_seq: the sequence number of the last event in it.
    """

    def __init__(self, store: Store, last_seq: int) -> None:
        self._store = store
        self._ring: list[Entry] = []
        self._last_seq = last_seq
        self._news = trio.Event()
        self._closed = False

    @property
    def last_seq(self) -> int:
        """The sequence number of the last published event."""
        return self._last_seq

    @property
    def closed(self) -> bool:
        """True once nothing will be published any more."""
        return self._closed

    def publish(self, entries: Sequence[Entry]) -> None:
        """Add events that have just become durable. Never waits."""
        self._ring.extend(entries)
        self._last_seq = entries[-1].seq
        if len(self._ring) >= 2 * RING:
            del self._ring[:-RING]
        self._wake()

    def close(self) -> None:
        """Let every reader end once it has read what is there."""
        self._closed = True
        self._wake()

    def subscribe(
        self,
        *,
        after: int | None = None,
        job: str | None = None,
        types: Sequence[EventType] = (),
        until_end: bool = False,
    ) -> EventStream:
        """Return a reader of the events above *after*; None is from now on.

        Args:
          after: a `seq`; 0 is from the beginning of the log.
          job: only events of this job.
          types: only events of these types; empty is any.
          until_end: end after an event that ended the job, if no other follows it.

        Raises:
          InvalidValue: if *after* is not in the log.
        """
        cursor = self._last_seq if after is None else after
        if not 0 <= cursor <= self._last_seq:
            raise InvalidValue(
                f"after={after!r}: must be a seq of the log, from 0 to {self._last_seq}"
            )
        return EventStream(self, cursor, job, frozenset(types), until_end)

    def statistics(self) -> FeedStatistics:
        """Return what the feed holds now."""
        return FeedStatistics(
            last_seq=self._last_seq,
            kept=len(self._ring),
            waiting=self._news.statistics().tasks_waiting,
        )

    def entries(self, cursor: int) -> list[Entry] | None:
        """Return up to `PAGE` of the entries above a cursor; None if it has fallen off the ring."""
        if cursor >= self._last_seq:
            return []
        if not self._ring or cursor < self._ring[0].seq - 1:
            return None
        begin = bisect_right(self._ring, cursor, key=_seq)
        return self._ring[begin : begin + PAGE]

    async def read(self, cursor: int, job: str | None, types: frozenset[EventType]) -> Batch:
        """Return some events above a cursor, and the cursor after them. A checkpoint."""
        chosen = self.entries(cursor)
        if chosen is not None:
            events = [each.event for each in chosen if _wanted(each.event, job, types)]
            await trio.lowlevel.checkpoint()
            return Batch(events, chosen[-1].seq if chosen else cursor)
        return await self.read_log(cursor, job, types)

    async def read_log(self, cursor: int, job: str | None, types: frozenset[EventType]) -> Batch:
        """Return the next page of events above a cursor from the store's log. A checkpoint."""
        # Taken before the read: what is committed while it runs may be missing from its answer.
        known = self._last_seq
        events = await self._store.events(after=cursor, job=job, types=sorted(types), limit=PAGE)
        if len(events) == PAGE:
            return Batch(events, events[-1].seq)
        return Batch(events, max(known, events[-1].seq if events else cursor))

    async def check_job(self, job: str) -> None:
        """Check that there is such a job. A checkpoint.

        Raises:
          JobNotFound: if there is none; `JobGone` if there was one.
        """
        if await self._store.get(job) is None:
            raise await missing(self._store, job)

    async def wait(self, cursor: int) -> bool:
        """Wait for an event above a cursor; False if none will come. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while cursor >= self._last_seq:
            if self._closed:
                return False
            await self._news.wait()
        return True

    def _wake(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()


@attrs.frozen
class Batch:
    """Some events, and how far they reach."""

    events: list[Event]
    cursor: int


class EventStream:
    """A reader of the feed: iterate it with `async for`, and leave whenever you like.

    It ends when the runtime closes.
    """

    def __init__(
        self,
        feed: Feed,
        cursor: int,
        job: str | None,
        types: frozenset[EventType],
        until_end: bool,
    ) -> None:
        self._feed = feed
        self._cursor = cursor
        self._job = self._unchecked = job
        self._types = types
        self._until_end = until_end
        self._ended = False
        self._ready: deque[Event] = deque()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        """Return the next event. A checkpoint; when it is cancelled no event is lost.

        Raises:
          JobNotFound: if it is a reader of one job, and there is none of that id.
        """
        if self._unchecked is not None:
            await self._feed.check_job(self._unchecked)
            self._unchecked = None
        while not self._ready:
            if self._until_end and self._ended and self._cursor >= self._feed.last_seq:
                raise StopAsyncIteration
            if not await self._feed.wait(self._cursor):
                raise StopAsyncIteration
            batch = await self._feed.read(self._cursor, self._job, self._types)
            self._ready.extend(batch.events)
            self._cursor = batch.cursor
            if self._until_end and self._ended and not batch.events:
                raise StopAsyncIteration
        event = self._ready.popleft()
        if event.type in TERMINAL_EVENTS or event.type is EventType.JOB_DELETED:
            self._ended = True
        elif event.type is EventType.JOB_RETRIED:
            self._ended = False
        return event

    @property
    def cursor(self) -> int:
        """Pass this as `after=` to go on where this reader is."""
        return self._ready[0].seq - 1 if self._ready else self._cursor


def _seq(entry: Entry) -> int:
    return entry.event.seq


def _wanted(event: Event, job: str | None, types: frozenset[EventType]) -> bool:
    return (job is None or event.job == job) and (not types or event.type in types)
