"""The simulated store: a disk in memory, and one process's handle on it."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter, itemgetter

import attrs
import trio

from triphase.store.backend import PAGE_MOST, Extent, Query, QueueSetting, Store, StoreStatistics
from triphase.store.operations import Applied, Operation, Result
from triphase_protocol import (
    STATES,
    Event,
    EventType,
    Hook,
    HookState,
    Job,
    JobNotFound,
    JobState,
    StoreClosed,
    StoreLocked,
    StoreUnavailable,
)

from .contents import Contents, Row
from .transaction import Refused, Transaction


class Disk:
    """What survives when the process that used it is gone: all that was committed.

    Args:
      id: the id of its log; another one for each disk whose numbers must not be confused.
    """

    def __init__(self, id: str = "simulated") -> None:
        self.id = id
        self._contents = Contents()
        self._owner: SimulatedStore | None = None

    def __repr__(self) -> str:
        return f"<Disk: {len(self._contents.rows)} jobs, {len(self._contents.log)} events>"

    @property
    def last_seq(self) -> int:
        """The sequence number of the last committed event; 0 if there is none."""
        return self._contents.last_seq

    def records(self) -> list[Job]:
        """Return every job as it lies there, in the order of submission, owned or not."""
        return [row.record() for row in self._contents.rows.values()]

    def unfinished(self) -> list[Job]:
        """Return the jobs that have not ended, in the order of submission."""
        rows = self._contents.rows.values()
        return [row.record() for row in rows if not STATES[row.job.state].terminal]

    def events_after(self, seq: int) -> list[Event]:
        """Return the events above a `seq`, owned or not."""
        log = self._contents.log
        begin = bisect.bisect_right(log, seq, key=lambda logged: logged.event.seq)
        return [logged.record() for logged in log[begin:]]

    def hooks(self) -> list[Hook]:
        """Return every delivery with its body, in the order of their `place`, owned or not."""
        return sorted((row.hook for row in self._contents.hooks.values()), key=attrgetter("place"))

    def disabled(self) -> Mapping[str, float]:
        """Return the URLs that are gone, and since when."""
        return dict(self._contents.disabled)

    def key_of(self, job: str) -> str | None:
        """Return the idempotency key of a job; None if it has none, or there is no such job."""
        row = self._contents.rows.get(job)
        return None if row is None else row.job.key


class SimulatedStore(Store):
    """One process's handle on a disk.

    Args:
      disk: what was there before; None is an empty one.
      at: called at the named points of a write that has begun. Whatever it raises is a crash
        of the process at that point: `write` raises it, and every later call `StoreClosed`.
        The points are `"before"`, when nothing was written; `"apply:0"`, `"apply:1"`, …
        after each operation, and `"commit"` after all of them, when nothing is durable; and
        `"after"`, when all of it is durable and nobody has heard of it.
    """

    def __init__(
        self, disk: Disk | None = None, *, at: Callable[[str], None] | None = None
    ) -> None:
        self._disk = disk or Disk()
        self._at: Callable[[str], None] = at or (lambda point: None)
        self._fenced = False
        self.committed: tuple[Event, ...] = ()
        """The events of the last transaction: also of a job that it has deleted."""

    async def open(self) -> None:
        """See `Store.open`."""
        await trio.lowlevel.checkpoint()
        if self._fenced:
            raise StoreClosed("this handle was fenced off: open another")
        if self._disk._owner is not None:
            raise StoreLocked("another handle owns this disk")
        self._disk._owner = self

    async def close(self) -> None:
        """See `Store.close`."""
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()
        self._let_go()

    def fence(self) -> None:
        """Take the disk away, as when the process has died: nothing works any more."""
        self._fenced = True
        self._let_go()

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """See `Store.write`."""
        await trio.lowlevel.checkpoint()
        transaction = Transaction(self._open_disk())
        results: list[Result] = []
        try:
            self._at("before")
            for index, operation in enumerate(operations):
                results.append(transaction.apply(operation))
                self._at(f"apply:{index}")
            self._at("commit")
        except Refused as exc:
            transaction.undo()
            raise StoreUnavailable(f"nothing was written: {exc}") from exc
        except BaseException:
            transaction.undo()
            self.fence()
            raise
        transaction.commit()
        self.committed = tuple(
            event for each in results if isinstance(each, Applied) for event in each.events
        )
        try:
            self._at("after")
        except BaseException:
            self.fence()
            raise
        return results

    async def get(self, job: str) -> Job | None:
        """See `Store.get`."""
        await trio.lowlevel.checkpoint()
        row = self._open_disk().rows.get(job)
        return None if row is None else row.record()

    async def find(self, query: Query) -> list[Job]:
        """See `Store.find`."""
        await trio.lowlevel.checkpoint()
        contents = self._open_disk()
        places: Iterable[Row] = contents.rows.values()
        if query.newest_first:
            places = reversed(contents.rows.values())
        if query.after is not None:
            n = contents.place_of(query.after)
            if n is None:
                raise JobNotFound(f"no job has the id {query.after!r}: no page comes after it")
            places = (row for row in places if (row.n < n if query.newest_first else row.n > n))
        return _page((row for row in places if _matches(row.job, query)), query.limit)

    async def gone(self, job: str) -> bool:
        """See `Store.gone`."""
        await trio.lowlevel.checkpoint()
        contents = self._open_disk()
        return job not in contents.rows and contents.grave_of(job) is not None

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
        contents = self._open_disk()
        place = None if job is None else contents.place_of(job)
        begin = bisect.bisect_right(contents.log, after, key=lambda logged: logged.event.seq)
        wanted = (
            logged.record()
            for logged in islice(contents.log, begin, None)
            if (job is None or logged.n == place) and (not types or logged.event.type in types)
        )
        return list(islice(wanted, _bounded(limit)))

    async def queued(self, queue: str, types: Sequence[str], limit: int) -> list[Job]:
        """See `Store.queued`."""
        await trio.lowlevel.checkpoint()
        rows = [
            row
            for row in self._open_disk().in_state(JobState.QUEUED)
            if row.job.queue == queue and row.job.type in types
        ]
        rows.sort(key=lambda row: (-row.job.priority, row.job.position, row.n))
        return _page(rows, limit)

    async def due(self, now: float, limit: int) -> list[Job]:
        """See `Store.due`."""
        await trio.lowlevel.checkpoint()
        scheduled = self._open_disk().in_state(JobState.SCHEDULED)
        return _earliest(((row.job.due_at, row) for row in scheduled), now, limit)

    async def next_due(self) -> float | None:
        """See `Store.next_due`."""
        await trio.lowlevel.checkpoint()
        scheduled = self._open_disk().in_state(JobState.SCHEDULED)
        return min((row.job.due_at for row in scheduled), default=None)

    async def overdue(self, now: float, limit: int) -> list[Job]:
        """See `Store.overdue`."""
        await trio.lowlevel.checkpoint()
        waiting = self._open_disk().waiting()
        return _earliest(((row.job.deadline, row) for row in waiting), now, limit)

    async def next_deadline(self) -> float | None:
        """See `Store.next_deadline`."""
        await trio.lowlevel.checkpoint()
        deadlines = (row.job.deadline for row in self._open_disk().waiting())
        return min((at for at in deadlines if at is not None), default=None)

    async def ended(
        self, state: JobState, before: float, limit: int, *, fresh: bool = False
    ) -> list[Job]:
        """See `Store.ended`."""
        await trio.lowlevel.checkpoint()
        ends = (
            (row.job.finished_at, row)
            for row in self._open_disk().in_state(state)
            if not fresh or row.job.stale_at is None
        )
        return _earliest(ends, before, limit)

    async def hook(self, id: str) -> Hook | None:
        """See `Store.hook`."""
        await trio.lowlevel.checkpoint()
        row = self._open_disk().hooks.get(id)
        return None if row is None else row.hook

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
        contents = self._open_disk()
        rows = contents.hooks.values() if job is None else contents.hooks_of(job)
        wanted = [
            row.hook
            for row in rows
            if (not states or row.hook.state in states)
            and (after is None or row.hook.place > after)
        ]
        wanted.sort(key=attrgetter("place"))
        return [attrs.evolve(hook, body=None) for hook in wanted[: _bounded(limit)]]

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
        waiting = _waiting(self._open_disk(), taken, resting)
        due = [(at, hook.place, hook) for at, hook in waiting if at <= now]
        due.sort(key=itemgetter(0, 1))
        return [hook for _, _, hook in due[: _bounded(limit)]]

    async def next_hook(
        self, *, taken: Collection[str] = (), resting: Collection[str] = ()
    ) -> float | None:
        """See `Store.next_hook`."""
        await trio.lowlevel.checkpoint()
        return min((at for at, _ in _waiting(self._open_disk(), taken, resting)), default=None)

    async def disabled(self, urls: Collection[str]) -> Mapping[str, float]:
        """See `Store.disabled`."""
        await trio.lowlevel.checkpoint()
        disabled = self._open_disk().disabled
        return {url: disabled[url] for url in urls if url in disabled}

    async def slots(self) -> Mapping[str, int]:
        """See `Store.slots`."""
        await trio.lowlevel.checkpoint()
        return self._open_disk().slots()

    async def backlog(self) -> Mapping[str, int]:
        """See `Store.backlog`."""
        await trio.lowlevel.checkpoint()
        return self._open_disk().backlog()

    async def queue_settings(self) -> Mapping[str, QueueSetting]:
        """See `Store.queue_settings`."""
        await trio.lowlevel.checkpoint()
        return dict(self._open_disk().queues)

    async def extent(self) -> Extent:
        """See `Store.extent`."""
        await trio.lowlevel.checkpoint()
        contents = self._open_disk()
        return Extent(epoch=self._disk.id, floor=contents.floor, head=contents.last_seq)

    async def statistics(self) -> StoreStatistics:
        """See `Store.statistics`."""
        await trio.lowlevel.checkpoint()
        contents = self._open_disk()
        return StoreStatistics(
            jobs=contents.counts(),
            hooks=contents.hook_counts(),
            last_seq=contents.last_seq,
            corrupt=0,
        )

    def _open_disk(self) -> Contents:
        if self._disk._owner is not self:
            raise StoreClosed("the store is not open, or was fenced off")
        return self._disk._contents

    def _let_go(self) -> None:
        if self._disk._owner is self:
            self._disk._owner = None


def _matches(job: Job, query: Query) -> bool:
    return (
        (not query.states or job.state in query.states)
        and (not query.types or job.type in query.types)
        and (not query.queues or job.queue in query.queues)
        and query.labels.items() <= job.labels.items()
        and (query.key is None or job.key == query.key)
        and job.id.startswith(query.prefix)
    )


def _earliest(times: Iterable[tuple[float | None, Row]], until: float, limit: int) -> list[Job]:
    """Return the jobs whose time has come, by that and then by their place."""
    come = [(at, row.n, row) for at, row in times if at is not None and at <= until]
    come.sort(key=itemgetter(0, 1))
    return _page((row for _, _, row in come), limit)


def _waiting(
    contents: Contents, taken: Collection[str], resting: Collection[str]
) -> Iterator[tuple[float, Hook]]:
    """Yield the deliveries that may be tried, each with the time from which on it may."""
    for hook in contents.first_pending():
        if hook.due_at is not None and hook.id not in taken and hook.url not in resting:
            yield hook.due_at, hook


def _bounded(limit: int) -> int:
    return max(0, min(limit, PAGE_MOST))


def _page(rows: Iterable[Row], limit: int) -> list[Job]:
    return [row.record() for row in islice(rows, _bounded(limit))]
