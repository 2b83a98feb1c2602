"""What can be asked of a job: the values that `triphase.lifecycle.decide` decides about.

A command that belongs to a run names it (`run`). The run is the fencing token: a command
that names another run than the current one is refused and changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from .deadlines import Deadline, StopHow, Timeouts
from .gates import Gate
from .jobs import PhaseRecord
from .parts import ErrorRecord, Json, Progress
from .policies import Recovery, Retry
from .webhooks import Webhook


class Cause(enum.StrEnum):
    """Why a try of a phase did not complete. Each cause has a budget of its own."""

    ERROR = "error"
    """The handler raised."""

    TIMEOUT = "timeout"
    """The handler did not end in its time."""

    LOST = "lost"
    """The process or worker that ran it is gone."""

    SHUTDOWN = "shutdown"
    """The runtime was asked to stop."""

    SNOOZE = "snooze"
    """The handler asked to be tried again later."""


@attrs.frozen(kw_only=True)
class Submit:
    """Accept a new job."""

    id: str
    type: str
    phases: tuple[str, ...]
    payload: Json
    digest: str
    queue: str
    priority: int = 0
    key: str | None = None
    labels: Mapping[str, str] = attrs.field(factory=dict[str, str])
    due_at: float | None = None
    """Not before this time; None is at once."""
    versions: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """The versions of the phases' declarations, by name; 1 where none is given."""
    gates: Mapping[str, Gate] = attrs.field(factory=dict[str, Gate])
    """What must be approved before a phase starts, by its name."""
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    webhooks: tuple[Webhook, ...] = ()


@attrs.frozen(kw_only=True)
class Approve:
    """Let a job that waits for approval go on."""

    phase: str | None = None
    """Which gate is meant; None is the one that it waits at."""

    asked_in: int | None = None
    """The run in which that was asked for, as the gate says; None is whichever it was."""

    by: str | None = None
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Reject:
    """End a job that waits for approval."""

    phase: str | None = None
    asked_in: int | None = None
    by: str | None = None
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Expire:
    """One of the deadlines of a job that waits has passed: end it."""


@attrs.frozen(kw_only=True)
class MarkStale:
    """Mark a job that has ended a while ago."""


@attrs.frozen(kw_only=True)
class Delete:
    """Remove a job that has ended, with its events."""


@attrs.frozen(kw_only=True)
class Translate:
    """The phases of a job that was submitted under another definition, under the present one."""

    phases: tuple[PhaseRecord, ...]
    """Completed ones with their results, then those that have not started."""


@attrs.frozen(kw_only=True)
class Enqueue:
    """Queue a scheduled job that is due."""


@attrs.frozen(kw_only=True)
class Claim:
    """Start a new run of a queued job, owned by *owner*, with its first unfinished phase."""

    owner: str
    translate: Translate | None = None
    """What its phases become before it starts."""


@attrs.frozen(kw_only=True)
class ReportProgress:
    """Record how far the running phase has come."""

    run: int
    progress: Progress


@attrs.frozen(kw_only=True)
class CompletePhase:
    """Record the running phase's result, and start the next phase or complete the job."""

    run: int
    result: Json
    progress: Progress | None = None
    """The last progress, if it was not recorded yet."""


@attrs.frozen(kw_only=True)
class FailPhase:
    """Record that a try failed; schedule another by the policy, or fail the job."""

    run: int
    error: ErrorRecord
    cause: Cause = Cause.ERROR
    retry: Retry | None = None
    """The phase's policy; None never tries again."""
    draw: float = 1.0
    """A number from 0 to 1, for the policy's jitter."""
    progress: Progress | None = None


@attrs.frozen(kw_only=True)
class SnoozePhase:
    """The running phase asks to be tried again later. No budget is charged."""

    run: int
    seconds: float
    progress: Progress | None = None


@attrs.frozen(kw_only=True)
class CancelPhase:
    """The running phase itself ends the job as cancelled."""

    run: int
    reason: str | None = None
    progress: Progress | None = None


@attrs.frozen(kw_only=True)
class FailJob:
    """End the job as failed, whatever its phases' policies say."""

    error: ErrorRecord
    run: int | None = None
    """The run that it belongs to; None is whichever is current."""


@attrs.frozen(kw_only=True)
class CancelJob:
    """End the job as cancelled: at once if nothing of it runs, else when that has stopped."""

    reason: str | None = None
    """Why, in somebody's words."""

    by: str | None = None
    """Who asks, in their own words."""

    ask_grace: float = 0.0
    """Seconds that a running handler has to stop by itself before it is cancelled."""

    grace: float = 0.0
    """Seconds that it has to stop then, before it is abandoned."""


@attrs.frozen(kw_only=True)
class TimeOut:
    """The running phase, its run or the whole job has not ended in its time: ask it to stop."""

    run: int
    deadline: Deadline
    """Which time has passed."""

    error: ErrorRecord
    ask_grace: float = 0.0
    grace: float = 0.0


@attrs.frozen(kw_only=True)
class StopHarder:
    """The handler that was asked to stop has not, in its time: cancel it."""

    run: int


@attrs.frozen(kw_only=True)
class Stopped:
    """The handler that was asked to stop has stopped, or is abandoned."""

    run: int
    how: StopHow = StopHow.STOPPED
    retry: Retry | None = None
    """The phase's policy, for a phase that was stopped by its timeout."""
    draw: float = 1.0
    """A number from 0 to 1, for the policy's jitter."""
    progress: Progress | None = None


@attrs.frozen(kw_only=True)
class RetryJob:
    """Start a job that has ended over: from its first unfinished phase, or an earlier one."""

    from_phase: str | None = None
    """The first phase that is run again; None is the first that has not completed."""

    translate: Translate | None = None
    """What its phases become before that is looked at."""

    by: str | None = None
    """Who asks, in their own words."""


@attrs.frozen(kw_only=True)
class Interrupt:
    """The run's owner is gone or going: the job becomes what its type's policy says."""

    cause: Cause
    reason: str
    policy: Recovery = attrs.field(factory=Recovery)
    run: int | None = None
    """The run that it belongs to; None is whichever is current."""


Command: TypeAlias = (
    Submit
    | Approve
    | Reject
    | Expire
    | Enqueue
    | Claim
    | ReportProgress
    | CompletePhase
    | FailPhase
    | SnoozePhase
    | CancelPhase
    | FailJob
    | CancelJob
    | TimeOut
    | StopHarder
    | Stopped
    | RetryJob
    | Interrupt
    | MarkStale
    | Delete
)
"""Anything that can be asked of a job."""
