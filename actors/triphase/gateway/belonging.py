"""Which events of the log belong to a topic: their jobs have to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

from triphase.store.backend import Store
from triphase_protocol import CorruptRecord, Event, EventType, Job
from triphase_protocol.wire import Topic


async def belonging(store: Store, topic: Topic, events: Sequence[Event]) -> list[Event]:
    """Return those of some events, of the types that a topic wants, whose jobs belong to it.

    That a job was deleted belongs to every topic: nothing says any more what it was. A checkpoint,
    if the store has to be asked.
    """
    if not topic.about_jobs:
        return [*events]
    jobs: dict[str, Job | None] = {}
    for event in events:
        if event.job not in jobs:
            jobs[event.job] = await job_of(store, event.job)
    chosen: list[Event] = []
    for event in events:
        job = jobs[event.job]
        if event.type is EventType.JOB_DELETED or (job and topic.wants_job(job)):
            chosen.append(event)
    return chosen


async def job_of(store: Store, id: str) -> Job | None:
    """Return a job's record; None if there is none, or it cannot be read. A checkpoint."""
    try:
        return await store.get(id)
    except CorruptRecord:
        return None
