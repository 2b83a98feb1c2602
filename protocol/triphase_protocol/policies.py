"""Policies as data: what a job type declares, and what the lifecycle decides by."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import cast

import attrs

from .errors import DefinitionError


def _names(errors: object) -> tuple[str, ...]:
    """Return errors as names; a class is named by its module and its own name."""
    given: object = (errors,) if isinstance(errors, str | type) else errors
    if not isinstance(given, Iterable):
        raise DefinitionError(f"Retry: {errors!r} is neither an exception nor several")
    names: list[str] = []
    for error in cast("Iterable[object]", given):
        if isinstance(error, type) and issubclass(error, BaseException):
            names.append(error_name(error))
        elif isinstance(error, str) and error:
            names.append(error)
        else:
            raise DefinitionError(f"Retry: {error!r} is neither an exception nor the name of one")
    return tuple(names)


def error_name(kind: type) -> str:
    """Return the name of a class as `Retry` has it: module and name, without `builtins`."""
    module, name = kind.__module__, kind.__qualname__
    return name if module == "builtins" else f"{module}.{name}"


@attrs.frozen
class Retry:
    """How often a phase is tried, and how long it waits between two tries.

    Each cause has a budget of its own: `attempts` is that of errors, `timeouts` that of
    timeouts. A lost process is counted by `@job(lost_most=)`; a shutdown or a snooze costs nothing.

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

    timeouts: int | None = None
    """How many tries may end in a timeout; None is as many as `attempts`."""

    on: tuple[str, ...] = attrs.field(default=(), converter=_names, kw_only=True)
    """Only these errors are tried again, and what derives from them; empty is any.

    Exception classes, or their names, with their module unless they are built in.
    """

    never_on: tuple[str, ...] = attrs.field(default=(), converter=_names, kw_only=True)
    """These errors, and what derives from them, are not tried again."""

    def __attrs_post_init__(self) -> None:
        for name, count in (("attempts", self.attempts), ("timeouts", self.timeouts or 1)):
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise DefinitionError(
                    f"Retry({name}={count!r}): must be a whole number, at least 1"
                )
        both = set(self.on) & set(self.never_on)
        if both:
            raise DefinitionError(
                f"Retry: {', '.join(sorted(both))} in both `on` and `never_on`: which is it?"
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

    def covers(self, kind: type[BaseException]) -> bool:
        """True if an exception of this class is tried again, as long as tries are left."""
        names = {error_name(each) for each in kind.__mro__}
        return not names & set(self.never_on) and (not self.on or bool(names & set(self.on)))

    def covers_named(self, name: str) -> bool:
        """The same for an error that is no exception: `CommandFailed`, `ProcessDied`."""
        return name not in self.never_on and (not self.on or name in self.on)

    def allows(self, errors: int, timeouts: int) -> bool:
        """True if another try may follow after this many tries that ended so."""
        most = self.attempts if self.timeouts is None else self.timeouts
        return errors < self.attempts and timeouts < most

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
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
    """Start none of its jobs, unless somebody resumes it."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.limit, int) or isinstance(self.limit, bool) or self.limit < 1:
            raise DefinitionError(f"Queue(limit={self.limit!r}): must be a whole number from 1")
        if not isinstance(self.paused, bool):
            raise DefinitionError(f"Queue(paused={self.paused!r}): must be True or False")


@attrs.frozen(kw_only=True)
class QueueState:
    """A queue at one moment."""

    limit: int
    """How many of its jobs may hold a slot at once."""

    paused: bool
    """None of its jobs is started."""

    queued: int
    """Its jobs that wait to be started."""

    running: int
    """Its jobs that hold a slot: those that run, those that are about to stop, and those whose
    worker is away."""


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


@attrs.frozen
class Approval:
    """Somebody has to approve before the job, or one of its phases, starts.

    Raises:
      DefinitionError: if the timeout is not a number above 0.
    """

    timeout: float | None = None
    """Seconds until the job is rejected, if nobody has decided; None waits for ever."""

    def __attrs_post_init__(self) -> None:
        if self.timeout is not None and not (_is_finite(self.timeout) and self.timeout > 0):
            raise DefinitionError(
                f"Approval(timeout={self.timeout!r}): must be a finite number above 0"
            )


@attrs.frozen(kw_only=True)
class Retention:
    """For how long jobs that have ended are kept.

    Raises:
      DefinitionError: if a time is not a number of at least 0, or a job would be deleted before
        it is stale.
    """

    stale_after: float | None = None
    """Seconds from the end of a job until it is marked as stale; None is never."""

    delete_after: float | None = None
    """Seconds from the end of a job until it is deleted, with its events; None is never."""

    def __attrs_post_init__(self) -> None:
        for name, value in (
            ("stale_after", self.stale_after),
            ("delete_after", self.delete_after),
        ):
            if value is not None and not (_is_finite(value) and value >= 0):
                raise DefinitionError(
                    f"Retention({name}={value!r}): must be a finite number, at least 0"
                )
        stale, delete = self.stale_after, self.delete_after
        if stale is not None and delete is not None and delete < stale:
            raise DefinitionError(
                f"Retention(stale_after={stale!r}, delete_after={delete!r}): "
                "a job cannot be deleted before it is stale"
            )
