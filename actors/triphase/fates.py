"""What a phase may return, or raise, instead of a result.

    return triphase.Snooze(60)                  # try again in a minute
    raise triphase.Fail("no such video")        # do not try again
    return triphase.Cancel("superseded")        # end the whole job as cancelled

They are exceptions so that they can be raised from the depth of a handler, and values so
that the end of a handler reads as what it is.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from triphase_protocol import InvalidValue


class Snooze(Exception):
    """Try this phase again later; its error budget is not charged.

    Args:
      seconds: how much later; 0 or more.

    Raises:
      InvalidValue: if *seconds* is not a finite number of at least 0.
    """

    def __init__(self, seconds: float) -> None:
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not (number and math.isfinite(seconds) and seconds >= 0):
            raise InvalidValue(f"Snooze({seconds!r}): must be a finite number, at least 0")
        super().__init__(f"again in {seconds:g} s")
        self.seconds = float(seconds)


class Cancel(Exception):
    """End the job as cancelled.

    Args:
      reason: why, for people; kept in the record and the event.
    """

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "cancelled by its handler")
        self.reason = reason


class Fail(Exception):
    """Fail the job now, whatever the phase's retry policy says.

    Args:
      reason: why, for people; the message of the job's error.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Fate: TypeAlias = Snooze | Cancel | Fail
"""Anything that decides a phase's fate other than a result."""
