"""Who waits for which job to end: one event a job, and nobody polls."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import trio

from triphase_protocol import TERMINAL_EVENTS, Event


class Waiters:
    """The waiting tasks of a runtime, by job."""

    def __init__(self) -> None:
        self._ended: dict[str, tuple[trio.Event, int]] = {}
        self._closed = False

    def __len__(self) -> int:
        return sum(count for _, count in self._ended.values())

    @property
    def closed(self) -> bool:
        """True once nothing will be published any more."""
        return self._closed

    @contextmanager
    def on(self, job: str) -> Generator[trio.Event]:
        """Give an event that is set when the job ends, from now on.

        Take it first and read the record then: an end in between sets it.
        """
        event, count = self._ended.get(job, (trio.Event(), 0))
        if self._closed:
            event.set()
        self._ended[job] = event, count + 1
        try:
            yield event
        finally:
            # A job that ended meanwhile has left the table, and may have come back.
            current, count = self._ended.get(job, (None, 0))
            if current is event:
                if count > 1:
                    self._ended[job] = event, count - 1
                else:
                    del self._ended[job]

    def publish(self, events: Sequence[Event]) -> None:
        """Wake who waits for a job that has just ended. Never waits."""
        for event in events:
            if event.type in TERMINAL_EVENTS and event.job in self._ended:
                self._ended.pop(event.job)[0].set()

    def close(self) -> None:
        """Wake everybody; nothing more will come."""
        self._closed = True
        for event, _ in self._ended.values():
            event.set()
