"""Running one handler inside of a worker, in its main thread."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs
import trio

from triphase.context import Context
from triphase.definition import Definition, definition_of
from triphase.endings import HandlerOutcome, Raised, Refused, Unfinished
from triphase.outcomes import cut, error_of, outcome_of_error, outcome_of_value
from triphase.phases import Phase
from triphase_protocol import DefinitionError, ErrorRecord, InvalidPayload, Progress

from .call import Call
from .importing import Place, load
from .stop_signal import StopRequested, StopSignal


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

    def outcome_of_odd(self, call: Call, exc: BaseException) -> HandlerOutcome:
        """Return the outcome of a handler that raised what no handler should.

        Args:
          call: which.
          exc: what `perform` raised.
        """
        definition = self._definitions.get(call.place)
        if definition is None:
            return Raised(error_of(exc))
        return outcome_of_error(exc, definition.phases[call.index])

    def _outcome(self, call: Call, report: Callable[[Progress], None]) -> HandlerOutcome:
        try:
            definition = self._definition(call)
            changed = definition.changed_since(call.job)
            if changed is not None:
                return Refused(ErrorRecord(type="DefinitionChanged", message=changed))
            instance = definition.instance_of(call.job.payload)
        except (DefinitionError, InvalidPayload) as exc:
            return Refused(error_of(exc))
        # What an import raises may be a matter of the moment.
        except (Exception, SystemExit) as exc:
            return Raised(error_of(exc))
        ctx = Context(
            definition,
            call.job,
            call.index,
            lambda progress: report(_bounded(progress)),
            lambda: self._stop.requested,
        )
        return self._run(definition, definition.phases[call.index], instance, ctx)

    def _run(
        self, definition: Definition, phase: Phase[Any], instance: object, ctx: Context
    ) -> HandlerOutcome:
        try:
            value = (
                self._in_trio(phase, instance, ctx)
                if inspect.iscoroutinefunction(phase.handler)
                else phase.handler(instance, ctx)
            )
            return outcome_of_value(value, phase, definition.result_type(phase.name))
        # A handler that calls sys.exit() ends itself, not the worker.
        except (Exception, SystemExit, KeyboardInterrupt) as exc:
            return outcome_of_error(exc, phase)

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


def _bounded(progress: Progress) -> Progress:
    message = progress.message
    return attrs.evolve(progress, message=None if message is None else cut(message))
