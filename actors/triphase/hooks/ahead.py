"""What was read ahead: hooks that are due, and wait for room at their URL.

So that not each try that ends has the store asked what comes next.
"""

from __future__ import annotations

from collections import deque

import attrs

from triphase_protocol import Hook


@attrs.frozen
class Due:
    """A hook whose time has come."""

    hook: Hook

    disabled: bool
    """Its receiver has said that it wants no more."""


@attrs.define(eq=False)
class ReadAhead:
    """What is due, by URL, in the order in which it was read."""

    most: int
    """For one URL, so many are enough."""

    _waiting: dict[str, deque[Due]] = attrs.field(factory=dict[str, deque[Due]], init=False)

    def add(self, due: Due) -> None:
        """Keep one for later."""
        self._waiting.setdefault(due.hook.url, deque()).append(due)

    def take(self, url: str) -> Due | None:
        """Return the next one to a URL, and forget it; None if there is none."""
        waiting = self._waiting.get(url)
        if not waiting:
            return None
        due = waiting.popleft()
        if not waiting:
            del self._waiting[url]
        return due

    def drop(self, url: str) -> None:
        """Forget those to a URL: they are still in the outbox."""
        self._waiting.pop(url, None)

    def ids(self) -> set[str]:
        """Return the ids of all of them."""
        return {due.hook.id for waiting in self._waiting.values() for due in waiting}

    def enough(self) -> list[str]:
        """Return the URLs for which there are enough."""
        return [url for url, waiting in self._waiting.items() if len(waiting) >= self.most]
