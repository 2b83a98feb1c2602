"""Operations on a simulated disk that can be taken back as long as they are not committed."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from triphase.store.backend import QueueSetting
from triphase.store.operations import (
    Applied,
    Claim,
    Delete,
    Done,
    Operation,
    Prune,
    Rejected,
    Result,
    SetQueue,
    Step,
    Submit,
    Why,
)
from triphase_protocol import Event, EventType, Job, encode

from .contents import Contents, Logged, Row, bare_phase, result_bytes, row_of


class Refused(Exception):
    """An operation holds something that cannot be stored."""


class Transaction:
    """Some operations, applied one after the other; then committed, or undone."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._before: list[tuple[str, Row | None]] = []
        self._begin = len(contents.log)
        self._numbers = contents.last_seq, contents.last_n
        self._queues = dict(contents.queues)
        # What was removed from the log, up to which seq: by the place of a job that was
        # deleted, and by the time before which tombstones were pruned.
        self._deleted: dict[int, int] = {}
        self._pruned: list[tuple[float, int]] = []

    def commit(self) -> None:
        """Make it final: now the removed events leave the log."""
        if self._deleted or self._pruned:
            contents = self._contents
            pruned = (each.event.seq for each in contents.log if self._is_pruned(each.event))
            contents.floor = max(contents.floor, *pruned, 0)
            contents.log = [each for each in contents.log if not self._is_removed(each)]

    def undo(self) -> None:
        """Leave the disk as it was."""
        contents = self._contents
        del contents.log[self._begin :]
        while self._before:
            contents.put(*self._before.pop())
        contents.sort()
        contents.last_seq, contents.last_n = self._numbers
        contents.queues = self._queues

    def apply(self, operation: Operation) -> Result:
        """Carry out one operation, wholly or not at all.

        Raises:
          Refused: if it holds something that cannot be stored.
        """
        try:
            match operation:
                case Submit():
                    return self._submit(operation)
                case Step():
                    return self._step(operation)
                case Claim():
                    return self._claim(operation)
                case Delete():
                    return self._delete(operation)
                case Prune():
                    return self._prune(operation)
                case SetQueue():
                    return self._set_queue(operation)
        except Exception as exc:
            raise Refused(str(exc)) from exc

    def _submit(self, submit: Submit) -> Result:
        contents, job = self._contents, self._placed(submit.job, submit.events)
        holder = None if job.key is None else contents.keys.get(job.key)
        if job.id in contents.rows:
            holder = job.id
        if holder is not None:
            return Rejected(Why.EXISTS, contents.rows[holder].record())
        row = row_of(job, contents.last_n + 1)
        result = self._put(job, row, submit.events)
        contents.last_n = row.n
        return result

    def _claim(self, claim: Claim) -> Result:
        slots = self._contents.slots()
        total, queue = sum(slots.values()), slots.get(claim.step.job.queue, 0)
        if total >= claim.limits.total or queue >= claim.limits.queue:
            return Rejected(Why.FULL)
        return self._step(claim.step)

    def _step(self, step: Step) -> Result:
        row = self._guarded(step.job.id, step.run, step.version)
        if isinstance(row, Rejected):
            return row
        job = self._placed(step.job, step.events)
        phases, results = list(row.job.phases), list(row.results)
        for index in step.changed:
            # One past the last adds a phase.
            phases[index : index + 1] = [bare_phase(job.phases[index])]
            results[index : index + 1] = [result_bytes(job.phases[index])]
        bare = attrs.evolve(
            job,
            payload=None,
            result=None,
            phases=tuple(phases[: step.phases]),
            labels=row.job.labels,
            type=row.job.type,
            key=row.job.key,
            digest=row.job.digest,
            timeouts=row.job.timeouts,
            submitted_at=row.job.submitted_at,
        )
        after = attrs.evolve(row, job=bare, results=tuple(results[: step.phases]))
        return self._put(job, after, step.events)

    def _delete(self, delete: Delete) -> Result:
        row = self._guarded(delete.job, delete.run, delete.version)
        if isinstance(row, Rejected):
            return row
        job = attrs.evolve(row.record(), version=delete.events[-1].version)
        self._deleted[row.n] = self._contents.last_seq
        return self._put(job, None, delete.events, n=row.n)

    def _prune(self, prune: Prune) -> Result:
        self._pruned.append((prune.before, self._contents.last_seq))
        return Done()

    def _set_queue(self, queue: SetQueue) -> Result:
        self._contents.queues[queue.name] = QueueSetting(paused=queue.paused, slots=queue.slots)
        return Done()

    def _guarded(self, id: str, run: int, version: int) -> Row | Rejected:
        """Return the row of a job, if it is where an operation wants it."""
        row = self._contents.rows.get(id)
        if row is None:
            return Rejected(Why.GONE)
        if (row.job.run, row.job.version) != (run, version):
            return Rejected(Why.STALE, row.record())
        return row

    def _put(self, job: Job, row: Row | None, events: Sequence[Event], n: int = 0) -> Result:
        """Write a row, or none, and the events that led to it."""
        contents, n = self._contents, n if row is None else row.n
        seq = contents.last_seq
        stamped = tuple(attrs.evolve(e, seq=seq + i) for i, e in enumerate(events, 1))
        logged = [Logged(n, e, encode(dict(e.data))) for e in stamped]
        self._before.append((job.id, contents.put(job.id, row)))
        contents.log += logged
        contents.last_seq += len(logged)
        return Applied(job, stamped)

    def _placed(self, job: Job, events: Sequence[Event]) -> Job:
        if job.position == 0:
            for seq, event in reversed(list(enumerate(events, self._contents.last_seq + 1))):
                if event.type is EventType.JOB_QUEUED:
                    return attrs.evolve(job, position=seq)
        return job

    def _is_removed(self, logged: Logged) -> bool:
        event = logged.event
        return event.seq <= self._deleted.get(logged.n, 0) or self._is_pruned(event)

    def _is_pruned(self, event: Event) -> bool:
        return event.type is EventType.JOB_DELETED and any(
            event.at < before and event.seq <= last for before, last in self._pruned
        )
