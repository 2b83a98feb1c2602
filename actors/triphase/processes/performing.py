"""Running one handler inside of a worker, in its main thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import trio

from triphase.context import Context
from triphase.definition import Definition, Phase, definition_of
from triphase.fates import Cancel, Fail, Snooze
from triphase.handler import error_of, printable
from triphase_protocol import (
    DefinitionError,
    ErrorRecord,
    InvalidPayload,
    InvalidResult,
    InvalidValue,
    Progress,
    decode,
    storable,
    unstructure,
    unstructure_as,
)

from .call import Call
from .importing import Place, load
from .outcomes import (
    CancelledItself,
    FailedItself,
    HandlerOutcome,
    Raised,
    Refused,
    Returned,
    Snoozed,
    Unfinished,
)
from .stop_signal import StopRequested, StopSignal

MESSAGE_MOST: Final = 16_000
"""The most characters of an error's message, of a reason or of a progress's message."""


class Performer:
    """Runs handlers, one after the other; keeps the job classes that it has found."""

    def __init__(self, stop: StopSignal) -> None:
        self._stop = stop
        self._definitions: dict[Place, Definition] = {}

    def perform(self, call: Call, report: Callable[[Progress], None]) -> HandlerOutcome:
        """Run a handler to its end, and return what came of it.

        Args:
          call: which.
          report: takes its progress, in any thread.

        Raises:
          BaseException: what a handler raised that is neither an `Exception` nor a way to
            exit; the worker should end.
        """
        try:
            try:
                self._stop.interrupt()
                outcome = self._outcome(call, report)
            finally:
                self._stop.hold()
        except StopRequested:
            outcome = Unfinished()
        return outcome

    def _outcome(self, call: Call, report: Callable[[Progress], None]) -> HandlerOutcome:
        try:
            definition = self._definition(call)
            changed = definition.changed_since(call.job)
            if changed is not None:
                return Refused(ErrorRecord(type="DefinitionChanged", message=changed))
            instance = definition.instance_of(call.job.payload)
        except (DefinitionError, InvalidPayload) as exc:
            return Refused(_error_of(exc))
        # What an import raises may be a matter of the moment.
        except (Exception, SystemExit) as exc:
            return Raised(_error_of(exc))
        ctx = Context(
            definition,
            call.job,
            call.index,
            lambda progress: report(_bounded(progress)),
            lambda: self._stop.requested,
        )
        return self._ending(definition, definition.phases[call.index], instance, ctx)

    def _ending(
        self, definition: Definition, phase: Phase[Any], instance: object, ctx: Context
    ) -> HandlerOutcome:
        try:
            value = (
                self._in_trio(phase, instance, ctx)
                if phase.is_async
                else phase.handler(instance, ctx)
            )
            return _of_value(value, definition, phase)
        except (Exception, SystemExit, KeyboardInterrupt) as exc:
            return _of_error(exc)

    def _in_trio(self, phase: Phase[Any], instance: object, ctx: Context) -> object:
        # Raised inside of trio's own code, it would be taken for a bug of trio's.
        self._stop.hold()
        return trio.run(self._cancellable, phase, instance, ctx)

    async def _cancellable(self, phase: Phase[Any], instance: object, ctx: Context) -> object:
        token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as scope:
            self._stop.cancel_by(lambda: token.run_sync_soon(scope.cancel))
            try:
                return await phase.handler(instance, ctx)
            finally:
                self._stop.cancel_by(None)
        raise StopRequested

    def _definition(self, call: Call) -> Definition:
        definition = self._definitions.get(call.place)
        if definition is None:
            definition = definition_of(load(call.place))
            definition.resolve()
            self._definitions[call.place] = definition
        return definition


def _of_value(value: object, definition: Definition, phase: Phase[Any]) -> HandlerOutcome:
    if isinstance(value, Snooze | Cancel | Fail):
        return _of_fate(value)
    try:
        what = f"result of phase {phase.name!r}"
        plain = _plain(value, definition.result_type(phase.name))
        return Returned(decode(storable(plain, what=what, error=InvalidResult)))
    except InvalidValue as exc:
        return Refused(_error_of(exc))


def _plain(value: object, declared: Any) -> Any:
    """Return a result as JSON values: by its declared type, which knows of dates and enums."""
    try:
        return unstructure(unstructure_as(value, declared))
    except InvalidValue:
        raise
    # It is of another type than was declared: then as what it is.
    except Exception:
        return unstructure(value)


def _of_error(exc: BaseException) -> HandlerOutcome:
    # A nursery of the handler's own wraps the fate that was raised inside of it.
    inner: Any = exc
    while isinstance(inner, ExceptionGroup):
        wrapped = cast("ExceptionGroup[Exception]", inner).exceptions
        inner = wrapped[0] if len(wrapped) == 1 else None
    if isinstance(inner, Snooze | Cancel | Fail):
        return _of_fate(inner)
    return Raised(_error_of(exc))


def _of_fate(fate: Snooze | Cancel | Fail) -> HandlerOutcome:
    match fate:
        case Snooze():
            return Snoozed(fate.seconds)
        case Cancel():
            return CancelledItself(None if fate.reason is None else _cut(printable(fate.reason)))
        case Fail():
            return FailedItself(_cut(printable(fate.reason)))


def _error_of(exc: BaseException) -> ErrorRecord:
    error = error_of(cast("Exception", exc))
    return ErrorRecord(type=error.type, message=_cut(error.message), traceback=error.traceback)


def _bounded(progress: Progress) -> Progress:
    message = progress.message
    return Progress(
        done=progress.done,
        total=progress.total,
        message=None if message is None else _cut(message),
    )


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_MOST else f"{text[: MESSAGE_MOST - 1]}…"


def raised(exc: BaseException) -> Raised:
    """Return the outcome of a handler that raised what no handler should."""
    return Raised(_error_of(exc))
