"""Batches of events as they travel: the same bytes for everybody who follows the same topic."""

from __future__ import annotations

from collections.abc import Sequence

from triphase.feed import Entry
from triphase_protocol import Event, EventType, encode
from triphase_protocol.wire import Topic


def wants(topic: Topic, entry: Entry) -> bool:
    """Return whether an entry belongs to a topic."""
    return topic.wants(entry.event) and (
        not topic.about_jobs or topic.wants_of(entry.event, entry.type, entry.queue, entry.labels)
    )


def batch(name: str, after: int, to: int, encoded: Sequence[bytes]) -> bytes:
    """Return an `events` message, from events that are encoded already."""
    return b'{"type":"events","topic":%b,"from":%d,"to":%d,"events":[%b]}' % (
        encode(name),
        after,
        to,
        b",".join(encoded),
    )


def without_old_progress(events: Sequence[Event]) -> list[Event]:
    """Return events without reports of progress that a later one of the same try has overtaken."""
    latest: dict[tuple[str, int, str | None], int] = {
        (event.job, event.run, event.phase): event.seq
        for event in events
        if event.type is EventType.PHASE_PROGRESS
    }
    return [
        event
        for event in events
        if event.type is not EventType.PHASE_PROGRESS
        or latest[event.job, event.run, event.phase] == event.seq
    ]
