"""The writing half of a store: operations in, one transaction, results out.

Synchronous and without a clock of trio's: the store decides in which thread it runs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import attrs

from triphase.store.operations import Applied, Claim, Operation, Rejected, Result, Step, Submit, Why
from triphase_protocol import JOB_EVENTS, Event, EventType, Job, StoreUnavailable

from .connection import Connection, refusals
from .loading import Loader
from .rows import Row, event_row, new_job, phase_row, stepped_job
from .statements import sql

_INSERT_JOB: Final = sql("insert_job")
_STEP_JOB: Final = sql("step_job")
_STEP_JOB_IN_PLACE: Final = sql("step_job_in_place")
_INSERT_PHASE: Final = sql("insert_phase")
_UPDATE_PHASE: Final = sql("update_phase")
_INSERT_EVENT: Final = sql("insert_event")
_SLOTS_IN_USE: Final = sql("slots_in_use")
_LAST_SEQ: Final = sql("last_seq")


class Writer:
    """Writes through the one connection that may."""

    def __init__(self, connection: Connection, path: str, loader: Loader) -> None:
        self._connection = connection
        self._path = path
        self._loader = loader
        self._execute = connection.execute
        self._seq = 0
        self._log: list[Row] = []
        self.seconds = 0.0
        """How long the disk took for the last transaction."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def write(self, operations: Sequence[Operation]) -> list[Result]:
        """Apply operations in one transaction, and make it durable; see `Store.write`.

        Raises:
          StoreUnavailable: nothing of it was written.
        """
        with refusals(self._path):
            try:
                return self._write(operations)
            except Exception as exc:
                self._connection.roll_back()
                raise StoreUnavailable(f"{self._path}: nothing was written: {exc}") from exc
            except BaseException:
                self._connection.roll_back()
                raise

    def _write(self, operations: Sequence[Operation]) -> list[Result]:
        # If the end of the last transaction failed as well, this one begins with it.
        self._connection.roll_back()
        self._execute("BEGIN IMMEDIATE")
        # Read, not remembered: whatever became of the last transaction, this is what is there.
        self._seq = sum(seq for (seq,) in self._execute(_LAST_SEQ))
        self._log = []
        results = [self._apply(operation) for operation in operations]
        if self._log:
            self._connection.execute_many(_INSERT_EVENT, self._log)
        began = time.perf_counter()
        self._execute("COMMIT")
        self.seconds = time.perf_counter() - began
        return results

    def _apply(self, operation: Operation) -> Result:
        match operation:
            case Step():
                return self._step(operation)
            case Submit():
                return self._submit(operation)
            case Claim():
                return self._claim(operation)

    def _submit(self, submit: Submit) -> Result:
        job = self._placed(submit.job, submit.events)
        self._execute(_INSERT_JOB, new_job(job))
        if self._connection.changes() == 0:
            return Rejected(Why.EXISTS, self._current(self._loader.rows_of(job.id, job.key)))
        for index, phase in enumerate(job.phases):
            self._execute(_INSERT_PHASE, phase_row(phase, job.id, index))
        return Applied(job, self._logged(submit.events))

    def _claim(self, claim: Claim) -> Result:
        [(total, queue)] = self._execute(_SLOTS_IN_USE, (claim.step.job.queue,))
        if total >= claim.limits.total or queue >= claim.limits.queue:
            return Rejected(Why.FULL)
        return self._step(claim.step)

    def _step(self, step: Step) -> Result:
        job = self._placed(step.job, step.events)
        if not self._moved(step.events, stepped_job(job, step.run, step.version)):
            rows = self._loader.rows_of(job.id)
            return Rejected(Why.STALE, self._current(rows)) if rows else Rejected(Why.GONE)
        for index in step.changed:
            row = phase_row(job.phases[index], job.id, index)
            self._execute(_UPDATE_PHASE, row)
            if self._connection.changes() == 0:
                self._execute(_INSERT_PHASE, row)
        return Applied(job, self._logged(step.events))

    def _moved(self, events: Sequence[Event], row: Row) -> bool:
        """Write a job's next row, if its guard holds."""
        if not any(event.type in JOB_EVENTS for event in events):
            self._execute(_STEP_JOB_IN_PLACE, row)
            if self._connection.changes():
                return True
        self._execute(_STEP_JOB, row)
        return self._connection.changes() > 0

    def _current(self, rows: Sequence[Row]) -> Job | None:
        """Return the job of a row, or None if it is corrupt."""
        jobs = self._loader.jobs(rows)
        return jobs[0] if jobs else None

    def _placed(self, job: Job, events: Sequence[Event]) -> Job:
        """Return the job with its position, if these events queue it: the seq of the last."""
        if job.position == 0:
            for seq in range(self._seq + len(events), self._seq, -1):
                if events[seq - self._seq - 1].type is EventType.JOB_QUEUED:
                    return attrs.evolve(job, position=seq)
        return job

    def _logged(self, events: Sequence[Event]) -> tuple[Event, ...]:
        """Give events their seq, and put them into the log."""
        logged: list[Event] = []
        for event in events:
            self._seq += 1
            stamped = Event(
                seq=self._seq,
                version=event.version,
                at=event.at,
                job=event.job,
                run=event.run,
                phase=event.phase,
                type=event.type,
                data=event.data,
            )
            logged.append(stamped)
            self._log.append(event_row(stamped))
        return tuple(logged)
