"""The wall clock, as something that can be given.

Deadlines that survive a restart are wall-clock times; waits inside one process go by
trio's own monotonic clock. Only this file asks the system for the time.
"""

from __future__ import annotations

import time
from typing import Protocol

import trio


class Clock(Protocol):
    """Where the wall-clock time comes from."""

    def now(self) -> float:
        """Return seconds since the Unix epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock, to the microsecond."""

    def now(self) -> float:
        """Return seconds since the Unix epoch, UTC."""
        return round(time.time(), 6)


class TrioClock:
    """A wall clock that follows trio's own: under a `MockClock`, virtual time.

    Args:
      epoch: the wall-clock time at trio's time 0.
    """

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch = epoch

    def now(self) -> float:
        """Return the epoch plus trio's current time."""
        return round(self._epoch + trio.current_time(), 6)

    def step(self, seconds: float) -> None:
        """Move the wall clock, as an administrator or a time server may."""
        self._epoch += seconds
