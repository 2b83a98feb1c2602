"""What a job looks like from outside: the record, its phases, and how it ended.

Records are values: frozen, comparable, and the same whether they were read from a
store, sent over a wire or built by a test. Times are wall-clock seconds since the
Unix epoch, in UTC, as floats.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from .states import STATES, JobState, PhaseState

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list of them, or dict of str to them."""


def _no_numbers() -> Mapping[str, int]:
    return {}


def _no_labels() -> Mapping[str, str]:
    return {}


@attrs.frozen(kw_only=True)
class Progress:
    """How far a phase has come, as its handler last said."""

    done: float
    """How much is done, in the handler's own unit."""

    total: float | None = None
    """How much there is to do in the same unit, or None if nobody knows."""

    message: str | None = None
    """What is going on, for a person."""


@attrs.frozen(kw_only=True)
class ErrorRecord:
    """An error as data: what failed a phase or a job."""

    type: str
    """The class name of the exception, or a stable word of triphase's own."""

    message: str
    """The exception's text."""

    traceback: str | None = None
    """Where it was raised, cut to a bounded length; None when there was no exception."""


class StopCause(enum.StrEnum):
    """What a running job was stopped for."""

    CANCEL = "cancel"
    """Somebody cancelled it."""

    TIMEOUT = "timeout"
    """A phase, or the whole job, did not end in its time."""


@attrs.frozen(kw_only=True)
class Stop:
    """The stopping of a run: what it is for, and how it went."""

    cause: StopCause
    """What it was stopped for; decides what becomes of the job then."""

    asked_at: float
    """When the handler was asked to stop."""

    grace_until: float
    """When a handler that has not stopped is abandoned."""

    reason: str | None = None
    """Why, in somebody's words."""

    by: str | None = None
    """Who asked, in their own words."""

    error: ErrorRecord | None = None
    """For a timeout: what the phase or the job fails with."""

    whole_job: bool = False
    """For a timeout: it was the job's time, so no other try follows."""

    stopped_at: float | None = None
    """When the handler had stopped, or was abandoned; None until then."""

    abandoned: bool = False
    """The handler had not stopped when its grace was over; what it does counts for nothing."""


@attrs.frozen(kw_only=True)
class PhaseRecord:
    """One phase of one job."""

    name: str
    """The phase's name, unique within the job type."""

    version: int = 1
    """The version of the phase's declaration that its result belongs to."""

    state: PhaseState = PhaseState.PENDING
    """Where the phase is in its life."""

    attempt: int = 0
    """The number of the current or last try; 0 before the first."""

    spent: Mapping[str, int] = attrs.field(factory=_no_numbers)
    """Tries that did not complete, counted by cause: error, timeout, lost, shutdown, snooze."""

    result: Json = None
    """What the handler returned, as JSON; meaningful when the state is `completed`."""

    error: ErrorRecord | None = None
    """Why the last try did not complete."""

    progress: Progress | None = None
    """The last progress of the current or last try."""

    started_at: float | None = None
    """When the current or last try started."""

    finished_at: float | None = None
    """When the last try ended."""


@attrs.frozen(kw_only=True)
class Job:
    """One job: the row that `get` and `find` return."""

    id: str
    """The job's id; any unique prefix of it is accepted where a person types it."""

    type: str
    """The name of the job type."""

    state: JobState
    """Where the job is in its life."""

    run: int = 0
    """The number of the current or last run: the fencing token. It only grows."""

    version: int = 0
    """The version of the last event; goes up by one with each event of this job."""

    payload: Json = None
    """The job's fields, as JSON."""

    phases: tuple[PhaseRecord, ...] = ()
    """The phases in the order in which they run."""

    queue: str = "default"
    """The queue whose limit the job runs under."""

    priority: int = 0
    """Higher starts earlier within a queue."""

    position: int = 0
    """Where it stands among equals of its queue: lower starts earlier; 0 before it was queued."""

    key: str | None = None
    """The idempotency key it was submitted with."""

    digest: str = ""
    """A hash of type and payload: what a second submit with the same key must match."""

    labels: Mapping[str, str] = attrs.field(factory=_no_labels)
    """The submitter's own labels, to find jobs by."""

    owner: str | None = None
    """The runtime that holds the current run, or None."""

    result: Json = None
    """The result of the last phase, once the job has completed."""

    error: ErrorRecord | None = None
    """Why the job failed."""

    reason: str | None = None
    """Why the job was cancelled, rejected or interrupted, in somebody's words."""

    stop: Stop | None = None
    """The last stopping of a run; None if no run was stopped since the last claim."""

    submitted_at: float = 0.0
    """When it was accepted."""

    due_at: float = 0.0
    """The earliest time at which it may be queued."""

    queued_at: float | None = None
    """When it was last queued."""

    started_at: float | None = None
    """When its first run started."""

    finished_at: float | None = None
    """When its last run ended."""

    @property
    def terminal(self) -> bool:
        """True once the job has ended, whichever way."""
        return STATES[self.state].terminal

    @property
    def current(self) -> int | None:
        """The index of the first phase that has not completed, or None if all have."""
        for index, phase in enumerate(self.phases):
            if phase.state is not PhaseState.COMPLETED:
                return index
        return None


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
