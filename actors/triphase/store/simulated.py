"""A store in memory, whose crashes can be aimed at: simulations run on it, and `"memory:"`.

It shares nothing with the SQLite store but the interface, so that each can be held against
the other. A `Disk` is what survives; a `SimulatedStore` is one process's handle on it.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import attrs
import trio

from triphase_protocol import (
    Event,
    EventType,
    Job,
    JobNotFound,
    JobState,
    Json,
    PhaseRecord,
    StoreClosed,
    StoreLocked,
    StoreUnavailable,
    decode,
    encode,
    states_where,
)

from .backend import PAGE_MOST, Query, Store, StoreStatistics
from .operations import Applied, Claim, Operation, Rejected, Result, Step, Submit, Why

_HOLDING = states_where(holds_slot=True)


@attrs.frozen(eq=False)
class _Row:
    """A job as it lies on the disk: what a caller could change is kept as bytes."""

    n: int
    """Its place in the order of submission."""

    job: Job
    """The record without what is beside it, and with dicts that nobody else has."""

    payload: bytes
    results: tuple[bytes | None, ...]

    def record(self) -> Job:
        """Return a record of its own."""
        phases = tuple(
            attrs.evolve(phase, spent=dict(phase.spent), result=_value(result))
            for phase, result in zip(self.job.phases, self.results, strict=True)
        )
        done = self.job.state is JobState.COMPLETED
        return attrs.evolve(
            self.job,
            payload=decode(self.payload),
            labels=dict(self.job.labels),
            phases=phases,
            result=phases[-1].result if done else None,
        )


@attrs.frozen(eq=False)
class _Logged:
    """An event as it lies on the disk."""

    event: Event
    """The event; its data may be the caller's."""

    data: bytes

    def record(self) -> Event:
        """Return an event of its own."""
        return attrs.evolve(self.event, data=decode(self.data))


class Disk:
    """What survives when the process that used it is gone: all that was committed."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._keys: dict[str, str] = {}
        self._ids: dict[JobState, dict[str, None]] = {state: {} for state in JobState}
        self._log: list[_Logged] = []
        self._owner: SimulatedStore | None = None

    def __repr__(self) -> str:
        return f"<Disk: {len(self._rows)} jobs, {len(self._log)} events>"

    @property
    def last_seq(self) -> int:
        """The sequence number of the last committed event; 0 if there is none."""
        return self._log[-1].event.seq if self._log else 0

    def _in(self, state: JobState) -> Iterator[_Row]:
        return (self._rows[id] for id in self._ids[state])

    def _put(self, id: str, row: _Row | None) -> _Row | None:
        """Put a row in the place of a job's present one, which is returned."""
        before = self._rows.get(id)
        if before is not None:
            del self._ids[before.job.state][id]
            if before.job.key is not None:
                del self._keys[before.job.key]
        if row is None:
            del self._rows[id]
            return before
        self._rows[id] = row
        self._ids[row.job.state][id] = None
        if row.job.key is not None:
            self._keys[row.job.key] = id
        return before


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
        transaction = _Transaction(self._open_disk())
        results: list[Result] = []
        try:
            self._at("before")
            for index, operation in enumerate(operations):
                results.append(transaction.apply(operation))
                self._at(f"apply:{index}")
            self._at("commit")
        except _Refused as exc:
            transaction.undo()
            raise StoreUnavailable(f"nothing was written: {exc}") from exc
        except BaseException:
            transaction.undo()
            self.fence()
            raise
        try:
            self._at("after")
        except BaseException:
            self.fence()
            raise
        return results

    async def get(self, job: str) -> Job | None:
        """See `Store.get`."""
        await trio.lowlevel.checkpoint()
        row = self._open_disk()._rows.get(job)
        return None if row is None else row.record()

    async def find(self, query: Query) -> list[Job]:
        """See `Store.find`."""
        await trio.lowlevel.checkpoint()
        rows = self._open_disk()._rows
        places: Iterable[_Row] = rows.values()
        if query.newest_first:
            places = reversed(rows.values())
        if query.after is not None:
            if query.after not in rows:
                raise JobNotFound(f"no job has the id {query.after!r}: no page comes after it")
            n = rows[query.after].n
            places = (row for row in places if (row.n < n if query.newest_first else row.n > n))
        return _page((row for row in places if _matches(row.job, query)), query.limit)

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
        log = self._open_disk()._log
        begin = bisect.bisect_right(log, after, key=lambda logged: logged.event.seq)
        wanted = (
            logged.record()
            for logged in islice(log, begin, None)
            if (job is None or logged.event.job == job)
            and (not types or logged.event.type in types)
        )
        return list(islice(wanted, _bounded(limit)))

    async def queued(self, queue: str, types: Sequence[str], limit: int) -> list[Job]:
        """See `Store.queued`."""
        await trio.lowlevel.checkpoint()
        rows = [
            row
            for row in self._open_disk()._in(JobState.QUEUED)
            if row.job.queue == queue and row.job.type in types
        ]
        rows.sort(key=lambda row: (-row.job.priority, row.job.position, row.n))
        return _page(rows, limit)

    async def due(self, now: float, limit: int) -> list[Job]:
        """See `Store.due`."""
        await trio.lowlevel.checkpoint()
        rows = [row for row in self._open_disk()._in(JobState.SCHEDULED) if row.job.due_at <= now]
        rows.sort(key=lambda row: (row.job.due_at, row.n))
        return _page(rows, limit)

    async def next_due(self) -> float | None:
        """See `Store.next_due`."""
        await trio.lowlevel.checkpoint()
        scheduled = self._open_disk()._in(JobState.SCHEDULED)
        return min((row.job.due_at for row in scheduled), default=None)

    async def slots(self) -> Mapping[str, int]:
        """See `Store.slots`."""
        await trio.lowlevel.checkpoint()
        return _slots(self._open_disk())

    async def statistics(self) -> StoreStatistics:
        """See `Store.statistics`."""
        await trio.lowlevel.checkpoint()
        disk = self._open_disk()
        return StoreStatistics(
            jobs={state: len(ids) for state, ids in disk._ids.items() if ids},
            last_seq=disk.last_seq,
            corrupt=0,
        )

    def _open_disk(self) -> Disk:
        if self._disk._owner is not self:
            raise StoreClosed("the store is not open, or was fenced off")
        return self._disk

    def _let_go(self) -> None:
        if self._disk._owner is self:
            self._disk._owner = None


class _Refused(Exception):
    """An operation holds something that cannot be stored."""


class _Transaction:
    """Operations on a disk that can be taken back as long as it is not committed."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._before: list[tuple[str, _Row | None]] = []
        self._logged = len(disk._log)

    def undo(self) -> None:
        """Leave the disk as it was."""
        del self._disk._log[self._logged :]
        while self._before:
            self._disk._put(*self._before.pop())

    def apply(self, operation: Operation) -> Result:
        """Carry out one operation, wholly or not at all."""
        try:
            match operation:
                case Submit():
                    return self._submit(operation)
                case Step():
                    return self._step(operation)
                case Claim():
                    return self._claim(operation)
        except Exception as exc:
            raise _Refused(str(exc)) from exc

    def _submit(self, submit: Submit) -> Result:
        disk, job = self._disk, self._placed(submit.job, submit.events)
        holder = None if job.key is None else disk._keys.get(job.key)
        if job.id in disk._rows:
            holder = job.id
        if holder is not None:
            return Rejected(Why.EXISTS, disk._rows[holder].record())
        last = next(reversed(disk._rows.values()), None)
        row = _Row(
            n=1 if last is None else last.n + 1,
            job=attrs.evolve(
                job,
                payload=None,
                result=None,
                phases=tuple(map(_bare_phase, job.phases)),
                labels=dict(job.labels),
            ),
            payload=encode(job.payload),
            results=tuple(map(_result, job.phases)),
        )
        return self._commit(job, row, submit.events)

    def _claim(self, claim: Claim) -> Result:
        slots = _slots(self._disk)
        total, queue = sum(slots.values()), slots.get(claim.step.job.queue, 0)
        if total >= claim.limits.total or queue >= claim.limits.queue:
            return Rejected(Why.FULL)
        return self._step(claim.step)

    def _step(self, step: Step) -> Result:
        row = self._disk._rows.get(step.job.id)
        if row is None:
            return Rejected(Why.GONE)
        if (row.job.run, row.job.version) != (step.run, step.version):
            return Rejected(Why.STALE, row.record())
        job = self._placed(step.job, step.events)
        phases, results = list(row.job.phases), list(row.results)
        for index in step.changed:
            # One past the last adds a phase.
            phases[index : index + 1] = [_bare_phase(job.phases[index])]
            results[index : index + 1] = [_result(job.phases[index])]
        bare = attrs.evolve(
            job,
            payload=None,
            result=None,
            phases=tuple(phases),
            labels=row.job.labels,
            type=row.job.type,
            key=row.job.key,
            digest=row.job.digest,
            submitted_at=row.job.submitted_at,
        )
        return self._commit(job, attrs.evolve(row, job=bare, results=tuple(results)), step.events)

    def _commit(self, job: Job, row: _Row, events: Sequence[Event]) -> Result:
        seq = self._disk.last_seq
        stamped = tuple(attrs.evolve(e, seq=seq + i) for i, e in enumerate(events, 1))
        logged = [_Logged(e, encode(dict(e.data))) for e in stamped]
        self._before.append((job.id, self._disk._put(job.id, row)))
        self._disk._log += logged
        return Applied(job, stamped)

    def _placed(self, job: Job, events: Sequence[Event]) -> Job:
        if job.position == 0:
            for seq, event in reversed(list(enumerate(events, self._disk.last_seq + 1))):
                if event.type is EventType.JOB_QUEUED:
                    return attrs.evolve(job, position=seq)
        return job


def _bare_phase(phase: PhaseRecord) -> PhaseRecord:
    return attrs.evolve(phase, result=None, spent=dict(phase.spent))


def _result(phase: PhaseRecord) -> bytes | None:
    return None if phase.result is None else encode(phase.result)


def _value(result: bytes | None) -> Json:
    return None if result is None else decode(result)


def _slots(disk: Disk) -> Mapping[str, int]:
    return dict(Counter(row.job.queue for state in _HOLDING for row in disk._in(state)))


def _matches(job: Job, query: Query) -> bool:
    return (
        (not query.states or job.state in query.states)
        and (not query.types or job.type in query.types)
        and (not query.queues or job.queue in query.queues)
        and query.labels.items() <= job.labels.items()
        and (query.key is None or job.key == query.key)
        and job.id.startswith(query.prefix)
    )


def _bounded(limit: int) -> int:
    return max(0, min(limit, PAGE_MOST))


def _page(rows: Iterable[_Row], limit: int) -> list[Job]:
    return [row.record() for row in islice(rows, _bounded(limit))]
