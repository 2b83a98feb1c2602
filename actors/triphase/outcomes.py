"""What a handler returned or raised, as an outcome; and the command that follows from its ending.

Pure, and the same for a task, a thread and a worker process.
"""

from __future__ import annotations

import traceback
from typing import Any, Final, cast

from triphase_protocol import (
    CancelPhase,
    Cause,
    Command,
    CompletePhase,
    ErrorRecord,
    FailPhase,
    Interrupt,
    InvalidResult,
    InvalidValue,
    Json,
    Progress,
    Recovery,
    SnoozePhase,
    decode,
    storable,
    unstructure,
    unstructure_as,
)

from .endings import (
    CancelledItself,
    Died,
    Ending,
    FailedItself,
    HandlerOutcome,
    Lost,
    Raised,
    Refused,
    Returned,
    Snoozed,
    Unfinished,
)
from .fates import Cancel, Fail, Fate, Snooze
from .phases import Phase

TRACEBACK_MOST: Final = 8_000
"""The most characters of a traceback that are kept; the end of it says most."""

WORDS_MOST: Final = 16_000
"""The most characters of an error's message, and of a reason, that are kept."""


def outcome_of_value(value: object, phase: Phase[Any], declared: Any) -> HandlerOutcome:
    """Return what a handler's return value means.

    Args:
      value: what it returned.
      phase: which phase it is.
      declared: the declared type of its result.
    """
    if isinstance(value, Snooze | Cancel | Fail):
        return _of_fate(value)
    what = f"result of phase {phase.name!r}"
    try:
        data = storable(_plain(value, declared), what=what, error=InvalidResult)
    except InvalidValue as exc:
        # Another try would return the same kind of thing.
        return Refused(error_of(exc))
    # Through JSON and back, so that a result is the same before and after a restart.
    return Returned(decode(data))


def outcome_of_error(exc: BaseException, phase: Phase[Any]) -> HandlerOutcome:
    """Return what an exception that left a handler means."""
    inner: Any = exc
    while isinstance(inner, ExceptionGroup):
        # A nursery of the handler's own wraps the fate that was raised inside of it.
        wrapped = cast("ExceptionGroup[Exception]", inner).exceptions
        inner = wrapped[0] if len(wrapped) == 1 else None
    if isinstance(inner, Snooze | Cancel | Fail):
        return _of_fate(inner)
    # By what is inside of a group of one: that is what the handler's author thinks of.
    inside = cast("BaseException", exc if inner is None else inner)
    return Raised(error_of(exc), again=phase.retry.covers(type(inside)))


def command_for(
    ending: Ending,
    phase: Phase[Any],
    run: int,
    draw: float,
    progress: Progress | None,
    recovery: Recovery,
) -> Command:
    """Return the command that follows from the end of a try that nobody asked to stop.

    Args:
      ending: how it ended.
      phase: which phase it was.
      run: the run it belonged to.
      draw: a number from 0 to 1, for the jitter of a retry.
      progress: the last progress, if it is not recorded yet.
      recovery: the job type's policy for what is lost.
    """
    match ending.outcome:
        case Returned(value):
            return CompletePhase(run=run, result=value, progress=progress)
        case Snoozed(seconds):
            return SnoozePhase(run=run, seconds=seconds, progress=progress)
        case CancelledItself(reason):
            return CancelPhase(run=run, reason=reason, progress=progress)
        case FailedItself(reason):
            error = ErrorRecord(type="Fail", message=reason)
            return FailPhase(run=run, error=error, progress=progress)
        case Refused(error):
            return FailPhase(run=run, error=error, progress=progress)
        case Lost(error):
            return Interrupt(run=run, cause=Cause.LOST, reason=error.message, policy=recovery)
        case Raised(error, again):
            retry = phase.retry if again else None
            return FailPhase(run=run, error=error, retry=retry, draw=draw, progress=progress)
        case Died(error):
            retry = phase.retry if phase.retry.covers_named(error.type) else None
            return FailPhase(run=run, error=error, retry=retry, draw=draw, progress=progress)
        case Unfinished():
            # Only who asked it to stop knows what for; nobody did.
            error = ErrorRecord(type="Halted", message=f"{phase.name} stopped, unasked")
            return FailPhase(run=run, error=error, retry=phase.retry, draw=draw, progress=progress)


def error_of(exc: BaseException) -> ErrorRecord:
    """Return an exception as data, of a bounded size."""
    try:
        message = str(exc)
    except Exception as broken:
        message = f"<no message: str() raised {type(broken).__name__}>"
    lines = "".join(traceback.format_exception(exc))
    return ErrorRecord(
        type=type(exc).__name__,
        message=cut(printable(message)),
        traceback=printable(lines[-TRACEBACK_MOST:]),
    )


def printable(text: str) -> str:
    """Return text that a store can hold: valid UTF-8, whatever an exception put into it."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def cut(text: str) -> str:
    """Return text of no more than `WORDS_MOST` characters."""
    return text if len(text) <= WORDS_MOST else f"{text[: WORDS_MOST - 1]}…"


def _of_fate(fate: Fate) -> HandlerOutcome:
    match fate:
        case Snooze():
            return Snoozed(fate.seconds)
        case Cancel():
            return CancelledItself(None if fate.reason is None else cut(printable(fate.reason)))
        case Fail():
            return FailedItself(cut(printable(fate.reason)))


def _plain(value: object, declared: Any) -> Json:
    """Return a result as JSON values: by its declared type, which knows of dates and enums."""
    try:
        return unstructure(unstructure_as(value, declared))
    except InvalidValue:
        raise
    # It is of another type than was declared: then as what it is.
    except Exception:
        return unstructure(value)
