"""A circuit breaker: a receiver that fails again and again is left alone for a while.

Closed, everything may be sent. After some failures in a row it opens, and nothing may. When the
pause is over it is half open: one webhook may try, and what becomes of it closes the breaker or
opens it again, for longer.
"""

from __future__ import annotations

import enum
import math
from typing import Final

import attrs

from triphase_protocol import DefinitionError


class BreakerState(enum.StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    """Everything may be sent."""

    OPEN = "open"
    """Nothing may be sent."""

    HALF_OPEN = "half_open"
    """One may be sent, to see what becomes of it."""


@attrs.frozen(kw_only=True)
class Tripping:
    """When a breaker opens, and for how long.

    Raises:
      DefinitionError: if a number is out of its range.
    """

    failures: int = 20
    """So many in a row open it."""

    pause: float = 30.0
    """Seconds for which it opens first; twice as long after each probe that fails."""

    limit: float = 3600.0
    """Seconds: it opens for no longer."""

    def __attrs_post_init__(self) -> None:
        if self.failures < 1:
            raise DefinitionError(f"Tripping(failures={self.failures!r}): at least 1")
        for name, value in (("pause", self.pause), ("limit", self.limit)):
            if not (math.isfinite(value) and value > 0):
                raise DefinitionError(f"Tripping({name}={value!r}): a finite number above 0")


TRIPPING: Final = Tripping()


@attrs.frozen(kw_only=True)
class Breaker:
    """The breaker of one receiver, at one moment.

    A value: each method returns the next one. Times are seconds of any one clock.
    """

    failures: int = 0
    """How many there were in a row."""

    until: float | None = None
    """When its pause ends or has ended; None as long as it is closed."""

    round: int = 0
    """How often it has opened or closed. What was sent in an earlier round says nothing of now."""

    opened: int = 0
    """How often it has opened since it was last closed."""

    probing: bool = False
    """The one that may try is under way."""

    def state(self, now: float) -> BreakerState:
        """Return where it stands."""
        if self.until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.until else BreakerState.HALF_OPEN

    def admits(self, now: float) -> bool:
        """Return whether something may be sent now."""
        match self.state(now):
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return False
            case BreakerState.HALF_OPEN:
                return not self.probing

    def begun(self, now: float) -> Breaker:
        """Return it after something was sent. Keep its `round` until that has ended.

        Raises:
          ValueError: if nothing may be sent.
        """
        if not self.admits(now):
            raise ValueError(f"{self} admits nothing at {now:g}")
        return self if self.until is None else attrs.evolve(self, probing=True)

    def succeeded(self, round: int) -> Breaker:
        """Return it after something that was sent in this round was received."""
        if round != self.round:
            return self
        if self.until is None:
            return attrs.evolve(self, failures=0)
        return Breaker(round=self.round + 1)

    def failed(self, round: int, now: float, tripping: Tripping = TRIPPING) -> Breaker:
        """Return it after something that was sent in this round was not."""
        if round != self.round:
            return self
        failures = self.failures + 1
        if self.until is None and failures < tripping.failures:
            return attrs.evolve(self, failures=failures)
        # Beyond that a float has no room, and the limit was reached long ago.
        pause = min(tripping.pause * 2.0 ** min(self.opened, 64), tripping.limit)
        return Breaker(
            failures=failures, until=now + pause, round=self.round + 1, opened=self.opened + 1
        )

    def abandoned(self, round: int) -> Breaker:
        """Return it after something that was sent in this round was cancelled: it says nothing."""
        return attrs.evolve(self, probing=False) if round == self.round else self
