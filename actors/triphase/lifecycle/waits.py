"""The deadlines of a job that waits, and what becomes of it when one has passed.

The deadlines of a run are its actor's: it has the handler. Those here are found in the store by
the reconciler, so that they hold although nobody runs the job.
"""

from __future__ import annotations

from triphase_protocol import (
    Deadline,
    ErrorRecord,
    EventType,
    Expire,
    IllegalTransition,
    Job,
    JobState,
)

from .draft import Draft


def waits(job: Job) -> list[tuple[float, Deadline]]:
    """Return when a job has waited too long, for each thing that it waits for."""
    found: list[tuple[float, Deadline]] = []
    timeouts = job.timeouts
    if job.state not in (JobState.SCHEDULED, JobState.GATED, JobState.QUEUED):
        return found
    if timeouts.job is not None and job.started_at is not None:
        found.append((job.started_at + timeouts.job, Deadline.JOB))
    if job.state is JobState.QUEUED and timeouts.queue is not None and job.queued_at is not None:
        found.append((job.queued_at + timeouts.queue, Deadline.QUEUE))
    if job.gate is not None and (at := job.gate[1].deadline) is not None:
        found.append((at, Deadline.APPROVAL))
    return found


def expire(draft: Draft, _: Expire) -> None:
    """End a job that has waited too long."""
    job = draft.job
    passed = [each for each in waits(job) if each[0] <= draft.now]
    if not passed:
        raise IllegalTransition(f"no deadline of job {job.id} has passed; it is {job.state.value}")
    deadline = min(passed)[1]
    if deadline is Deadline.APPROVAL and job.gate is not None:
        phase, gate = job.gate
        reason = f"nobody approved it in {gate.timeout:g} s"
        draft.reject(phase, cause="timeout", by=None, reason=reason)
        return
    draft.end(
        EventType.JOB_FAILED, error=ErrorRecord(type="Timeout", message=_words(deadline, job))
    )


def _words(deadline: Deadline, job: Job) -> str:
    if deadline is Deadline.QUEUE:
        return f"not started in {job.timeouts.queue:g} s after it was queued"
    return f"the job has not ended in {job.timeouts.job:g} s after its start"
