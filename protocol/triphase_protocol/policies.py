"""Policies as data: what a job type declares, and what the lifecycle decides by."""

from __future__ import annotations

import enum
import math

import attrs

from .errors import DefinitionError


@attrs.frozen
class Retry:
    """How often a phase is tried, and how long it waits between two tries.

    The wait before try *n + 1* is drawn from 0 to `backoff * factor ** (n - 1)`, at most
    `limit`: exponential backoff with full jitter, which spreads a crowd that failed together
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Raises:
      DefinitionError: if a number is out of its range.
    """

    attempts: int = 1
    """How many tries may end in an error, the first one included. At least 1."""

    backoff: float = 1.0
    """Seconds: the longest wait after the first try. 0 tries again at once."""

    factor: float = 2.0
    """How much the longest wait grows with each try. At least 1."""

    limit: float = 300.0
    """Seconds: no wait is longer than this."""

    jitter: bool = True
    """Draw the wait from 0 to the longest wait. False takes the longest wait itself."""

    def __attrs_post_init__(self) -> None:
        attempts: object = self.attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise DefinitionError(
                f"Retry(attempts={attempts!r}): must be a whole number, at least 1"
            )
        for name, value, least in (
            ("backoff", self.backoff, 0.0),
            ("factor", self.factor, 1.0),
            ("limit", self.limit, 0.0),
        ):
            if not (_is_finite(value) and value >= least):
                raise DefinitionError(
                    f"Retry({name}={value!r}): must be a finite number, at least {least:g}"
                )

    def delay(self, failures: int, draw: float) -> float:
        """Return the seconds to wait after this many failures (1 for the first).

        Args:
          failures: how many tries have failed so far; at least 1.
          draw: a number from 0 to 1, from the runtime's source of randomness.
        """
        try:
            growth = float(self.factor) ** (failures - 1)
        except OverflowError:
            growth = math.inf
        # Nothing times infinity is not a number.
        longest = min(self.limit, self.backoff * growth) if self.backoff else 0.0
        return longest * draw if self.jitter else longest


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


NO_RETRY = Retry(attempts=1)
"""The policy of a phase that declares none: one try."""


@attrs.frozen
class Queue:
    """A queue: a limit that its jobs share.

    Raises:
      DefinitionError: if the limit is not a whole number of at least 1.
    """

    limit: int = 10
    """How many of its jobs may hold a slot at once."""

    paused: bool = False
    """Start none of its jobs while this runtime is open."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.limit, int) or isinstance(self.limit, bool) or self.limit < 1:
            raise DefinitionError(f"Queue(limit={self.limit!r}): must be a whole number from 1")
        if not isinstance(self.paused, bool):
            raise DefinitionError(f"Queue(paused={self.paused!r}): must be True or False")


class OnRestart(enum.StrEnum):
    """What becomes of a job whose run was interrupted: its process died, or was shut down."""

    RESUME = "resume"
    """It goes on with the interrupted phase."""

    RESTART = "restart"
    """It starts from its first phase; the results of completed phases are dropped."""

    FAIL = "fail"
    """It fails."""

    HOLD = "hold"
    """It ends as `interrupted`, and waits for somebody to retry it."""


@attrs.frozen
class Recovery:
    """The policy of a job type for runs that are interrupted."""

    then: OnRestart = OnRestart.RESUME
    """What becomes of the job."""

    lost_most: int = 5
    """How often its process may be lost in one phase before it fails. A shutdown is no loss."""
