"""The writing half of a store: operations in, one transaction, results out.

Synchronous and without a clock of trio's: the store decides in which thread it runs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import attrs

from triphase.store.operations import (
    Applied,
    Claim,
    Delete,
    Done,
    HookStep,
    NewHook,
    Operation,
    Prune,
    Redeliver,
    Rejected,
    Result,
    SetQueue,
    Step,
    Submit,
    Why,
    after_notes,
    later,
)
from triphase.store.outbox_rows import new_rows
from triphase_protocol import Event, EventType, HookState, Job, StoreUnavailable, states_where

from .connection import Connection, refusals
from .loading import Loader
from .rows import (
    Row,
    advanced_job,
    event_row,
    hook_row,
    new_job,
    phase_row,
    place_of,
    stepped_hook,
)
from .statements import sql

_INSERT_JOB: Final = sql("insert_job")
_GUARD: Final = sql("guard")
_STEP_JOB: Final = sql("step_job")
_ADVANCE_JOB: Final = sql("advance_job")
_INSERT_PHASE: Final = sql("insert_phase")
_UPDATE_PHASE: Final = sql("update_phase")
_TRIM_PHASES: Final = sql("trim_phases")
_INSERT_EVENT: Final = sql("insert_event")
_DELETE_JOB: Final = sql("delete_job")
_DELETE_EVENTS: Final = sql("delete_events")
_PRUNE: Final = sql("prune")
_RAISE_FLOOR: Final = sql("raise_floor")
_SET_QUEUE: Final = sql("set_queue")
_SLOTS_BY_QUEUE: Final = sql("slots_by_queue")
_NOTES: Final = sql("notes")
_NOTE_JOB: Final = sql("note_job")
_INSERT_HOOK: Final = sql("insert_hook")
_HOOK_GUARD: Final = sql("hook_guard")
_STEP_HOOK: Final = sql("step_hook")
_REDELIVER_HOOK: Final = sql("redeliver_hook")
_HASTEN_HOOK: Final = sql("hasten_hook")
_DELETE_HOOKS: Final = sql("delete_hooks")
_LEAVE_HOOKS: Final = sql("leave_hooks")
_PRUNE_HOOKS: Final = sql("prune_hooks")
_DISABLE_WEBHOOK: Final = sql("disable_webhook")
_ENABLE_WEBHOOK: Final = sql("enable_webhook")
_PRUNE_DISABLED_WEBHOOKS: Final = sql("prune_disabled_webhooks")
_LAST_NUMBERS: Final = sql("last_numbers")

_HOLDING: Final = frozenset(states_where(holds_slot=True))


class Writer:
    """Writes through the one connection that may."""

    def __init__(self, connection: Connection, path: str, loader: Loader) -> None:
        self._connection = connection
        self._path = path
        self._loader = loader
        self._execute = connection.execute
        self._seq = self._n = 0
        self._log: list[Row] = []
        self._slots: dict[str, int] | None = None
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
        [(self._seq, self._n)] = self._execute(_LAST_NUMBERS).fetchall()
        self._log = []
        self._slots = None
        results = [self._apply(operation) for operation in operations]
        self._write_log()
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
            case Delete():
                return self._delete(operation)
            case HookStep():
                return self._step_hook(operation)
            case Redeliver():
                return self._redeliver(operation)
            case Prune():
                return self._prune(operation)
            case SetQueue():
                return self._set_queue(operation)

    def _submit(self, submit: Submit) -> Result:
        job = self._placed(submit.job, submit.events)
        # Given, as the database would give the place of the last job again once it is deleted.
        n = self._n + 1
        self._execute(_INSERT_JOB, new_job(job, n))
        if self._connection.changes() == 0:
            return Rejected(Why.EXISTS, self._current(self._loader.rows_of(job.id, job.key)))
        self._n = n
        for index, phase in enumerate(job.phases):
            self._execute(_INSERT_PHASE, phase_row(phase, n, index))
        self._count(job.queue, job.state, 1)
        return self._applied(job, submit.events, submit.hooks, n)

    def _claim(self, claim: Claim) -> Result:
        if self._slots is None:
            self._slots = dict(self._execute(_SLOTS_BY_QUEUE))
        total, queue = sum(self._slots.values()), self._slots.get(claim.step.job.queue, 0)
        if total >= claim.limits.total or queue >= claim.limits.queue:
            return Rejected(Why.FULL)
        return self._step(claim.step)

    def _step(self, step: Step) -> Result:
        rows = self._execute(_GUARD, (step.job.id,)).fetchall()
        if not rows:
            return Rejected(Why.GONE)
        n, run, version, notes, *place = rows[0]
        if run != step.run or not version - notes <= step.version <= version:
            return Rejected(Why.STALE, self._current(self._loader.rows_of(step.job.id)))
        step = after_notes(step, version - step.version)
        job = self._placed(step.job, step.events)
        self._replace(n, job, tuple(place))
        for index in step.changed:
            row = phase_row(job.phases[index], n, index)
            self._execute(_UPDATE_PHASE, row)
            if self._connection.changes() == 0:
                self._execute(_INSERT_PHASE, row)
        if step.phases is not None:
            self._execute(_TRIM_PHASES, (n, step.phases))
        return self._applied(job, step.events, step.hooks, n)

    def _delete(self, delete: Delete) -> Result:
        rows = self._loader.rows_of(delete.job)
        if not rows:
            return Rejected(Why.GONE)
        job, n = self._current(rows), rows[0][0]
        [(notes,)] = self._execute(_NOTES, (n,)).fetchall()
        if job is None or job.run != delete.run:
            return Rejected(Why.STALE, job)
        if not job.version - notes <= delete.version <= job.version:
            return Rejected(Why.STALE, job)
        events = later(delete.events, job.version - delete.version)
        self._write_log()
        self._execute(_DELETE_EVENTS, (n,))
        self._execute(_TRIM_PHASES, (n, 0))
        self._execute(_DELETE_JOB, (n,))
        self._execute(_DELETE_HOOKS, (job.id, n))
        self._execute(_LEAVE_HOOKS, (job.id, n))
        self._count(job.queue, job.state, -1)
        job = attrs.evolve(job, version=events[-1].version)
        return self._applied(job, events, delete.hooks, n, left=True)

    def _step_hook(self, step: HookStep) -> Result:
        rows = self._execute(_HOOK_GUARD, (step.hook.id,)).fetchall()
        if not rows:
            return Rejected(Why.GONE)
        n, state, attempts, job_n, id, url = rows[0]
        if state != HookState.PENDING or attempts != step.attempts:
            return Rejected(Why.STALE)
        self._execute(_STEP_HOOK, (*stepped_hook(step.hook), n))
        if step.disabled:
            self._execute(_DISABLE_WEBHOOK, (url, step.hook.ended_at))
        if step.event is None or job_n is None:
            return Done()
        job = self._current(self._loader.rows_of(id))
        if job is None:
            return Done()
        self._execute(_NOTE_JOB, (job_n,))
        job = attrs.evolve(job, version=job.version + 1)
        event = attrs.evolve(step.event, job=id, run=job.run, version=job.version)
        return self._applied(job, (event,), (), job_n)

    def _redeliver(self, redeliver: Redeliver) -> Result:
        rows = self._execute(_HOOK_GUARD, (redeliver.hook,)).fetchall()
        if not rows:
            return Rejected(Why.GONE)
        n, state, *_, url = rows[0]
        statement = _HASTEN_HOOK if state == HookState.PENDING else _REDELIVER_HOOK
        self._execute(statement, (redeliver.due_at, n))
        self._execute(_ENABLE_WEBHOOK, (url,))
        return Done()

    def _prune(self, prune: Prune) -> Result:
        self._write_log()
        self._execute(_RAISE_FLOOR, (prune.before,))
        self._execute(_PRUNE, (prune.before,))
        self._execute(_PRUNE_HOOKS, (prune.before,))
        self._execute(_PRUNE_DISABLED_WEBHOOKS, (prune.before,))
        return Done()

    def _set_queue(self, queue: SetQueue) -> Result:
        self._execute(_SET_QUEUE, (queue.name, queue.paused, queue.slots))
        return Done()

    def _replace(self, n: int, job: Job, before: Row) -> None:
        """Write a job's row over the one that was in this place."""
        after = place_of(job)
        if after == before:
            self._execute(_ADVANCE_JOB, (*advanced_job(job), n))
            return
        self._execute(_STEP_JOB, (*advanced_job(job), *after, n))
        self._count(before[0], before[1], -1)
        self._count(job.queue, job.state, 1)

    def _count(self, queue: str, state: str, change: int) -> None:
        """Follow the slots in use, once they have been counted in this transaction."""
        if self._slots is not None and state in _HOLDING:
            self._slots[queue] = self._slots.get(queue, 0) + change

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

    def _applied(
        self,
        job: Job,
        events: Sequence[Event],
        hooks: Sequence[NewHook],
        n: int,
        *,
        left: bool = False,
    ) -> Applied:
        """Log what has led to a record, and put into the outbox what is to tell of it."""
        logged = self._logged(events, n)
        if hooks:
            for hook in new_rows(hooks, job, logged):
                self._execute(_INSERT_HOOK, hook_row(hook, None if left else n))
        return Applied(job, logged)

    def _logged(self, events: Sequence[Event], n: int) -> tuple[Event, ...]:
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
            self._log.append(event_row(stamped, n))
        return tuple(logged)

    def _write_log(self) -> None:
        """Write the events of the operations so far: what removes events must find them."""
        if self._log:
            self._connection.execute_many(_INSERT_EVENT, self._log)
            self._log = []
