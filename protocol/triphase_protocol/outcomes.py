"""How a job ended, as a value."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from .jobs import Job
from .parts import ErrorRecord, Json
from .states import JobState


@attrs.frozen(kw_only=True)
class Completed:
    """The job completed; `result` is what its last phase returned, as JSON."""

    job: str
    run: int
    result: Json = None


@attrs.frozen(kw_only=True)
class Failed:
    """The job failed for good."""

    job: str
    run: int
    error: ErrorRecord


@attrs.frozen(kw_only=True)
class Cancelled:
    """The job was cancelled, and nothing of it runs any more."""

    job: str
    run: int
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Rejected:
    """The job's approval was refused, or nobody approved it in time."""

    job: str
    run: int
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Interrupted:
    """The job's owner went away, and it waits for a person to retry it."""

    job: str
    run: int
    reason: str | None = None


@attrs.frozen(kw_only=True)
class TimedOut:
    """In the answer of `wait_all`: the job had not ended when the timeout passed."""

    job: str


@attrs.frozen(kw_only=True)
class NotFound:
    """In the answer of `wait_all`: there is no job of that id."""

    job: str


Outcome: TypeAlias = Completed | Failed | Cancelled | Rejected | Interrupted
"""How a job ended."""


def outcome_of(job: Job) -> Outcome | None:
    """Return how the job ended, or None while it has not."""
    match job.state:
        case JobState.COMPLETED:
            return Completed(job=job.id, run=job.run, result=job.result)
        case JobState.FAILED:
            error = job.error or ErrorRecord(type="Unknown", message="no error was recorded")
            return Failed(job=job.id, run=job.run, error=error)
        case JobState.CANCELLED:
            return Cancelled(job=job.id, run=job.run, reason=job.reason)
        case JobState.REJECTED:
            return Rejected(job=job.id, run=job.run, reason=job.reason)
        case JobState.INTERRUPTED:
            return Interrupted(job=job.id, run=job.run, reason=job.reason)
        case _:
            return None
