"""What may take only so long: the deadlines of a job, and what happens when one has passed."""

from __future__ import annotations

import enum

import attrs

from .parts import ErrorRecord


class Deadline(enum.StrEnum):
    """Something that may take only so long."""

    QUEUE = "queue"
    """The wait for a slot, from `job.queued` on."""

    PHASE = "phase"
    """One try of a phase."""

    PROGRESS = "progress"
    """The time between two reports of progress of a phase, its start counting as one."""

    RUN = "run"
    """One run of the job, from its claim to its end."""

    JOB = "job"
    """The whole job, from its first start to its end, with all that lies between."""

    APPROVAL = "approval"
    """The wait for somebody's approval, from the first time that it was asked for."""


@attrs.frozen(kw_only=True)
class Timeouts:
    """The seconds that a job may take; fixed when it is submitted. None is no limit."""

    queue: float | None = None
    """For each wait in its queue."""

    run: float | None = None
    """For each run. A run that takes longer is a failed try of the phase it is in."""

    job: float | None = None
    """From the first start to the end. A job that takes longer fails, whatever tries are left."""


class StopCause(enum.StrEnum):
    """What a running job was stopped for."""

    CANCEL = "cancel"
    """Somebody cancelled it."""

    TIMEOUT = "timeout"
    """One of its deadlines passed."""


class StopStep(enum.StrEnum):
    """How far the stopping of a handler has come."""

    ASK = "ask"
    """It is asked to stop by itself: `ctx.stop_requested` is true."""

    CANCEL = "cancel"
    """It is made to: a task is cancelled, a process is sent SIGTERM, a thread is only asked."""


class StopHow(enum.StrEnum):
    """How the stopping of a run ended."""

    NOTHING_RAN = "nothing_ran"
    """No handler ran."""

    STOPPED = "stopped"
    """The handler ended within its grace."""

    TERMINATED = "terminated"
    """Its process ended after SIGTERM, within its grace."""

    KILLED = "killed"
    """Its process was ended by SIGKILL, when its grace was over."""

    ABANDONED = "abandoned"
    """The handler had not ended when its grace was over; what it does counts for nothing."""

    OWNER_GONE = "owner_gone"
    """The process that ran it was gone."""


@attrs.frozen(kw_only=True)
class Stop:
    """The stopping of a run: what it is for, and how it went."""

    cause: StopCause
    """What it was stopped for; decides what becomes of the job then."""

    asked_at: float
    """When the handler was asked to stop."""

    cancel_at: float
    """When a handler that has not stopped by itself is cancelled."""

    grace_until: float
    """When a handler that has not stopped then either is abandoned."""

    step: StopStep = StopStep.CANCEL
    """How far it has come, or had come when the handler stopped."""

    reason: str | None = None
    """Why, in somebody's words."""

    by: str | None = None
    """Who asked, in their own words."""

    deadline: Deadline | None = None
    """For a timeout: which deadline passed."""

    error: ErrorRecord | None = None
    """For a timeout: what the phase or the job fails with."""

    stopped_at: float | None = None
    """When the handler had stopped, or was abandoned; None until then."""

    how: StopHow | None = None
    """How it ended; None until then."""

    @property
    def abandoned(self) -> bool:
        """True if the handler had not ended when its grace was over."""
        return self.how is StopHow.ABANDONED
