"""Writes as data: what the store actor hands to a backend, and what comes back.

An operation is a frozen value that carries the whole effect, already decided: the new job
record and the events that led to it. A backend applies a list of them in order, in one
transaction. What is written about a job has a guard; an operation whose guard fails is
rejected, has no effect, and does not harm its neighbours.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from triphase_protocol import Event, Job


@attrs.frozen(kw_only=True, eq=False)
class Submit:
    """Insert a new job, unless its id or its key is there already.

    Rejected with `EXISTS` and the job that has the id or the key. A repeat of the same
    submit after an unknown outcome is so recognised and harmless.
    """

    job: Job
    """The record after its first events; `seq` and `position` are the store's to give."""

    events: tuple[Event, ...]


@attrs.frozen(kw_only=True, eq=False)
class Step:
    """Replace a job's record by its next one, if nobody has moved it meanwhile.

    Rejected with `STALE` and the current job if the row is at another run or version
    than *run* and *version*, with `GONE` if there is no such row.
    """

    job: Job
    """The record after the events.

    `type`, `key`, `digest`, `payload`, `labels`, `timeouts` and `submitted_at` stay as they were
    submitted, and are not written.
    """

    run: int
    """The run that the row must be at."""

    version: int
    """The version that the row must be at."""

    events: tuple[Event, ...]

    changed: tuple[int, ...]
    """The indexes of the phases that differ from the row's; the others are not written."""

    phases: int | None = None
    """How many phases the job has afterwards; None is as many as it had.

    Those with a higher index are removed, and those that are new must be among `changed`.
    """


@attrs.frozen(kw_only=True, eq=False)
class Limits:
    """How many jobs may hold a slot at once."""

    total: int
    """In the whole store."""

    queue: int
    """In the job's queue."""


@attrs.frozen(kw_only=True, eq=False)
class Claim:
    """A step that takes a slot: applied only if the limits leave one.

    The slots in use are counted from the rows inside the same transaction, so no counter
    can leak and two claimers cannot both take the last one. Rejected with `FULL` if there
    is none, else as its step would be.
    """

    step: Step
    limits: Limits


@attrs.frozen(kw_only=True, eq=False)
class Delete:
    """Remove a job, its phases and its events, if nobody has moved it meanwhile.

    What is left is the event that says so. The job's key is free for another. Rejected with
    `GONE` if there is no such job, with `STALE` and the current job if the row is at another
    run or version than *run* and *version*, or cannot be read back.
    """

    job: str
    """The job's id."""

    run: int
    """The run that the row must be at."""

    version: int
    """The version that the row must be at."""

    events: tuple[Event, ...]
    """What goes on in the log under the job's id: its `job.deleted`."""


@attrs.frozen(kw_only=True, eq=False)
class Prune:
    """Remove the `job.deleted` events that happened before a time. Never rejected.

    Afterwards nobody can tell that there were such jobs. No `seq` is given a second time.
    """

    before: float
    """Those with an `at` earlier than this."""


@attrs.frozen(kw_only=True, eq=False)
class SetQueue:
    """Keep the settings of a queue, in the place of those that were kept. Never rejected."""

    name: str
    """The queue."""

    paused: bool | None
    """Nothing is to be started from it; None is as declared."""

    slots: int | None
    """How many of its jobs may hold a slot at once; None is as declared."""


JobOperation: TypeAlias = Submit | Step | Claim | Delete
"""Anything that can be written about one job."""

Operation: TypeAlias = JobOperation | Prune | SetQueue
"""Anything that can be written."""


class Why(enum.Enum):
    """Why an operation was rejected."""

    EXISTS = "exists"
    """The id or the key is taken; `current` is the job that has it."""

    STALE = "stale"
    """The row is at another run or version; `current` is what it is now."""

    GONE = "gone"
    """There is no such job."""

    FULL = "full"
    """The limits leave no slot."""


@attrs.frozen(eq=False)
class Applied:
    """The operation took effect and is durable."""

    job: Job
    """The record as stored, with what the store itself gave (`position`).

    Of a job that was deleted, the record as it was, at the version of its `job.deleted`.
    """

    events: tuple[Event, ...]
    """Its events as committed, with their `seq`."""


@attrs.frozen(eq=False)
class Rejected:
    """The operation had no effect."""

    why: Why
    current: Job | None = None
    """The job as it is; None if its row is corrupt, or the reason is about no job."""


@attrs.frozen(eq=False)
class Done:
    """The operation took effect and is durable. It is about no job, and has no events."""


JobResult: TypeAlias = Applied | Rejected
"""What became of an operation about one job."""

Result: TypeAlias = JobResult | Done
"""What became of an operation: `Done` if it is about no job."""


def step_of(operation: Operation) -> Step | None:
    """Return the step inside an operation, or None if there is none."""
    match operation:
        case Claim(step=step) | (Step() as step):
            return step
        case _:
            return None


def slots_by_queue(counts: Mapping[str, int]) -> int:
    """Return the slots in use over all queues."""
    return sum(counts.values())
