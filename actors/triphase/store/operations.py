"""Writes as data: what the store actor hands to a backend, and what comes back.

An operation is a frozen value that carries the whole effect, already decided: the new job
record and the events that led to it. A backend applies a list of them in order, in one
transaction. What is written about a job has a guard; an operation whose guard fails is
rejected, has no effect, and does not harm its neighbours.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs

from triphase_protocol import Delivery, Event, Hook, Job


@attrs.frozen(kw_only=True)
class NewHook:
    """A delivery that an operation makes: a row of the outbox, written with the event itself.

    The row is due at once. Its body is made of the event and the record as they are committed.
    """

    id: str

    event: int
    """Which of the operation's events it delivers, by its index."""

    url: str
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    secret: str | None = None


@attrs.frozen(kw_only=True, eq=False)
class Submit:
    """Insert a new job, unless its id or its key is there already.

    Rejected with `EXISTS` and the job that has the id or the key. A repeat of the same
    submit after an unknown outcome is so recognised and harmless.
    """

    job: Job
    """The record after its first events; `seq` and `position` are the store's to give."""

    events: tuple[Event, ...]
    hooks: tuple[NewHook, ...] = ()


@attrs.frozen(kw_only=True, eq=False)
class Step:
    """Replace a job's record by its next one, if nobody has moved it meanwhile.

    Rejected with `STALE` and the current job if the row is at another run or version
    than *run* and *version*, with `GONE` if there is no such row. What a `HookStep` has noted
    since that version is no move: the step is applied behind it, with versions that follow.
    """

    job: Job
    """The record after the events.

    `type`, `key`, `digest`, `payload`, `labels`, `timeouts`, `webhooks` and `submitted_at` stay as
    they were submitted, and are not written.
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

    hooks: tuple[NewHook, ...] = ()


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

    What is left is the event that says so, and the deliveries that are pending. The job's key is
    free for another. Rejected with `GONE` if there is no such job, with `STALE` and the current job
    if the row is at another run or version than *run* and *version* (as a `Step` is), or cannot be
    read back.
    """

    job: str
    """The job's id."""

    run: int
    """The run that the row must be at."""

    version: int
    """The version that the row must be at."""

    events: tuple[Event, ...]
    """What goes on in the log under the job's id: its `job.deleted`."""

    hooks: tuple[NewHook, ...] = ()

    record: Job | None = None
    """What it was decided on, which says where the event is POSTed; None is nowhere."""


@attrs.frozen(kw_only=True, eq=False)
class HookStep:
    """Keep what became of a try of a delivery, if nobody else has meanwhile.

    Rejected with `STALE` if the row has begun other tries than *attempts*, or is not pending any
    more, with `GONE` if there is no such row.
    """

    hook: Hook
    """The record afterwards. Only `state`, `attempts`, `due_at`, `ended_at`, `status` and `error`
    are written."""

    attempts: int
    """The tries that the row must have begun."""

    event: Event | None = None
    """What goes into the log of the job, unless that was deleted, or cannot be read back.

    Its `run` and `version` are the store's to give: those that follow in the job's own log.
    """

    disabled: bool = False
    """The receiver has said that its URL is gone, for every job: at the record's `ended_at`."""


@attrs.frozen(kw_only=True, eq=False)
class Redeliver:
    """Let a delivery be tried, though it has ended; one that is pending, no later than this.

    The tries of one that has ended are counted on, and those so far are spent. Of one that is
    pending, nothing but `due_at` changes, and that only to something earlier. If its URL was
    disabled, it is not any more. Rejected with `GONE` if there is no such row.
    """

    hook: str
    """The delivery's id."""

    due_at: float
    """When it may be tried."""


@attrs.frozen(kw_only=True, eq=False)
class Prune:
    """Remove the `job.deleted` events that happened before a time. Never rejected.

    Afterwards nobody can tell that there were such jobs. No `seq` is given a second time. The
    deliveries of deleted jobs go as well that have ended before that time, and it is forgotten
    which URLs were gone before it.
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

HookOperation: TypeAlias = HookStep | Redeliver
"""Anything that can be written about one delivery."""

Operation: TypeAlias = JobOperation | HookOperation | Prune | SetQueue
"""Anything that can be written."""


class Why(enum.Enum):
    """Why an operation was rejected."""

    EXISTS = "exists"
    """The id or the key is taken; `current` is the job that has it."""

    STALE = "stale"
    """The row is at another run or version; `current` is what it is now."""

    GONE = "gone"
    """There is no such job, or no such delivery."""

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
    """The operation took effect and is durable. It is about no job, and has no events.

    So is what is written about a delivery whose job was deleted, or that tells nobody.
    """


JobResult: TypeAlias = Applied | Rejected
"""What became of an operation about one job."""

Result: TypeAlias = JobResult | Done
"""What became of an operation: `Done` if it is about no job.

Of one about a delivery, `Applied` if an event was logged for its job.
"""


def step_of(operation: Operation) -> Step | None:
    """Return the step inside an operation, or None if there is none."""
    match operation:
        case Claim(step=step) | (Step() as step):
            return step
        case _:
            return None


def after_notes(step: Step, notes: int) -> Step:
    """Return a step as it is behind some events that were noted since it was decided."""
    if notes == 0:
        return step
    job = attrs.evolve(step.job, version=step.job.version + notes)
    return attrs.evolve(step, job=job, events=later(step.events, notes))


def later(events: Sequence[Event], notes: int) -> tuple[Event, ...]:
    """Return events with versions that are higher by so many."""
    return tuple(attrs.evolve(event, version=event.version + notes) for event in events)


def slots_by_queue(counts: Mapping[str, int]) -> int:
    """Return the slots in use over all queues."""
    return sum(counts.values())
