"""Running one handler, and what its ending means.

`run_handler` acts: it calls the user's code, and whatever that does comes back as a value.
`command_for` decides: which command follows from an ending.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import attrs
import trio

from triphase_protocol import (
    CancelPhase,
    Command,
    CompletePhase,
    ErrorRecord,
    FailPhase,
    InvalidResult,
    InvalidValue,
    Json,
    Progress,
    SnoozePhase,
    decode,
    storable,
    unstructure,
    unstructure_as,
)

from .context import Context
from .definition import Phase
from .fates import Cancel, Fail, Snooze
from .handlers import Handling
from .threads import LetGo, Threads

TRACEBACK_MOST = 8_000
"""The most characters of a traceback that are kept; the end of it says most."""


@attrs.frozen
class Returned:
    """The handler returned."""

    value: object


@attrs.frozen
class Raised:
    """The handler raised."""

    error: Exception | SystemExit


@attrs.frozen
class Halted:
    """The handler stopped because it was asked to."""


Ending: TypeAlias = Returned | Raised | Halted
"""How a handler ended."""


async def run_handler(
    phase: Phase[Any], job: object, ctx: Context, threads: Threads, handling: Handling
) -> Ending:
    """Run a handler to its end; returns when it has really ended, whatever was asked.

    Args:
      phase: which.
      job: the instance it is a method of.
      ctx: what it is given.
      threads: where a plain function runs.
      handling: how it is asked to stop, and let go.
    """
    try:
        with handling.scope:
            return await _call(phase, job, ctx, threads, handling.hold)
    except LetGo:
        return Halted()
    # What came beside the cancel, out of a nursery of the handler's own.
    except Exception as exc:
        return Raised(exc)
    return Halted()


async def _call(
    phase: Phase[Any], job: object, ctx: Context, threads: Threads, hold: trio.CancelScope
) -> Ending:
    try:
        if phase.is_async:
            return Returned(await phase.handler(job, ctx))
        return Returned(await threads.run(_bound(phase, job, ctx), hold))
    except LetGo:
        raise
    # A handler that calls sys.exit() ends itself, not the runtime.
    except (Exception, SystemExit) as exc:
        return Raised(_innermost(exc))


def _innermost(exc: Exception | SystemExit) -> Exception | SystemExit:
    """Return the fate that a nursery of the handler's own has wrapped, else what was raised."""
    inner: Any = exc
    while isinstance(inner, ExceptionGroup):
        wrapped = cast("ExceptionGroup[Exception]", inner).exceptions
        if len(wrapped) != 1:
            return exc
        inner = wrapped[0]
    return inner if isinstance(inner, Snooze | Cancel | Fail) else exc


def _bound(phase: Phase[Any], job: object, ctx: Context) -> Callable[[], object]:
    return lambda: phase.handler(job, ctx)


def command_for(
    ending: Ending,
    phase: Phase[Any],
    declared: Any,
    run: int,
    draw: float,
    progress: Progress | None,
) -> Command:
    """Return the command that follows from a handler's ending.

    Args:
      ending: how it ended.
      phase: which phase it was.
      declared: the declared type of its result.
      run: the run it belonged to.
      draw: a number from 0 to 1, for the jitter of a retry.
      progress: the last progress, if it is not recorded yet.
    """
    match ending:
        case Returned(Snooze() as fate) | Raised(Snooze() as fate):
            return SnoozePhase(run=run, seconds=fate.seconds, progress=progress)
        case Returned(Cancel() as fate) | Raised(Cancel() as fate):
            reason = None if fate.reason is None else printable(fate.reason)
            return CancelPhase(run=run, reason=reason, progress=progress)
        case Returned(Fail() as fate) | Raised(Fail() as fate):
            error = ErrorRecord(type="Fail", message=printable(fate.reason))
            return FailPhase(run=run, error=error, progress=progress)
        case Returned(value):
            return _completed(value, phase, declared, run, progress)
        case Raised(exc):
            return FailPhase(
                run=run, error=error_of(exc), retry=phase.retry, draw=draw, progress=progress
            )
        case Halted():
            # Only who asked it to stop knows what for; nobody did.
            error = ErrorRecord(type="Halted", message=f"{phase.name} stopped, unasked")
            return FailPhase(run=run, error=error, retry=phase.retry, draw=draw, progress=progress)


def timeout_error(phase: Phase[Any], *, whole_job: bool) -> ErrorRecord:
    """Return what a phase fails with that has not ended in its time, or in the job's."""
    what = "the job's timeout passed" if whole_job else f"no end after {phase.timeout:g} s"
    return ErrorRecord(type="Timeout", message=f"{phase.name}: {what}")


def _completed(
    value: object, phase: Phase[Any], declared: Any, run: int, progress: Progress | None
) -> Command:
    what = f"result of phase {phase.name!r}"
    try:
        data = storable(_plain(value, declared), what=what, error=InvalidResult)
    except InvalidValue as exc:
        # Another try would return the same kind of thing: no retry.
        return FailPhase(run=run, error=error_of(exc), progress=progress)
    # Through JSON and back, so that a result is the same before and after a restart.
    return CompletePhase(run=run, result=decode(data), progress=progress)


def _plain(value: object, declared: Any) -> Json:
    """Return a result as JSON values: by its declared type, which knows of dates and enums."""
    try:
        return unstructure(unstructure_as(value, declared))
    except InvalidValue:
        raise
    # It is of another type than was declared: then as what it is.
    except Exception:
        return unstructure(value)


def error_of(exc: Exception | SystemExit) -> ErrorRecord:
    """Return an exception as data."""
    try:
        message = str(exc)
    except Exception as broken:
        message = f"<no message: str() raised {type(broken).__name__}>"
    lines = "".join(traceback.format_exception(exc))
    return ErrorRecord(
        type=type(exc).__name__,
        message=printable(message),
        traceback=printable(lines[-TRACEBACK_MOST:]),
    )


def printable(text: str) -> str:
    """Return text that a store can hold: valid UTF-8, whatever an exception put into it."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")
