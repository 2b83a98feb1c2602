"""The rules of a run: from submit to claim, and how its phases follow one another."""

from __future__ import annotations

import attrs

from triphase_protocol import (
    CancelPhase,
    Cause,
    Claim,
    CompletePhase,
    Enqueue,
    ErrorRecord,
    EventType,
    FailJob,
    FailPhase,
    Job,
    JobState,
    Json,
    PhaseRecord,
    PhaseState,
    ReportProgress,
    Retry,
    SnoozePhase,
    Submit,
)

from .draft import Decision, Draft, EndRun, StartPhase, brief, charge


def submit(command: Submit, now: float) -> Decision:
    """Accept a new job."""
    due = command.due_at if command.due_at is not None and command.due_at > now else now
    fresh = Job(
        id=command.id,
        type=command.type,
        state=JobState.SCHEDULED,
        payload=command.payload,
        digest=command.digest,
        phases=tuple(
            PhaseRecord(
                name=name, version=command.versions.get(name, 1), gate=command.gates.get(name)
            )
            for name in command.phases
        ),
        timeouts=command.timeouts,
        queue=command.queue,
        priority=command.priority,
        key=command.key,
        labels=command.labels,
        webhooks=command.webhooks,
        submitted_at=now,
        due_at=due,
    )
    draft = Draft(fresh, now, None)
    draft.emit(
        EventType.JOB_SUBMITTED,
        data={"type": command.type, "queue": command.queue, "phases": list(command.phases)},
    )
    draft.enqueue()
    return attrs.evolve(draft.decision(), changed=tuple(range(len(command.phases))))


def enqueue(draft: Draft, _: Enqueue) -> None:
    """Queue a scheduled job that is due; its due time is the caller's to look at."""
    if draft.is_gated():
        draft.ask_for_approval()
    else:
        draft.emit(EventType.JOB_QUEUED, queued_at=draft.now)


def claim(draft: Draft, command: Claim) -> None:
    """Start a new run."""
    job = draft.job
    data = {} if command.translate is None else draft.lay_out(command.translate.phases)
    if draft.is_gated():
        # Only phases that were translated can have a gate that has not been asked about.
        draft.ask_for_approval(data)
        return
    # A retry has opened the run that its claim enters.
    opened = job.run > 0 and job.started_at is None
    draft.run = job.run if opened else job.run + 1
    draft.emit(
        EventType.JOB_STARTED,
        data={"owner": command.owner, **data},
        owner=command.owner,
        started_at=job.started_at if job.started_at is not None else draft.now,
        claimed_at=draft.now,
        finished_at=None,
        error=None,
        reason=None,
        stop=None,
    )
    start_next(draft)


def report_progress(draft: Draft, command: ReportProgress) -> None:
    """Record how far the running phase has come."""
    draft.progress(draft.running(), command.progress)


def complete_phase(draft: Draft, command: CompletePhase) -> None:
    """Record a result; start the next phase, or complete the job."""
    index = draft.running()
    draft.progress(index, command.progress)
    draft.emit_phase(
        index,
        EventType.PHASE_COMPLETED,
        result=command.result,
        error=None,
        finished_at=draft.now,
    )
    start_next(draft)


def fail_phase(draft: Draft, command: FailPhase) -> None:
    """Record that a try failed; schedule another by the policy, or fail the job."""
    index = draft.running()
    draft.progress(index, command.progress)
    failed(draft, index, command.cause, command.error, command.retry, command.draw)


def failed(
    draft: Draft,
    index: int,
    cause: Cause,
    error: ErrorRecord,
    retry: Retry | None,
    draw: float,
    *,
    data: dict[str, Json] | None = None,
) -> None:
    """Let a try fail: what follows depends on the policy and on the tries before."""
    spent = charge(draft.phases[index], cause)
    draft.emit_phase(
        index,
        EventType.PHASE_FAILED,
        data={"cause": cause.value, "error": brief(error), **(data or {})},
        error=error,
        spent=spent,
        finished_at=draft.now,
    )
    errors, timeouts = spent.get(Cause.ERROR, 0), spent.get(Cause.TIMEOUT, 0)
    if retry is None or not retry.allows(errors, timeouts):
        draft.end(EventType.JOB_FAILED, error=error)
    else:
        draft.reschedule(cause, retry.delay(errors + timeouts, draw))


def snooze_phase(draft: Draft, command: SnoozePhase) -> None:
    """Let the running phase be tried again later."""
    index = draft.running()
    draft.progress(index, command.progress)
    draft.emit_phase(
        index,
        EventType.PHASE_INTERRUPTED,
        data={"cause": Cause.SNOOZE.value},
        spent=charge(draft.phases[index], Cause.SNOOZE),
        finished_at=draft.now,
    )
    draft.reschedule(Cause.SNOOZE, command.seconds)


def cancel_phase(draft: Draft, command: CancelPhase) -> None:
    """End the job as cancelled, by its own handler."""
    index = draft.running()
    draft.progress(index, command.progress)
    draft.end(EventType.JOB_CANCELLED, reason=command.reason)


def fail_job(draft: Draft, command: FailJob) -> None:
    """Fail the job, whatever its phases' policies say."""
    draft.end(EventType.JOB_FAILED, error=command.error)


def start_next(draft: Draft) -> None:
    """Start the first phase that has not completed, ask for its approval, or complete the job."""
    index = draft.current
    if index is None:
        result = draft.phases[-1].result if draft.phases else None
        draft.end(EventType.JOB_COMPLETED, result=result)
        return
    if draft.is_gated():
        draft.ask_for_approval()
        draft.effects.append(EndRun())
        return
    phase = draft.phases[index]
    draft.emit_phase(
        index,
        EventType.PHASE_STARTED,
        attempt=phase.attempt + 1,
        origin=phase.origin if phase.state is PhaseState.INTERRUPTED else draft.run,
        progress=None,
        error=None,
        started_at=draft.now,
        finished_at=None,
    )
    draft.effects.append(StartPhase(index))
