"""What a supervisor does about a child that has ended: decided here, without a task.

The words and rules are those of Erlang/OTP's supervisors (OTP Design Principles,
"Supervisor Behaviour"): restart types, strategies, and the maximum restart intensity.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence

import attrs


class Restart(enum.StrEnum):
    """When a child that has ended is started again."""

    PERMANENT = "permanent"
    """Always."""

    TRANSIENT = "transient"
    """Only after a crash."""

    TEMPORARY = "temporary"
    """Never."""


class Strategy(enum.StrEnum):
    """Which children are restarted with the one that ended."""

    ONE_FOR_ONE = "one_for_one"
    """No other."""

    ONE_FOR_ALL = "one_for_all"
    """Every other: they cannot work without each other."""

    REST_FOR_ONE = "rest_for_one"
    """Those that were started after it: they depend on it."""


class Exit(enum.Enum):
    """How a child ended."""

    NORMAL = "normal"
    """Its `run` returned."""

    CRASHED = "crashed"
    """Something was raised."""


class Verdict(enum.Enum):
    """What becomes of the child that ended."""

    REMOVE = "remove"
    RESTART = "restart"
    ESCALATE = "escalate"


@attrs.frozen
class Intensity:
    """At most `restarts` restarts in any `period` seconds; one more escalates."""

    restarts: int
    period: float

    def __attrs_post_init__(self) -> None:
        # "not more" is also true of a NaN, which would never forget.
        if self.restarts < 0 or not self.period > 0:
            raise ValueError(
                f"intensity={self.restarts!r} must not be negative, "
                f"period={self.period!r} must be more than 0 seconds"
            )


class RestartHistory:
    """The times of the restarts that still count."""

    def __init__(self, intensity: Intensity) -> None:
        self._intensity = intensity
        self._times: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Note a restart at *now* (monotonic seconds); False if it is one too many."""
        while self._times and self._times[0] <= now - self._intensity.period:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self._intensity.restarts


def wanted(exit_: Exit, restart: Restart) -> bool:
    """True if a child that ended so is to be started again."""
    return restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and exit_ is Exit.CRASHED)


def verdict(exit_: Exit, restart: Restart, history: RestartHistory, now: float) -> Verdict:
    """Decide about a child that has ended by itself, not by its supervisor's hand."""
    if not wanted(exit_, restart):
        return Verdict.REMOVE
    return Verdict.RESTART if history.allows(now) else Verdict.ESCALATE


def affected(strategy: Strategy, children: Sequence[str], ended: str) -> list[str]:
    """Return the other children that are restarted too, in the order of their start."""
    if strategy is Strategy.ONE_FOR_ONE:
        return []
    if strategy is Strategy.ONE_FOR_ALL:
        return [name for name in children if name != ended]
    return list(children[children.index(ended) + 1 :])
