"""Which queued jobs may start now, and why the others may not: a pure function.

The slots in use are given as counts of the store's rows by state, so there is no counter
here that could drift from the truth. The order is: higher priority first, then the lower
position, over all queues together. A queue that is full or paused stops only its own jobs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from triphase_protocol import (
    Blocker,
    Draining,
    Job,
    JobState,
    NotApproved,
    NotDue,
    NotWaiting,
    Queue,
    QueueFull,
    QueuePaused,
    QueueUnknown,
    StoreFull,
    TypeUnknown,
)


@attrs.frozen
class Admission:
    """The answer of `admit`."""

    admitted: tuple[Job, ...]
    """The jobs that may start, in the order in which they are to be claimed."""

    blocked: Mapping[str, Blocker]
    """What stands in the way of each other job, by id."""


def admit(
    candidates: Sequence[Job],
    *,
    queues: Mapping[str, Queue],
    limit: int,
    holders: Mapping[str, int],
) -> Admission:
    """Decide which of some queued jobs start now.

    Args:
      candidates: queued jobs, in any order.
      queues: the queues' settings.
      limit: how many jobs of the whole store may hold a slot.
      holders: how many hold one now, by queue.
    """
    in_use = dict(holders)
    total = sum(holders.values())
    admitted: list[Job] = []
    blocked: dict[str, Blocker] = {}
    for job in sorted(candidates, key=lambda job: (-job.priority, job.position)):
        queue = queues.get(job.queue)
        held = in_use.get(job.queue, 0)
        if queue is None:
            blocked[job.id] = QueueUnknown(job.queue)
        elif queue.paused:
            blocked[job.id] = QueuePaused(job.queue)
        elif held >= queue.limit:
            blocked[job.id] = QueueFull(job.queue, queue.limit, holders.get(job.queue, 0))
        elif total >= limit:
            blocked[job.id] = StoreFull(limit, sum(holders.values()))
        else:
            admitted.append(job)
            in_use[job.queue] = held + 1
            total += 1
    return Admission(tuple(admitted), blocked)


def blockers(
    job: Job,
    ahead: Sequence[Job],
    *,
    types: Collection[str],
    queues: Mapping[str, Queue],
    limit: int,
    holders: Mapping[str, int],
    now: float,
    draining: bool,
) -> tuple[Blocker, ...]:
    """Return what stands in the way of a job; nothing if the next admission starts it.

    Asks `admit` itself, so it cannot say anything else than what is then done.

    Args:
      job: the job as it is.
      ahead: the queued jobs that the next admission looks at; *job* may be among them.
      types: the job types that can be run.
      queues: the queues' settings.
      limit: how many jobs of the whole store may hold a slot.
      holders: how many hold one now, by queue.
      now: wall-clock seconds since the epoch.
      draining: nothing more is started.
    """
    found: list[Blocker] = [Draining()] if draining else []
    if job.state is JobState.SCHEDULED:
        if job.due_at > now:
            return (*found, NotDue(job.due_at))
    elif job.state is JobState.GATED and job.gate is not None:
        phase, gate = job.gate
        return (*found, NotApproved(phase, gate.asked_at, gate.deadline))
    elif job.state is not JobState.QUEUED:
        return (NotWaiting(job.state),)
    if job.type not in types:
        found.append(TypeUnknown(job.type))
    others = [each for each in ahead if each.id != job.id]
    # A job that is due, but not queued yet, comes behind those that are.
    position = job.position or max((each.position for each in others), default=0) + 1
    candidates = [*others, attrs.evolve(job, position=position)]
    blocked = admit(candidates, queues=queues, limit=limit, holders=holders).blocked
    if job.id in blocked:
        found.append(blocked[job.id])
    return tuple(found)


def room(*, queues: Mapping[str, Queue], limit: int, holders: Mapping[str, int]) -> dict[str, int]:
    """Return how many candidates of each queue `admit` could admit at most; empty if none."""
    free = limit - sum(holders.values())
    return {
        name: min(free, queue.limit - holders.get(name, 0))
        for name, queue in queues.items()
        if not queue.paused and free > 0 and queue.limit > holders.get(name, 0)
    }
