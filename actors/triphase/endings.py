"""What came of a handler or a command: values, for others to decide by.

`Ending` is the whole of it: what came out, and, if somebody asked for a stop, how that went. The
two are separate, since a handler that is asked to stop may still return a value, and one that has
returned already may be asked.
"""

from __future__ import annotations

import signal as signals
from typing import TypeAlias, get_args

import attrs

from triphase_protocol import ErrorRecord, Json, StopHow
from triphase_protocol.codec import tagged_union


@attrs.frozen
class Returned:
    """The handler returned, or the command exited with a code that is right."""

    value: Json


@attrs.frozen
class Raised:
    """The handler raised, or the command failed or could not be started."""

    error: ErrorRecord

    again: bool = True
    """The phase's policy tries such an error again, as long as tries are left."""


@attrs.frozen
class Refused:
    """Nothing came of it, and another try would meet the same.

    The job's class is not what it was declared as, the payload does not fit it, or the result
    cannot be stored.
    """

    error: ErrorRecord


@attrs.frozen
class Snoozed:
    """The handler chose `Snooze`."""

    seconds: float


@attrs.frozen
class CancelledItself:
    """The handler chose `Cancel`."""

    reason: str | None


@attrs.frozen
class FailedItself:
    """The handler chose `Fail`."""

    reason: str


@attrs.frozen
class Unfinished:
    """It was stopped before anything came of it."""


@attrs.frozen
class Died:
    """The process ended without a word, and nobody had asked for it."""

    error: ErrorRecord
    """What is known: the exit code or signal, and the end of what it wrote to stderr."""

    signal: int | None = None
    """The signal that ended it; None if it exited."""


@attrs.frozen
class Lost:
    """It is gone, and nobody can know any more how it ended, or whether it has begun."""

    error: ErrorRecord


HandlerOutcome: TypeAlias = (
    Returned | Raised | Refused | Snoozed | CancelledItself | FailedItself | Unfinished
)
"""What can be said of a handler where it runs."""

TryOutcome: TypeAlias = HandlerOutcome | Died | Lost
"""What can come of a handler, wherever it runs."""

tagged_union(HandlerOutcome, get_args(HandlerOutcome))


@attrs.frozen
class Halt:
    """A stop that somebody asked for, and what it took."""

    how: StopHow

    seconds: float
    """From the request until the process was gone; until it was given up, if abandoned."""


@attrs.frozen
class Ending:
    """The end of one try of a phase."""

    outcome: TryOutcome

    halt: Halt | None = None
    """The stop, if one was asked for before the end."""


def died(status: int, words: str = "") -> Died:
    """Return the ending of a process that nobody asked to stop.

    Args:
      status: its exit code, or minus the signal that ended it, as `subprocess` has it.
      words: the end of what it wrote to stderr.
    """
    error = ErrorRecord(
        type="ProcessDied",
        message=f"the worker process ended in the middle of the handler: {ended_by(status)}",
        traceback=words or None,
    )
    return Died(error, -status if status < 0 else None)


def ended_by(status: int) -> str:
    """Return words for an exit status."""
    if status >= 0:
        return f"exit code {status}"
    try:
        name = signals.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (out of memory, or somebody's kill)" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"
