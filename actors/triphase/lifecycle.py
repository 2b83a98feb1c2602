"""The only place that decides what happens to a job.

`decide(job, command, now)` is a pure function. It returns the next record, the events that
led to it, and the effects that the caller must carry out once those are durable. It reads
no clock, draws no random number and knows no store. What it may not do, it refuses: an
illegal command raises and changes nothing.

Every change of state goes through `_Draft.emit`, which asks the tables of
`triphase_protocol.states` where the event leads. So the record is the fold of its events,
by construction.

A step carries as much as can be true at once: the last phase's completion and the job's,
a phase's completion and the start of the next. There is no moment between them to crash in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from triphase_protocol import (
    CancelPhase,
    Cause,
    Claim,
    Command,
    CompletePhase,
    Enqueue,
    ErrorRecord,
    Event,
    EventType,
    FailJob,
    FailPhase,
    IllegalTransition,
    Interrupt,
    Job,
    JobState,
    Json,
    PhaseRecord,
    PhaseState,
    Progress,
    ReportProgress,
    SnoozePhase,
    StaleWrite,
    Submit,
    next_phase_state,
    next_state,
    unstructure,
)


@attrs.frozen
class StartPhase:
    """Run the handler of this phase; its try has been recorded."""

    index: int


@attrs.frozen
class EndRun:
    """Nothing of this run is left to do."""


Effect: TypeAlias = StartPhase | EndRun
"""Something to do after the decision is durable."""


@attrs.frozen
class Decision:
    """What follows from a command."""

    job: Job
    """The next record."""

    events: tuple[Event, ...]
    """What happened, in order, with `seq` still 0."""

    effects: tuple[Effect, ...] = ()
    """What to do once the events are durable."""

    changed: tuple[int, ...] = ()
    """The indexes of the phases that are no longer what they were."""


class _Draft:
    """A decision in the making: a record, and the events that move it."""

    def __init__(self, job: Job, now: float, state: JobState | None) -> None:
        self.job = job
        """As it was before; what is decided about it stands in the fields below."""

        self.now = now
        self.state = state
        self.run = job.run
        self.version = job.version
        self.phases = list(job.phases)
        self.to: dict[str, Any] = {}
        self.events: list[Event] = []
        self.effects: list[Effect] = []

    def emit(self, event: EventType, *, data: dict[str, Json] | None = None, **to: Any) -> None:
        """Record a `job.*` event; the table says where it leads, *to* what else changes."""
        self.state = next_state(self.state, event)
        self.to.update(to)
        self._note(event, None, data)

    def emit_phase(
        self, index: int, event: EventType, *, data: dict[str, Json] | None = None, **to: Any
    ) -> None:
        """Record a `phase.*` event of the phase at *index*."""
        phase = self.phases[index]
        moved = attrs.evolve(phase, state=next_phase_state(phase.state, event), **to)
        self.phases[index] = moved
        self._note(event, phase.name, {"attempt": moved.attempt, **(data or {})})

    @property
    def current(self) -> int | None:
        """The index of the first phase that has not completed, or None if all have."""
        for index, phase in enumerate(self.phases):
            if phase.state is not PhaseState.COMPLETED:
                return index
        return None

    def decision(self) -> Decision:
        assert self.state is not None, "a decision has at least one event"
        job = attrs.evolve(
            self.job,
            state=self.state,
            run=self.run,
            version=self.version,
            phases=tuple(self.phases),
            **self.to,
        )
        changed = tuple(
            index for index, phase in enumerate(self.phases) if phase is not self.job.phases[index]
        )
        return Decision(job, tuple(self.events), tuple(self.effects), changed)

    def _note(self, event: EventType, phase: str | None, data: dict[str, Json] | None) -> None:
        self.version += 1
        self.events.append(
            Event(
                seq=0,
                version=self.version,
                at=self.now,
                job=self.job.id,
                run=self.run,
                phase=phase,
                type=event,
                data=data or {},
            )
        )


def decide(job: Job | None, command: Command, now: float) -> Decision:
    """Decide what a command does to a job.

    Args:
      job: the current record; None for `Submit`.
      command: what is asked.
      now: wall-clock seconds since the Unix epoch.

    Raises:
      IllegalTransition: if it cannot be done in the job's state.
      StaleWrite: if the command names another run than the current one.
    """
    if isinstance(command, Submit):
        if job is not None:
            raise IllegalTransition(f"job {job.id} has been submitted already")
        return _submit(command, now)
    if job is None:
        raise IllegalTransition(f"{type(command).__name__}: there is no such job")
    _check_run(job, command)
    draft = _Draft(job, now, job.state)
    _RULES[type(command)](draft, command)
    return draft.decision()


def _check_run(job: Job, command: Command) -> None:
    run: int | None = getattr(command, "run", None)
    if run is not None and run != job.run:
        raise StaleWrite(
            f"{type(command).__name__} names run {run} of job {job.id}, which is at run {job.run}"
        )


def _submit(command: Submit, now: float) -> Decision:
    due = command.due_at if command.due_at is not None and command.due_at > now else now
    fresh = Job(
        id=command.id,
        type=command.type,
        state=JobState.SCHEDULED,
        payload=command.payload,
        digest=command.digest,
        phases=tuple(PhaseRecord(name=name) for name in command.phases),
        queue=command.queue,
        priority=command.priority,
        key=command.key,
        labels=command.labels,
        submitted_at=now,
        due_at=due,
    )
    draft = _Draft(fresh, now, None)
    draft.emit(
        EventType.JOB_SUBMITTED,
        data={"type": command.type, "queue": command.queue, "phases": list(command.phases)},
    )
    if due > now:
        draft.emit(EventType.JOB_SCHEDULED, data={"cause": "delay", "due_at": due})
    else:
        draft.emit(EventType.JOB_QUEUED, queued_at=now)
    return attrs.evolve(draft.decision(), changed=tuple(range(len(command.phases))))


def _enqueue(draft: _Draft, _: Enqueue) -> None:
    draft.emit(EventType.JOB_QUEUED, queued_at=draft.now)


def _claim(draft: _Draft, command: Claim) -> None:
    job = draft.job
    draft.run = job.run + 1
    draft.emit(
        EventType.JOB_STARTED,
        data={"owner": command.owner},
        owner=command.owner,
        started_at=job.started_at if job.started_at is not None else draft.now,
        finished_at=None,
        error=None,
        reason=None,
    )
    _start_next(draft)


def _report_progress(draft: _Draft, command: ReportProgress) -> None:
    _progress(draft, _running(draft), command.progress)


def _complete_phase(draft: _Draft, command: CompletePhase) -> None:
    index = _running(draft)
    _progress(draft, index, command.progress)
    draft.emit_phase(
        index,
        EventType.PHASE_COMPLETED,
        result=command.result,
        error=None,
        finished_at=draft.now,
    )
    _start_next(draft)


def _fail_phase(draft: _Draft, command: FailPhase) -> None:
    index = _running(draft)
    _progress(draft, index, command.progress)
    phase = draft.phases[index]
    spent = _charge(phase, command.cause)
    draft.emit_phase(
        index,
        EventType.PHASE_FAILED,
        data={"cause": command.cause.value, "error": _brief(command.error)},
        error=command.error,
        spent=spent,
        finished_at=draft.now,
    )
    failures = spent.get(Cause.ERROR, 0) + spent.get(Cause.TIMEOUT, 0)
    if command.retry is None or failures >= command.retry.attempts:
        _end(draft, EventType.JOB_FAILED, error=command.error)
        return
    delay = command.retry.delay(failures, command.draw)
    _reschedule(draft, command.cause, delay)


def _snooze_phase(draft: _Draft, command: SnoozePhase) -> None:
    index = _running(draft)
    _progress(draft, index, command.progress)
    draft.emit_phase(
        index,
        EventType.PHASE_INTERRUPTED,
        data={"cause": Cause.SNOOZE.value},
        spent=_charge(draft.phases[index], Cause.SNOOZE),
        finished_at=draft.now,
    )
    _reschedule(draft, Cause.SNOOZE, command.seconds)


def _cancel_phase(draft: _Draft, command: CancelPhase) -> None:
    index = _running(draft)
    _progress(draft, index, command.progress)
    _end(draft, EventType.JOB_CANCELLED, reason=command.reason)


def _fail_job(draft: _Draft, command: FailJob) -> None:
    _end(draft, EventType.JOB_FAILED, error=command.error)


def _interrupt(draft: _Draft, command: Interrupt) -> None:
    """Put a run back: its phase is marked, and the job queued again for the next run."""
    index = _running(draft)
    draft.emit_phase(
        index,
        EventType.PHASE_INTERRUPTED,
        data={"cause": command.cause.value, "reason": command.reason},
        error=ErrorRecord(type="Interrupted", message=command.reason),
        spent=_charge(draft.phases[index], command.cause),
        finished_at=draft.now,
    )
    _reschedule(draft, command.cause, 0.0)
    _enqueue(draft, Enqueue())


_RULES: dict[type, Callable[[_Draft, Any], None]] = {
    Enqueue: _enqueue,
    Claim: _claim,
    ReportProgress: _report_progress,
    CompletePhase: _complete_phase,
    FailPhase: _fail_phase,
    SnoozePhase: _snooze_phase,
    CancelPhase: _cancel_phase,
    FailJob: _fail_job,
    Interrupt: _interrupt,
}


def _running(draft: _Draft) -> int:
    """Return the index of the running phase."""
    index = draft.current
    if (
        draft.state is not JobState.RUNNING
        or index is None
        or draft.phases[index].state is not PhaseState.RUNNING
    ):
        raise IllegalTransition(
            f"no phase of job {draft.job.id} is running; it is {draft.job.state.value}"
        )
    return index


def _progress(draft: _Draft, index: int, progress: Progress | None) -> None:
    if progress is not None:
        data: dict[str, Json] = unstructure(progress)
        draft.emit_phase(index, EventType.PHASE_PROGRESS, data=data, progress=progress)


def _start_next(draft: _Draft) -> None:
    """Start the first phase that has not completed, or complete the job."""
    index = draft.current
    if index is None:
        result = draft.phases[-1].result if draft.phases else None
        _end(draft, EventType.JOB_COMPLETED, result=result)
        return
    draft.emit_phase(
        index,
        EventType.PHASE_STARTED,
        attempt=draft.phases[index].attempt + 1,
        progress=None,
        error=None,
        started_at=draft.now,
        finished_at=None,
    )
    draft.effects.append(StartPhase(index))


def _reschedule(draft: _Draft, cause: Cause, delay: float) -> None:
    due = draft.now + delay
    data: dict[str, Json] = {"cause": cause.value, "due_at": due}
    draft.emit(EventType.JOB_SCHEDULED, data=data, due_at=due, owner=None)
    draft.effects.append(EndRun())


def _end(draft: _Draft, event: EventType, **to: Any) -> None:
    """End the job: every phase that has not ended ends with it, then the job itself."""
    for index, phase in enumerate(list(draft.phases)):
        if phase.state not in (PhaseState.COMPLETED, PhaseState.FAILED, PhaseState.CANCELLED):
            draft.emit_phase(index, EventType.PHASE_CANCELLED, finished_at=draft.now)
    data: dict[str, Json] = {}
    if isinstance(error := to.get("error"), ErrorRecord):
        data["error"] = _brief(error)
    if (reason := to.get("reason")) is not None:
        data["reason"] = reason
    draft.emit(event, data=data, owner=None, finished_at=draft.now, **to)
    draft.effects.append(EndRun())


def _charge(phase: PhaseRecord, cause: Cause) -> dict[str, int]:
    return {**phase.spent, cause.value: phase.spent.get(cause.value, 0) + 1}


def _brief(error: ErrorRecord) -> dict[str, Json]:
    """Return an error for an event: without its traceback, which the record keeps."""
    return {"type": error.type, "message": error.message}
