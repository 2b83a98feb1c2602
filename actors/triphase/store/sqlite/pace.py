"""Where to write: on the trio thread while the disk is quick, else in a thread.

A hop to a thread and back costs about as much as making a transaction durable on a quick
disk, and a busy event loop can keep a thread from its turn for seconds. On a slow disk
the loop would stand still for as long as the disk takes. So the store measures its commits.

Only what was measured on the trio thread counts: a time taken in a thread contains the
wait for the interpreter's lock, and would keep the store in the thread for ever. To see a
disk recover, a write is tried on the trio thread now and then.
"""

from __future__ import annotations

from typing import Final

WEIGHT: Final = 0.1
"""How much the last commit counts in the average."""

OUTLIER: Final = 4.0
"""A commit counts as at most so many times the limit: one checkpoint decides nothing."""

TRY_EVERY: Final = 128
"""While the disk is slow, one in so many writes is tried on the trio thread."""


class Pace:
    """Decides for each write, by an exponentially weighted average of the commits before."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._average = 0.0
        self._skip = 0

    @property
    def inline(self) -> bool:
        """True if the next write belongs on the trio thread."""
        return self._average < self._limit or (self._skip == 0 and self._limit > 0)

    def took(self, seconds: float) -> None:
        """Note how long the disk took for a commit on the trio thread."""
        self._average += WEIGHT * (min(seconds, OUTLIER * self._limit) - self._average)
        # A quick one is followed by another, until the average agrees.
        self._skip = 0 if seconds < self._limit else TRY_EVERY

    def passed(self) -> None:
        """Note a write in a thread."""
        self._skip -= 1
