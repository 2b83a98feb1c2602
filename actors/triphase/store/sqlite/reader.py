"""The reading half of a store: each method is one read transaction on its own connection."""

from __future__ import annotations

import heapq
import os
from collections.abc import AsyncGenerator, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from operator import itemgetter
from typing import Any, Final

import trio

from triphase.store.backend import PAGE_MOST, Extent, Query, QueueSetting, StoreStatistics
from triphase_protocol import (
    CorruptRecord,
    Event,
    EventType,
    Hook,
    HookState,
    Job,
    JobNotFound,
    JobState,
    NotAStore,
    StoreClosed,
)

from .connection import Connection, check_place, connect_reader, refusals
from .loading import Corrupt, Loader
from .outbox import Outbox
from .rows import EVENT_COLUMNS, JOB_COLUMNS, Row, event_of, json_text
from .schema import check_readable
from .statements import sql

_NEWEST: Final = sql("find", job_columns=JOB_COLUMNS, in_state="", order="DESC")
_OLDEST: Final = sql("find", job_columns=JOB_COLUMNS, in_state="", order="ASC")
_IN_STATE: Final = "AND state = :state"
_NEWEST_IN_STATE: Final = sql("find", job_columns=JOB_COLUMNS, in_state=_IN_STATE, order="DESC")
_OLDEST_IN_STATE: Final = sql("find", job_columns=JOB_COLUMNS, in_state=_IN_STATE, order="ASC")
_PLACE_OF_ID: Final = sql("place_of_id")
_PLACE_OF_DELETED: Final = sql("place_of_deleted")
_PLACE_OF_KEY: Final = sql("place_of_key")
_PLACES_OF_PREFIX: Final = sql("places_of_prefix")
_EVENTS: Final = sql("events", event_columns=EVENT_COLUMNS, of_job="")
_EVENTS_OF_JOB: Final = sql("events", event_columns=EVENT_COLUMNS, of_job="AND job_n = :n")
_QUEUED: Final = sql("queued", job_columns=JOB_COLUMNS)
_DUE: Final = sql("due", job_columns=JOB_COLUMNS)
_NEXT_DUE: Final = sql("next_due")
_OVERDUE: Final = sql("overdue", job_columns=JOB_COLUMNS)
_NEXT_DEADLINE: Final = sql("next_deadline")
_ENDED: Final = sql("ended", job_columns=JOB_COLUMNS, index="jobs_ended", fresh="")
_FRESH: Final = "AND stale_at IS NULL"
_ENDED_FRESH: Final = sql("ended", job_columns=JOB_COLUMNS, index="jobs_fresh", fresh=_FRESH)
_SLOTS: Final = sql("slots_by_queue")
_BACKLOG: Final = sql("backlog_by_queue")
_QUEUE_SETTINGS: Final = sql("queue_settings")
_HOOKS_BY_STATE: Final = sql("hooks_by_state")
_JOBS_BY_STATE: Final = sql("jobs_by_state")
_LAST_SEQ: Final = sql("last_seq")
_EXTENT: Final = sql("extent")

N_MOST: Final = 2**63 - 1
"""No row has a higher number."""


class Reader:
    """Reads a store; the methods are those of `Store`."""

    def __init__(self, connection: Connection, path: str, corrupt: Corrupt) -> None:
        self._connection = connection
        self._path = path
        self._loader = Loader(connection, corrupt)
        self._outbox = Outbox(self._loader)
        self._closed = False

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._connection.close()

    def data_version(self) -> int:
        """Return a number that changes when somebody else has written. Cheap; never waits.

        Raises:
          StoreClosed: if the store is closed.
          StoreUnavailable: if the database refuses.
        """
        self._check()
        with refusals(self._path):
            return int(self._loader.rows("PRAGMA data_version")[0][0])

    async def get(self, job: str) -> Job | None:
        """See `Store.get`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return self._loader.job(job)

    async def find(self, query: Query) -> list[Job]:
        """See `Store.find`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            low, high = self._places(query)
            if low > high:
                return []
            parameters = {
                "low": low,
                "high": high,
                "types": _listed(query.types),
                "queues": _listed(query.queues),
                "prefix": query.prefix or None,
                "labels": json_text(dict(query.labels)) if query.labels else None,
            }
            return self._loader.sound(
                lambda most: self._found(query, {**parameters, "limit": most}),
                _page(query.limit),
                self._loader.jobs,
            )

    async def gone(self, job: str) -> bool:
        """See `Store.gone`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return not self._loader.rows(_PLACE_OF_ID, (job,)) and self._grave(job) is not None

    async def events(
        self,
        *,
        after: int = 0,
        job: str | None = None,
        types: Sequence[EventType] = (),
        limit: int = PAGE_MOST,
    ) -> list[Event]:
        """See `Store.events`."""
        await trio.lowlevel.checkpoint()
        statement = _EVENTS if job is None else _EVENTS_OF_JOB
        parameters: dict[str, Any] = {"after": after, "types": _listed(types)}
        with self._transaction():
            if job is not None:
                parameters["n"] = self._place(job)
            return self._loader.sound(
                lambda most: self._loader.rows(statement, {**parameters, "limit": most}),
                _page(limit),
                self._events,
            )

    async def queued(self, queue: str, types: Sequence[str], limit: int) -> list[Job]:
        """See `Store.queued`."""
        return await self._jobs(_QUEUED, limit, queue=queue, types=json_text(list(types)))

    async def due(self, now: float, limit: int) -> list[Job]:
        """See `Store.due`."""
        return await self._jobs(_DUE, limit, now=now)

    async def next_due(self) -> float | None:
        """See `Store.next_due`."""
        return await self._first_time(_NEXT_DUE)

    async def overdue(self, now: float, limit: int) -> list[Job]:
        """See `Store.overdue`."""
        return await self._jobs(_OVERDUE, limit, now=now)

    async def next_deadline(self) -> float | None:
        """See `Store.next_deadline`."""
        return await self._first_time(_NEXT_DEADLINE)

    async def ended(
        self, state: JobState, before: float, limit: int, *, fresh: bool = False
    ) -> list[Job]:
        """See `Store.ended`."""
        statement = _ENDED_FRESH if fresh else _ENDED
        return await self._jobs(statement, limit, state=state, before=before)

    async def hook(self, id: str) -> Hook | None:
        """See `Store.hook`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return self._outbox.hook(id)

    async def hooks(
        self,
        *,
        job: str | None = None,
        states: Sequence[HookState] = (),
        after: tuple[int, str] | None = None,
        limit: int = PAGE_MOST,
    ) -> list[Hook]:
        """See `Store.hooks`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return self._outbox.hooks(job, states, after, _page(limit))

    async def due_hooks(
        self,
        now: float,
        limit: int,
        *,
        taken: Collection[str] = (),
        resting: Collection[str] = (),
    ) -> list[Hook]:
        """See `Store.due_hooks`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return self._outbox.due(now, _page(limit), taken, resting)

    async def next_hook(
        self, *, taken: Collection[str] = (), resting: Collection[str] = ()
    ) -> float | None:
        """See `Store.next_hook`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return self._outbox.next(taken, resting)

    async def disabled(self, urls: Collection[str]) -> Mapping[str, float]:
        """See `Store.disabled`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return self._outbox.disabled(urls)

    async def slots(self) -> Mapping[str, int]:
        """See `Store.slots`."""
        return await self._counts(_SLOTS)

    async def backlog(self) -> Mapping[str, int]:
        """See `Store.backlog`."""
        return await self._counts(_BACKLOG)

    async def queue_settings(self) -> Mapping[str, QueueSetting]:
        """See `Store.queue_settings`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return {
                name: QueueSetting(paused=None if paused is None else bool(paused), slots=slots)
                for name, paused, slots in self._loader.rows(_QUEUE_SETTINGS)
            }

    async def extent(self) -> Extent:
        """See `Store.extent`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            [(epoch, floor, head)] = self._loader.rows(_EXTENT)
        return Extent(epoch=str(epoch), floor=int(floor), head=int(head))

    async def statistics(self) -> StoreStatistics:
        """See `Store.statistics`."""
        await trio.lowlevel.checkpoint()
        with self._transaction():
            counts = {str(state): int(count) for state, count in self._loader.rows(_JOBS_BY_STATE)}
            hooks = {str(state): int(count) for state, count in self._loader.rows(_HOOKS_BY_STATE)}
            last = self._loader.rows(_LAST_SEQ)
        return StoreStatistics(
            jobs={state: counts[state] for state in JobState if state in counts},
            hooks={state: hooks[state] for state in HookState if state in hooks},
            last_seq=last[0][0] if last else 0,
            corrupt=len(self._loader.corrupt),
        )

    async def _jobs(self, statement: str, limit: int, **parameters: Any) -> list[Job]:
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return self._loader.sound(
                lambda most: self._loader.rows(statement, {**parameters, "limit": most}),
                _page(limit),
                self._loader.jobs,
            )

    async def _counts(self, statement: str) -> Mapping[str, int]:
        await trio.lowlevel.checkpoint()
        with self._transaction():
            return {str(queue): int(count) for queue, count in self._loader.rows(statement)}

    async def _first_time(self, statement: str) -> float | None:
        """Return the first time that a statement finds, of a row that can be read."""
        await trio.lowlevel.checkpoint()
        corrupt = self._loader.corrupt
        with self._transaction():
            for n, at in self._loader.rows(statement, (len(corrupt) + 1,)):
                # No page ever holds such a row: who waited for it would wake for nothing.
                if ("jobs", n) not in corrupt:
                    return float(at)
        return None

    def _found(self, query: Query, parameters: dict[str, Any]) -> list[Row]:
        """Return the rows of a query: for each state in the index's order, then merged."""
        if not query.states:
            return self._loader.rows(_NEWEST if query.newest_first else _OLDEST, parameters)
        statement = _NEWEST_IN_STATE if query.newest_first else _OLDEST_IN_STATE
        each = [
            self._loader.rows(statement, {**parameters, "state": state})
            for state in dict.fromkeys(query.states)
        ]
        merged = list(heapq.merge(*each, key=itemgetter(0), reverse=query.newest_first))
        return merged[: parameters["limit"]]

    def _places(self, query: Query) -> tuple[int, int]:
        """Return the first and last n among which the query's jobs are, by the indexes."""
        low, high = 1, N_MOST
        if query.key is not None:
            low, high = self._span(_PLACE_OF_KEY, query.key)
        if query.prefix:
            first, last = self._span(_PLACES_OF_PREFIX, query.prefix)
            low, high = max(low, first), min(high, last)
        if query.after is not None:
            n = self._place(query.after)
            if n is None:
                raise JobNotFound(f"no job has the id {query.after!r}: no page comes after it")
            low, high = (low, min(high, n - 1)) if query.newest_first else (max(low, n + 1), high)
        return low, high

    def _place(self, id_: str) -> int | None:
        """Return where a job stands, or stood before it was deleted; None if it never did."""
        rows = self._loader.rows(_PLACE_OF_ID, (id_,))
        return rows[0][0] if rows else self._grave(id_)

    def _grave(self, id_: str) -> int | None:
        """Return where the last job of this id stood that was deleted; None if there is none."""
        n: int | None = self._loader.rows(_PLACE_OF_DELETED, (id_,))[0][0]
        return n

    def _span(self, statement: str, value: str) -> tuple[int, int]:
        """Return the first and last n that a statement finds, or an empty span."""
        for first, last in self._loader.rows(statement, (value,)):
            if first is not None:
                return first, last
        return 1, 0

    def _events(self, rows: Sequence[Row]) -> list[Event]:
        events: list[Event] = []
        for row in rows:
            try:
                events.append(event_of(row))
            except CorruptRecord as exc:
                self._loader.corrupt.note("events", row[0], exc)
        return events

    def _check(self) -> None:
        if self._closed:
            raise StoreClosed(f"{self._path} is closed")

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """Read several times and see one moment, whatever is written meanwhile."""
        self._check()
        with refusals(self._path):
            self._loader.rows("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._loader.rows("COMMIT")


@asynccontextmanager
async def open_reader(path: str | os.PathLike[str]) -> AsyncGenerator[Reader]:
    """Open a store to read it, whether a process owns it at the moment or not.

    Nothing is locked, and the file is not written; an empty log may be left beside it. What
    the owner writes meanwhile is seen by the next read; `Reader.data_version` says if there
    was something. Reads are done on the trio thread. A checkpoint on the way in.

    Raises:
      NotAStore: if there is no store there.
      StoreTooNew: if a newer triphase wrote it.
      StoreUnavailable: if it cannot be read.
    """
    await trio.lowlevel.checkpoint()
    name = _existing(path)
    with refusals(name):
        connection = connect_reader(name, writable=False)
        with closing(Reader(connection, name, Corrupt())) as reader:
            check_readable(connection, name)
            yield reader


def _existing(path: str | os.PathLike[str]) -> str:
    name = os.path.realpath(path)
    check_place(name)
    if not os.path.exists(name):
        raise NotAStore(f"{name} does not exist")
    return name


def _listed(words: Sequence[str]) -> str | None:
    """Return a condition's JSON list, or None if any will do."""
    return json_text(list(words)) if words else None


def _page(limit: int) -> int:
    return max(0, min(limit, PAGE_MOST))
