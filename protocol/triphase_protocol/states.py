"""The life of a job and of a phase, as tables.

Rule 1: every transition is written in this file.
Rule 2: this file knows no clock, no socket, no store and no trio.

A job moves from state to state by *events*, and the event's type alone decides
where it goes: `TRANSITIONS[state][event type]` is the next state. So the state of
a job is the fold of its event log, and a log that was written by this table can
always be replayed to the row beside it (`next_state`, `next_phase_state`).

What a state *means* to the rest of the system is in `STATES`, one row a state:
does it hold a slot under a concurrency limit, may a job in it be cancelled, does
the reconciler look at it, is it the end. Nothing else may keep a list of states of
its own; a test holds that every state has a row in each table.

An event that does not move the job (`phase.progress`, `hook.delivered`, …) is in no
row and leaves the state as it is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import attrs

from .errors import IllegalTransition


class JobState(enum.StrEnum):
    """Where a job is in its life."""

    SCHEDULED = "scheduled"
    """Not due yet: a delay, a retry's backoff, or a snooze."""

    GATED = "gated"
    """Waits for somebody's approval."""

    QUEUED = "queued"
    """Due, and waits for a slot."""

    RUNNING = "running"
    """Owned by one runtime or worker, whose handlers run."""

    STOPPING = "stopping"
    """Asked to stop; its handler has not stopped yet, so it still holds its slot."""

    DETACHED = "detached"
    """Its worker's session is gone, within the reconnect grace."""

    COMPLETED = "completed"
    """Ended: every phase completed."""

    FAILED = "failed"
    """Ended: a phase failed for good, or a deadline passed."""

    CANCELLED = "cancelled"
    """Ended: somebody cancelled it, and its handler has stopped or was abandoned."""

    REJECTED = "rejected"
    """Ended: its approval was refused, or nobody approved it in time."""

    INTERRUPTED = "interrupted"
    """Ended: its owner went away, and its type asks for a person to decide."""


class PhaseState(enum.StrEnum):
    """Where a phase is in its life."""

    PENDING = "pending"
    """Not started in this run or any before."""

    RUNNING = "running"
    """Its handler has been started."""

    COMPLETED = "completed"
    """Its result is durable; it is not run again unless a retry asks for it."""

    FAILED = "failed"
    """Its last attempt failed; another may follow."""

    CANCELLED = "cancelled"
    """The job ended before this phase could complete."""

    INTERRUPTED = "interrupted"
    """Stopped in the middle: its owner went away, or it asked to be tried again later."""


class EventType(enum.StrEnum):
    """What can happen to a job, a phase, a hook or a worker."""

    JOB_SUBMITTED = "job.submitted"
    JOB_GATED = "job.gated"
    JOB_APPROVED = "job.approved"
    JOB_QUEUED = "job.queued"
    JOB_STARTED = "job.started"
    JOB_SCHEDULED = "job.scheduled"
    JOB_STOPPING = "job.stopping"
    JOB_DETACHED = "job.detached"
    JOB_REATTACHED = "job.reattached"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_REJECTED = "job.rejected"
    JOB_INTERRUPTED = "job.interrupted"
    JOB_RETRIED = "job.retried"
    JOB_STALE = "job.stale"
    JOB_DELETED = "job.deleted"
    PHASE_STARTED = "phase.started"
    PHASE_PROGRESS = "phase.progress"
    PHASE_COMPLETED = "phase.completed"
    PHASE_FAILED = "phase.failed"
    PHASE_CANCELLED = "phase.cancelled"
    PHASE_INTERRUPTED = "phase.interrupted"
    HOOK_DELIVERED = "hook.delivered"
    HOOK_FAILED = "hook.failed"
    HOOK_DEAD = "hook.dead"
    WORKER_ATTACHED = "worker.attached"
    WORKER_DETACHED = "worker.detached"
    WORKER_LOST = "worker.lost"


@attrs.frozen
class StateRow:
    """What one job state means to the rest of the system."""

    holds_slot: bool
    """A job in this state counts against its queue's limit and the total limit."""

    cancellable: bool
    """A cancel in this state changes something. True for every state that is not the end."""

    visited: bool
    """The reconciler looks at jobs in this state. True for every state that is not the end."""

    terminal: bool
    """The run has ended; only `job.retried` leaves this state."""


def _waiting() -> StateRow:
    return StateRow(holds_slot=False, cancellable=True, visited=True, terminal=False)


def _active() -> StateRow:
    return StateRow(holds_slot=True, cancellable=True, visited=True, terminal=False)


def _ended() -> StateRow:
    return StateRow(holds_slot=False, cancellable=False, visited=False, terminal=True)


STATES: Final[Mapping[JobState, StateRow]] = {
    JobState.SCHEDULED: _waiting(),
    JobState.GATED: _waiting(),
    JobState.QUEUED: _waiting(),
    JobState.RUNNING: _active(),
    JobState.STOPPING: _active(),
    JobState.DETACHED: _active(),
    JobState.COMPLETED: _ended(),
    JobState.FAILED: _ended(),
    JobState.CANCELLED: _ended(),
    JobState.REJECTED: _ended(),
    JobState.INTERRUPTED: _ended(),
}
"""One row a state: the columns that every other part reads instead of listing states."""

_E = EventType
_RETRY_ONLY: Final[Mapping[EventType, JobState]] = {_E.JOB_RETRIED: JobState.SCHEDULED}

TRANSITIONS: Final[Mapping[JobState | None, Mapping[EventType, JobState]]] = {
    None: {
        _E.JOB_SUBMITTED: JobState.SCHEDULED,
    },
    JobState.SCHEDULED: {
        _E.JOB_SCHEDULED: JobState.SCHEDULED,
        _E.JOB_GATED: JobState.GATED,
        _E.JOB_QUEUED: JobState.QUEUED,
        _E.JOB_FAILED: JobState.FAILED,
        _E.JOB_CANCELLED: JobState.CANCELLED,
    },
    JobState.GATED: {
        _E.JOB_APPROVED: JobState.SCHEDULED,
        _E.JOB_REJECTED: JobState.REJECTED,
        _E.JOB_FAILED: JobState.FAILED,
        _E.JOB_CANCELLED: JobState.CANCELLED,
    },
    JobState.QUEUED: {
        _E.JOB_STARTED: JobState.RUNNING,
        _E.JOB_GATED: JobState.GATED,
        _E.JOB_FAILED: JobState.FAILED,
        _E.JOB_CANCELLED: JobState.CANCELLED,
    },
    JobState.RUNNING: {
        _E.JOB_COMPLETED: JobState.COMPLETED,
        _E.JOB_FAILED: JobState.FAILED,
        _E.JOB_CANCELLED: JobState.CANCELLED,
        _E.JOB_SCHEDULED: JobState.SCHEDULED,
        _E.JOB_GATED: JobState.GATED,
        _E.JOB_STOPPING: JobState.STOPPING,
        _E.JOB_DETACHED: JobState.DETACHED,
        _E.JOB_INTERRUPTED: JobState.INTERRUPTED,
    },
    JobState.STOPPING: {
        _E.JOB_STOPPING: JobState.STOPPING,
        _E.JOB_CANCELLED: JobState.CANCELLED,
        _E.JOB_FAILED: JobState.FAILED,
        _E.JOB_SCHEDULED: JobState.SCHEDULED,
        _E.JOB_INTERRUPTED: JobState.INTERRUPTED,
    },
    JobState.DETACHED: {
        _E.JOB_REATTACHED: JobState.RUNNING,
        _E.JOB_STOPPING: JobState.STOPPING,
    },
    JobState.COMPLETED: {**_RETRY_ONLY, _E.JOB_STALE: JobState.COMPLETED},
    JobState.FAILED: {**_RETRY_ONLY, _E.JOB_STALE: JobState.FAILED},
    JobState.CANCELLED: {**_RETRY_ONLY, _E.JOB_STALE: JobState.CANCELLED},
    JobState.REJECTED: {**_RETRY_ONLY, _E.JOB_STALE: JobState.REJECTED},
    JobState.INTERRUPTED: {**_RETRY_ONLY, _E.JOB_STALE: JobState.INTERRUPTED},
}
"""`TRANSITIONS[state][event type]` is the next state; `None` is "there is no such job yet".

A submitted job is `scheduled` and, when it is due at once, the `job.queued` that follows
in the same commit moves it on, so nobody ever sees a due job that is not queued.
"""

PHASE_TRANSITIONS: Final[Mapping[PhaseState, Mapping[EventType, PhaseState]]] = {
    PhaseState.PENDING: {
        _E.PHASE_STARTED: PhaseState.RUNNING,
        _E.PHASE_CANCELLED: PhaseState.CANCELLED,
    },
    PhaseState.RUNNING: {
        _E.PHASE_PROGRESS: PhaseState.RUNNING,
        _E.PHASE_COMPLETED: PhaseState.COMPLETED,
        _E.PHASE_FAILED: PhaseState.FAILED,
        _E.PHASE_CANCELLED: PhaseState.CANCELLED,
        _E.PHASE_INTERRUPTED: PhaseState.INTERRUPTED,
    },
    PhaseState.COMPLETED: {},
    PhaseState.FAILED: {
        _E.PHASE_STARTED: PhaseState.RUNNING,
        _E.PHASE_CANCELLED: PhaseState.CANCELLED,
    },
    PhaseState.CANCELLED: {},
    PhaseState.INTERRUPTED: {
        _E.PHASE_STARTED: PhaseState.RUNNING,
        _E.PHASE_CANCELLED: PhaseState.CANCELLED,
    },
}
"""The same for a phase. `job.retried` sets the phases it names back to `pending`."""

JOB_EVENTS: Final = frozenset(event_type for row in TRANSITIONS.values() for event_type in row)
"""The event types that move a job."""

TERMINAL_EVENTS: Final = frozenset(
    event_type
    for state, row in TRANSITIONS.items()
    for event_type, target in row.items()
    if STATES[target].terminal and not (state is not None and STATES[state].terminal)
)
"""The event types that end a run: exactly one of them is committed for each run that ends."""


def next_state(state: JobState | None, event_type: EventType) -> JobState | None:
    """Return the job's state after an event of this type.

    An event type that moves no job leaves the state of a job that exists as it is.

    Raises:
      IllegalTransition: if the event cannot happen to a job in *state*.
    """
    if event_type not in JOB_EVENTS and state is not None:
        return state
    try:
        return TRANSITIONS[state][event_type]
    except KeyError:
        where = "that does not exist" if state is None else f"in state {state.value!r}"
        raise IllegalTransition(f"{event_type.value} cannot happen to a job {where}") from None


def next_phase_state(state: PhaseState, event_type: EventType) -> PhaseState:
    """Return the phase's state after a `phase.*` event of this type.

    Raises:
      IllegalTransition: if the event cannot happen to a phase in *state*.
    """
    try:
        return PHASE_TRANSITIONS[state][event_type]
    except KeyError:
        raise IllegalTransition(
            f"{event_type.value} cannot happen to a phase in state {state.value!r}"
        ) from None


def states_where(
    *, holds_slot: bool | None = None, terminal: bool | None = None
) -> tuple[JobState, ...]:
    """Return the states whose row has these values, in the order of the table."""
    return tuple(
        state
        for state, row in STATES.items()
        if (holds_slot is None or row.holds_slot is holds_slot)
        and (terminal is None or row.terminal is terminal)
    )
