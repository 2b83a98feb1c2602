"""The only place that decides what happens to a job.

`decide(job, command, now)` is a pure function. It returns the next record, the events that
led to it, and the effects that the caller must carry out once those are durable. It reads
no clock, draws no random number and knows no store. What it may not do, it refuses: an
illegal command raises and changes nothing.

Every change of state goes through `Draft.emit`, which asks the tables of
`triphase_protocol.states` where the event leads. So the record is the fold of its events,
by construction.

A step carries as much as can be true at once: the last phase's completion and the job's,
a phase's completion and the start of the next. There is no moment between them to crash in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from triphase_protocol import (
    Approve,
    CancelJob,
    CancelPhase,
    Claim,
    Command,
    CompletePhase,
    Delete,
    Enqueue,
    Expire,
    FailJob,
    FailPhase,
    IllegalTransition,
    Interrupt,
    Job,
    MarkStale,
    Reject,
    ReportProgress,
    RetryJob,
    SnoozePhase,
    StaleWrite,
    StopHarder,
    Stopped,
    Submit,
    TimeOut,
)

from . import gates, retention, runs, stops, waits
from .draft import Decision, Draft, Effect, EndRun, StartPhase, StopPhase

__all__ = ["Decision", "Effect", "EndRun", "StartPhase", "StopPhase", "decide"]

_RULES: Final[dict[type, Callable[[Draft, Any], None]]] = {
    Approve: gates.approve,
    Reject: gates.reject,
    Expire: waits.expire,
    Enqueue: runs.enqueue,
    Claim: runs.claim,
    ReportProgress: runs.report_progress,
    CompletePhase: runs.complete_phase,
    FailPhase: runs.fail_phase,
    SnoozePhase: runs.snooze_phase,
    CancelPhase: runs.cancel_phase,
    FailJob: runs.fail_job,
    CancelJob: stops.cancel_job,
    TimeOut: stops.time_out,
    StopHarder: stops.stop_harder,
    Stopped: stops.stopped,
    Interrupt: stops.interrupt,
    RetryJob: stops.retry_job,
    MarkStale: retention.mark_stale,
    Delete: retention.delete,
}


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
        return _with_deadline(runs.submit(command, now))
    if job is None:
        raise IllegalTransition(f"{type(command).__name__}: there is no such job")
    _check_run(job, command)
    draft = Draft(job, now, job.state)
    _RULES[type(command)](draft, command)
    return _with_deadline(draft.decision())


def _with_deadline(decision: Decision) -> Decision:
    """Note when the job will have waited too long, for whoever looks after it."""
    deadline = min((at for at, _ in waits.waits(decision.job)), default=None)
    if deadline == decision.job.deadline:
        return decision
    return attrs.evolve(decision, job=attrs.evolve(decision.job, deadline=deadline))


def _check_run(job: Job, command: Command) -> None:
    run: int | None = getattr(command, "run", None)
    if run is not None and run != job.run:
        raise StaleWrite(
            f"{type(command).__name__} names run {run} of job {job.id}, which is at run {job.run}"
        )
