"""What stands in the way of a job's start, as values."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from .states import JobState


@attrs.frozen
class QueuePaused:
    """The job's queue is paused."""

    queue: str


@attrs.frozen
class QueueFull:
    """All slots of the job's queue are in use, or go to jobs before it."""

    queue: str
    limit: int
    holders: int
    """Jobs that hold one now."""


@attrs.frozen
class StoreFull:
    """All slots of the store are in use, or go to jobs before it."""

    limit: int
    holders: int
    """Jobs that hold one now."""


@attrs.frozen
class QueueUnknown:
    """This runtime has no such queue."""

    queue: str


@attrs.frozen
class TypeUnknown:
    """This runtime has no such job type."""

    job_type: str


@attrs.frozen
class NotDue:
    """The job is not to be queued before this time: wall-clock seconds since the epoch."""

    due_at: float


@attrs.frozen
class NotWaiting:
    """The job does not wait to be started: it runs, or has ended."""

    state: JobState


@attrs.frozen
class NotApproved:
    """The job waits for approval of this phase."""

    phase: str
    asked_at: float | None
    deadline: float | None
    """When it is rejected, if nobody decides; None if it waits for ever."""


@attrs.frozen
class Draining:
    """The runtime starts nothing more."""


Blocker: TypeAlias = (
    QueuePaused
    | QueueFull
    | StoreFull
    | QueueUnknown
    | TypeUnknown
    | NotDue
    | NotApproved
    | NotWaiting
    | Draining
)
"""What stands in the way of a job's start."""
