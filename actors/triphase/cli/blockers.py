"""What stands in the way of a job's start, in words."""

from __future__ import annotations

import time

from triphase_protocol import (
    Blocker,
    Draining,
    JobState,
    NotApproved,
    NotDue,
    NotWaiting,
    QueueFull,
    QueuePaused,
    QueueUnknown,
    StoreFull,
    TypeUnknown,
)

from .humane import duration, moment


def words_of(blocker: Blocker) -> str:
    """Return a blocker as a sentence."""
    match blocker:
        case QueuePaused(queue):
            return f"queue {queue} is paused: `triphase queue resume {queue}` goes on"
        case QueueFull(queue, limit, holders):
            return f"queue {queue} is full: {_slots(limit, holders)}"
        case StoreFull(limit, holders):
            return f"the runtime is full: {_slots(limit, holders)}"
        case QueueUnknown(queue):
            return f"the runtime has no queue {queue}"
        case TypeUnknown(type):
            return f"the runtime has no job type {type}"
        case NotDue(due_at):
            return f"it is not due before {moment(due_at)}, {_ahead(due_at)}"
        case NotApproved(phase, _, deadline):
            until = (
                "" if deadline is None else f", and is rejected without it at {moment(deadline)}"
            )
            return f"it waits for the approval of {phase}{until}"
        case NotWaiting(state):
            return f"it has {_ENDINGS[state]}" if state in _ENDINGS else f"it is {state} already"
        case Draining():
            return "the runtime drains: it starts nothing more, and the next one will"


_ENDINGS = {
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "been cancelled",
    JobState.REJECTED: "been rejected",
    JobState.INTERRUPTED: "been interrupted, and waits for a retry",
}


def _slots(limit: int, holders: int) -> str:
    if holders >= limit:
        return f"{holders} of {limit} slots are in use"
    return f"{holders} of {limit} slots are in use, and jobs before it take the others"


def _ahead(at: float) -> str:
    wait = at - time.time()
    return f"in {duration(wait)}" if wait > 0 else "which is now"
