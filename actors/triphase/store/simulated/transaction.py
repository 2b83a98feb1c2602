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
from triphase_protocol import Event, EventType, HookState, Job, encode

from .contents import Contents, HookRow, Logged, Row, bare_phase, result_bytes, row_of


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
        self._disabled = dict(contents.disabled)
        self._hooks_before: list[tuple[str, HookRow | None]] = []
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
        contents.queues, contents.disabled = self._queues, self._disabled
        while self._hooks_before:
            contents.put_hook(*self._hooks_before.pop())

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
                case HookStep():
                    return self._step_hook(operation)
                case Redeliver():
                    return self._redeliver(operation)
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
        result = self._put(job, row, submit.events, submit.hooks)
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
        step = after_notes(step, min(row.notes, row.job.version - step.version))
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
            webhooks=row.job.webhooks,
            submitted_at=row.job.submitted_at,
        )
        after = attrs.evolve(row, job=bare, results=tuple(results[: step.phases]), notes=0)
        return self._put(job, after, step.events, step.hooks)

    def _delete(self, delete: Delete) -> Result:
        row = self._guarded(delete.job, delete.run, delete.version)
        if isinstance(row, Rejected):
            return row
        events = later(delete.events, min(row.notes, row.job.version - delete.version))
        job = attrs.evolve(row.record(), version=events[-1].version)
        self._deleted[row.n] = self._contents.last_seq
        for each in list(self._contents.hooks_of(job.id)):
            if each.n == row.n:
                pending = each.hook.state is HookState.PENDING
                self._put_hook(each.hook.id, HookRow(None, each.hook) if pending else None)
        return self._put(job, None, events, delete.hooks, n=row.n)

    def _step_hook(self, step: HookStep) -> Result:
        contents, after = self._contents, step.hook
        row = contents.hooks.get(after.id)
        if row is None:
            return Rejected(Why.GONE)
        if row.hook.state is not HookState.PENDING or row.hook.attempts != step.attempts:
            return Rejected(Why.STALE)
        hook = attrs.evolve(
            row.hook,
            state=after.state,
            attempts=after.attempts,
            due_at=after.due_at,
            ended_at=after.ended_at,
            status=after.status,
            error=after.error,
        )
        self._put_hook(hook.id, HookRow(row.n, hook))
        if step.disabled:
            if hook.ended_at is None:
                raise ValueError(f"no time since when {hook.url!r} is gone")
            contents.disabled[hook.url] = hook.ended_at
        if step.event is None or row.n is None:
            return Done()
        noted = contents.rows[hook.job]
        job = attrs.evolve(noted.record(), version=noted.job.version + 1)
        bare = attrs.evolve(noted.job, version=job.version)
        event = attrs.evolve(step.event, job=job.id, run=job.run, version=job.version)
        return self._put(job, attrs.evolve(noted, job=bare, notes=noted.notes + 1), (event,))

    def _redeliver(self, redeliver: Redeliver) -> Result:
        row = self._contents.hooks.get(redeliver.hook)
        if row is None:
            return Rejected(Why.GONE)
        hook, due_at = row.hook, redeliver.due_at
        self._contents.disabled.pop(hook.url, None)
        if hook.state is HookState.PENDING:
            earliest = due_at if hook.due_at is None else min(hook.due_at, due_at)
            hook = attrs.evolve(hook, due_at=earliest)
        else:
            hook = attrs.evolve(
                hook, state=HookState.PENDING, due_at=due_at, ended_at=None, spent=hook.attempts
            )
        self._put_hook(hook.id, HookRow(row.n, hook))
        return Done()

    def _prune(self, prune: Prune) -> Result:
        self._pruned.append((prune.before, self._contents.last_seq))
        for id, row in list(self._contents.hooks.items()):
            ended_at = row.hook.ended_at
            if row.n is None and ended_at is not None and ended_at < prune.before:
                self._put_hook(id, None)
        disabled = self._contents.disabled
        self._contents.disabled = {u: at for u, at in disabled.items() if at >= prune.before}
        return Done()

    def _set_queue(self, queue: SetQueue) -> Result:
        self._contents.queues[queue.name] = QueueSetting(paused=queue.paused, slots=queue.slots)
        return Done()

    def _guarded(self, id: str, run: int, version: int) -> Row | Rejected:
        """Return the row of a job, if it is where an operation wants it."""
        row = self._contents.rows.get(id)
        if row is None:
            return Rejected(Why.GONE)
        if row.job.run != run or not row.job.version - row.notes <= version <= row.job.version:
            return Rejected(Why.STALE, row.record())
        return row

    def _put_hook(self, id: str, row: HookRow | None) -> None:
        self._hooks_before.append((id, self._contents.put_hook(id, row)))

    def _put(
        self,
        job: Job,
        row: Row | None,
        events: Sequence[Event],
        hooks: Sequence[NewHook] = (),
        n: int = 0,
    ) -> Result:
        """Write a row, or none, the events that led to it, and what is to tell of them."""
        contents, n = self._contents, n if row is None else row.n
        seq = contents.last_seq
        stamped = tuple(attrs.evolve(e, seq=seq + i) for i, e in enumerate(events, 1))
        logged = [Logged(n, e, encode(dict(e.data))) for e in stamped]
        self._before.append((job.id, contents.put(job.id, row)))
        contents.log += logged
        contents.last_seq += len(logged)
        for hook in new_rows(hooks, job, stamped):
            if hook.id in contents.hooks:
                raise ValueError(f"there is a delivery {hook.id!r} already")
            self._put_hook(hook.id, HookRow(None if row is None else n, hook))
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
