"""The rules of stopping: cancel, time out, interrupt, and start over.

A running job is stopped in two steps. It is asked to stop (`job.stopping`), and only when its
handler has stopped, or was abandoned after its grace, does it become what it was stopped for.
Until then it holds its slot, since something of it still runs.
"""

from __future__ import annotations

import attrs

from triphase_protocol import (
    STATES,
    CancelJob,
    Cause,
    Deadline,
    ErrorRecord,
    EventType,
    IllegalTransition,
    Interrupt,
    JobState,
    Json,
    OnRestart,
    RetryJob,
    Stop,
    StopCause,
    StopHarder,
    StopHow,
    Stopped,
    StopStep,
    TimeOut,
    UnknownPhase,
)

from .draft import Draft, StopPhase, brief, charge
from .runs import failed


def cancel_job(draft: Draft, command: CancelJob) -> None:
    """End the job as cancelled, at once or when what runs of it has stopped."""
    job, state = draft.job, draft.job.state
    if STATES[state].terminal:
        raise IllegalTransition(f"job {job.id} cannot be cancelled: it is {state.value}")
    if state is JobState.STOPPING and job.stop and job.stop.cause is StopCause.CANCEL:
        raise IllegalTransition(f"job {job.id} is being cancelled already")
    stop = Stop(
        cause=StopCause.CANCEL,
        asked_at=draft.now,
        cancel_at=draft.now + command.ask_grace,
        grace_until=draft.now + command.ask_grace + command.grace,
        reason=command.reason,
        by=command.by,
    )
    if not STATES[state].holds_slot:
        _cancelled(draft, attrs.evolve(stop, stopped_at=draft.now), StopHow.NOTHING_RAN)
    else:
        _ask(draft, stop)


def time_out(draft: Draft, command: TimeOut) -> None:
    """Ask the running phase to stop, because one of its times has passed."""
    draft.running()
    _ask(
        draft,
        Stop(
            cause=StopCause.TIMEOUT,
            asked_at=draft.now,
            cancel_at=draft.now + command.ask_grace,
            grace_until=draft.now + command.ask_grace + command.grace,
            deadline=command.deadline,
            error=command.error,
        ),
    )


def stop_harder(draft: Draft, _: StopHarder) -> None:
    """Cancel a handler that was asked to stop, and has not."""
    draft.running(JobState.STOPPING)
    stop = _stop_of(draft)
    if stop.step is StopStep.CANCEL:
        raise IllegalTransition(f"the handler of job {draft.job.id} is being cancelled already")
    _tell(draft, attrs.evolve(stop, step=StopStep.CANCEL))


def stopped(draft: Draft, command: Stopped) -> None:
    """Let the job become what it was stopped for."""
    index = draft.running(JobState.STOPPING)
    stop = attrs.evolve(_stop_of(draft), stopped_at=draft.now)
    draft.progress(index, command.progress)
    if stop.cause is StopCause.CANCEL:
        _cancelled(draft, stop, command.how)
        return
    draft.to["stop"] = attrs.evolve(stop, how=command.how)
    retry = None if stop.deadline is Deadline.JOB else command.retry
    data: dict[str, Json] = {"how": command.how.value}
    failed(draft, index, Cause.TIMEOUT, _error_of(stop), retry, command.draw, data=data)


def interrupt(draft: Draft, command: Interrupt) -> None:
    """Put back a run whose owner is gone or going; what was being stopped has stopped."""
    stopping = draft.state is JobState.STOPPING
    index = draft.running(JobState.STOPPING if stopping else JobState.RUNNING)
    if stopping:
        stop = attrs.evolve(_stop_of(draft), stopped_at=draft.now)
        if stop.cause is StopCause.CANCEL:
            _cancelled(draft, stop, StopHow.OWNER_GONE)
            return
        stop = attrs.evolve(stop, how=StopHow.OWNER_GONE)
        if stop.deadline is Deadline.JOB:
            draft.end(EventType.JOB_FAILED, error=_error_of(stop), stop=stop)
            return
    error = ErrorRecord(type="Interrupted", message=command.reason)
    spent = charge(draft.phases[index], command.cause)
    draft.emit_phase(
        index,
        EventType.PHASE_INTERRUPTED,
        data={"cause": command.cause.value, "reason": command.reason},
        error=error,
        spent=spent,
        finished_at=draft.now,
    )
    lost = spent.get(Cause.LOST, 0)
    if command.cause is Cause.LOST and lost > command.policy.lost_most:
        message = f"{draft.phases[index].name}: its process was lost {lost} times"
        draft.end(EventType.JOB_FAILED, error=ErrorRecord(type="Lost", message=message))
        return
    match command.policy.then:
        case OnRestart.FAIL:
            draft.end(EventType.JOB_FAILED, error=error)
        case OnRestart.HOLD:
            draft.end(EventType.JOB_INTERRUPTED, reason=command.reason)
        case OnRestart.RESTART:
            charged = [phase.spent for phase in draft.phases]
            names = draft.renew(0)
            # The losses are kept: a job that kills its process again and again must end.
            draft.phases[:] = [
                attrs.evolve(phase, spent=numbers)
                for phase, numbers in zip(draft.phases, charged, strict=True)
            ]
            _put_back(draft, command.cause, phases=names)
        case OnRestart.RESUME:
            _put_back(draft, command.cause)


def retry_job(draft: Draft, command: RetryJob) -> None:
    """Start a job that has ended over; results before the phase it starts from are kept."""
    job = draft.job
    if not job.terminal:
        raise IllegalTransition(f"job {job.id} cannot be retried: it is {job.state.value}")
    data: dict[str, Json] = {}
    if command.translate is not None:
        data = draft.lay_out(command.translate.phases)
    again = draft.renew(_first_to_run(draft, command.from_phase))
    # A new run begins here, not at its claim: a cancel in between ends it, not the one before.
    draft.run = job.run + 1
    draft.emit(
        EventType.JOB_RETRIED,
        data={"from": again[0], "phases": again, "by": command.by, **data},
        error=None,
        reason=None,
        result=None,
        stop=None,
        position=0,
        due_at=draft.now,
        started_at=None,
        claimed_at=None,
        finished_at=None,
        stale_at=None,
    )
    draft.enqueue()


def _put_back(draft: Draft, cause: Cause, phases: list[str] | None = None) -> None:
    draft.reschedule(cause, 0.0, phases=phases)
    draft.enqueue()


def _first_to_run(draft: Draft, name: str | None) -> int:
    """Return the index of the first phase that a retry runs again."""
    job, unfinished = draft.job, draft.current
    if name is None:
        if unfinished is None:
            raise IllegalTransition(
                f"job {job.id} has completed every phase: name the one to start from"
            )
        return unfinished
    names = [phase.name for phase in draft.phases]
    if name not in names:
        raise UnknownPhase(f"job {job.id} has no phase {name!r}; it has: {', '.join(names)}")
    index = names.index(name)
    # A phase needs the results of those before it.
    return index if unfinished is None else min(index, unfinished)


def _ask(draft: Draft, stop: Stop) -> None:
    """Begin to stop; a second reason to stop gives no second grace."""
    before = draft.job.stop if draft.state is JobState.STOPPING else None
    if before is not None:
        stop = attrs.evolve(
            stop,
            cancel_at=min(before.cancel_at, stop.cancel_at),
            grace_until=min(before.grace_until, stop.grace_until),
        )
    asking = stop.cancel_at > draft.now and (before is None or before.step is StopStep.ASK)
    _tell(draft, attrs.evolve(stop, step=StopStep.ASK if asking else StopStep.CANCEL))


def _tell(draft: Draft, stop: Stop) -> None:
    data: dict[str, Json] = {
        "cause": stop.cause.value,
        "step": stop.step.value,
        "cancel_at": stop.cancel_at,
        "grace_until": stop.grace_until,
        "reason": stop.reason,
        "by": stop.by,
    }
    if stop.deadline is not None:
        data["deadline"] = stop.deadline.value
    if stop.error is not None:
        data["error"] = brief(stop.error)
    draft.emit(EventType.JOB_STOPPING, data=data, stop=stop)
    draft.effects.append(StopPhase())


def _cancelled(draft: Draft, stop: Stop, how: StopHow) -> None:
    data: dict[str, Json] = {
        "how": how.value,
        "by": stop.by,
        "seconds": draft.since(stop.asked_at),
    }
    stop = attrs.evolve(stop, how=how)
    draft.end(EventType.JOB_CANCELLED, data=data, reason=stop.reason, stop=stop)


def _stop_of(draft: Draft) -> Stop:
    stop: Stop | None = draft.job.stop
    if stop is None:
        raise IllegalTransition(f"job {draft.job.id} is stopping, and nothing says what for")
    return stop


def _error_of(stop: Stop) -> ErrorRecord:
    return stop.error or ErrorRecord(type="Timeout", message="its time has passed")
