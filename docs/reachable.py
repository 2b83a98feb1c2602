"""What this version can do to a job, found by asking the lifecycle.

The tables of states say what may ever happen. Not all of it is built yet, and a page that says
what happens must not say more. So every command is tried on every job that a command has led to.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from triphase.lifecycle import decide
from triphase_protocol import (
    Approve,
    CancelJob,
    CancelPhase,
    Cause,
    Claim,
    Command,
    CompletePhase,
    Deadline,
    Delete,
    Enqueue,
    ErrorRecord,
    Event,
    Expire,
    FailJob,
    FailPhase,
    Gate,
    IllegalTransition,
    Interrupt,
    Job,
    JobState,
    MarkStale,
    OnRestart,
    PhaseRecord,
    Progress,
    Recovery,
    Reject,
    ReportProgress,
    Retry,
    RetryJob,
    SnoozePhase,
    StopHarder,
    StopHow,
    Stopped,
    Submit,
    TimeOut,
    Timeouts,
    Translate,
    next_state,
)

NOW = 1000.0
LATER = NOW + 60.0
"""When every deadline has passed."""


@attrs.frozen
class Transition:
    """An event that was decided, and the state of the job before and after it."""

    before: JobState | None
    event: Event
    after: JobState | None


def transitions() -> Iterator[Transition]:
    """Yield every transition of a job of two phases; some of them more than once."""
    seen: set[object] = set()
    jobs: list[Job | None] = [None]
    while jobs:
        job = jobs.pop()
        for command in _commands(job):
            try:
                decision = decide(job, command, LATER if isinstance(command, Expire) else NOW)
            except IllegalTransition:
                continue
            state = None if job is None else job.state
            for event in decision.events:
                after = next_state(state, event.type)
                yield Transition(state, event, after)
                state = after
            stop = decision.job.stop
            what_for = None if stop is None else (stop.cause, stop.deadline, stop.step)
            gates = (phase.gate and phase.gate.approved for phase in decision.job.phases)
            states = (phase.state for phase in decision.job.phases)
            marked = decision.job.stale_at is not None
            shape = (decision.job.state, what_for, marked, *states, *gates)
            if shape not in seen:
                seen.add(shape)
                jobs.append(decision.job)


def _gated_anew(job: Job) -> tuple[PhaseRecord, ...]:
    return tuple(PhaseRecord(name=phase.name, gate=Gate()) for phase in job.phases)


def _commands(job: Job | None) -> Iterator[Command]:
    if job is None:
        for due_at, gated in ((None, ()), (NOW + 1, ()), (None, ("first", "second"))):
            yield Submit(
                id="job",
                type="Type",
                phases=("first", "second"),
                payload={},
                digest="",
                queue="default",
                due_at=due_at,
                gates={name: Gate(timeout=1.0 if name == "first" else None) for name in gated},
                timeouts=Timeouts(queue=1.0, job=1.0),
            )
        return
    run, error = job.run, ErrorRecord(type="Type", message="message")
    progress = Progress(done=1.0, total=2.0, message="message")
    yield Approve(by="by", reason="reason")
    yield Reject(by="by", reason="reason")
    yield Expire()
    yield Enqueue()
    yield Claim(owner="owner")
    yield Claim(owner="owner", translate=Translate(phases=job.phases))
    yield Claim(owner="owner", translate=Translate(phases=_gated_anew(job)))
    yield ReportProgress(run=run, progress=progress)
    yield CompletePhase(run=run, result=None)
    yield FailPhase(run=run, error=error)
    yield FailPhase(run=run, error=error, cause=Cause.TIMEOUT, retry=Retry(attempts=99))
    yield SnoozePhase(run=run, seconds=1.0)
    yield CancelPhase(run=run)
    yield CancelPhase(run=run, reason="reason")
    if job.state is JobState.RUNNING:
        # Decided in other states too, but nobody asks for it there.
        yield FailJob(run=run, error=error)
    for then in OnRestart:
        yield Interrupt(cause=Cause.LOST, reason="reason", policy=Recovery(then))
    yield CancelJob(reason="reason", by="by", grace=1.0)
    yield CancelJob(ask_grace=1.0, grace=1.0)
    yield TimeOut(run=run, deadline=Deadline.PHASE, error=error, ask_grace=1.0, grace=1.0)
    yield TimeOut(run=run, deadline=Deadline.JOB, error=error, grace=1.0)
    yield StopHarder(run=run)
    yield Stopped(run=run, retry=Retry(attempts=99))
    yield Stopped(run=run, how=StopHow.ABANDONED)
    yield RetryJob(by="by")
    yield RetryJob(from_phase="first")
    yield RetryJob(from_phase="first", translate=Translate(phases=job.phases))
    yield MarkStale()
    yield Delete()
