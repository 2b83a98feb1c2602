"""What a new row of the outbox holds: made of an event and a record as they are committed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from triphase_protocol import Event, Hook, Job, encode

from .operations import NewHook


def new_rows(hooks: Sequence[NewHook], job: Job, events: Sequence[Event]) -> Iterator[Hook]:
    """Yield the rows that an operation makes, with its record and its events as committed."""
    bodies: dict[int, str] = {}
    for hook in hooks:
        event = events[hook.event]
        if hook.event not in bodies:
            bodies[hook.event] = body_of(event, job)
        yield Hook(
            id=hook.id,
            job=event.job,
            run=event.run,
            seq=event.seq,
            event=event.type,
            url=hook.url,
            delivery=hook.delivery,
            secret=hook.secret,
            due_at=event.at,
            created_at=event.at,
            body=bodies[hook.event],
        )


def body_of(event: Event, job: Job) -> str:
    """Return what is sent about an event, as JSON."""
    content = {
        "type": event.type,
        "timestamp": timestamp_of(event.at),
        "data": {"event": event, "job": job},
    }
    return encode(content).decode()


def timestamp_of(at: float) -> str:
    """Return a time in ISO 8601, in UTC and to the microsecond: `2026-01-31T08:00:00.250000Z`."""
    time = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=at)
    return f"{time.isoformat(timespec='microseconds')}Z"
