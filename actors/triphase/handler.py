"""Running one try of a phase, wherever it runs; what comes of it is a value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import attrs
import trio

from triphase_protocol import Job, Progress

from .context import Context
from .definition import Definition
from .endings import Ending, HandlerOutcome, Raised, Unfinished
from .external import Command
from .fates import Cancel, Fail, Snooze
from .handlers import Handling
from .outcomes import outcome_of_error, outcome_of_value
from .phases import Phase, PhaseKind
from .processes import Call, KeptCommand, KeptCommands, Processes, run_command
from .threads import LetGo, Threads


@attrs.frozen(eq=False)
class Places:
    """Where handlers run that are no tasks."""

    threads: Threads
    processes: Processes
    commands: KeptCommands


@attrs.frozen(eq=False)
class Try:
    """One try of a phase."""

    definition: Definition
    instance: object
    """The job, as the user's class has it."""

    job: Job
    """The record, as it was when the try was started."""

    index: int
    """Which phase."""

    report: Callable[[Progress], None]
    """Takes its progress, in trio."""

    def declared(self) -> Phase[Any]:
        """Return the phase's declaration."""
        return self.definition.phases[self.index]

    @property
    def kept(self) -> KeptCommand:
        """The execution that a command which survives belongs to."""
        return KeptCommand(self.job.id, self.index, self.job.phases[self.index].origin)


async def run_handler(each: Try, ctx: Context, places: Places, handling: Handling) -> Ending:
    """Run a handler to its end; returns when it has really ended, whatever was asked.

    Args:
      each: which.
      ctx: what it is given.
      places: where it runs, if it is no task.
      handling: how it is asked to stop, and let go.
    """
    try:
        return await _run(each, ctx, places, handling)
    except _Escaped as exc:
        return Ending(outcome_of_error(exc.left, each.declared()))


class _Escaped(Exception):
    """A handler was left by something that is no `Exception`."""

    def __init__(self, left: BaseException) -> None:
        super().__init__(repr(left))
        self.left = left


async def _run(each: Try, ctx: Context, places: Places, handling: Handling) -> Ending:
    try:
        with handling.scope:
            match each.declared().kind:
                case PhaseKind.PROCESS:
                    return await places.processes.run(
                        Call.of(each.definition, each.job, each.index),
                        report=each.report,
                        stop=handling.stopping,
                        grace=each.declared().stop_grace,
                    )
                case PhaseKind.COMMAND:
                    return await _run_command(each, ctx, places.commands, handling)
                case _:
                    return Ending(await _call(each, ctx, places.threads, handling))
    except LetGo:
        return Ending(Unfinished())
    # What came beside the cancel, out of a nursery of the handler's own.
    except Exception as exc:
        return Ending(outcome_of_error(exc, each.declared()))
    # Nothing that a handler raises ends more than the handler.
    except BaseException as exc:
        if _is_for_trio(exc):
            raise
        raise _Escaped(exc) from exc
    return Ending(Unfinished())


def _is_for_trio(exc: BaseException) -> bool:
    """True if what leaves a handler is none of its own: Ctrl-C, or the cancel of who runs it.

    A `Cancelled` that nobody's cancel has raised was kept, and raised again later: that is an
    error like any other.
    """
    if isinstance(exc, BaseExceptionGroup):
        inner: tuple[BaseException, ...] = cast("BaseExceptionGroup[BaseException]", exc).exceptions
        return any(_is_for_trio(each) for each in inner)
    if isinstance(exc, trio.Cancelled):
        return trio.current_effective_deadline() == -math.inf
    return isinstance(exc, KeyboardInterrupt)


async def _call(each: Try, ctx: Context, threads: Threads, handling: Handling) -> HandlerOutcome:
    phase, job = each.declared(), each.instance
    try:
        if phase.kind is PhaseKind.TASK:
            value = await phase.handler(job, ctx)
        else:
            value = await threads.run(lambda: phase.handler(job, ctx), handling.hold)
        return outcome_of_value(value, phase, each.definition.result_type(phase.name))
    except LetGo:
        raise
    # A handler that calls sys.exit() ends itself, not the runtime.
    except (Exception, SystemExit) as exc:
        return outcome_of_error(exc, phase)


async def _run_command(
    each: Try, ctx: Context, commands: KeptCommands, handling: Handling
) -> Ending:
    phase = each.declared()
    try:
        said = phase.handler(each.instance, ctx)
        if isinstance(said, Snooze | Cancel | Fail):
            return Ending(outcome_of_value(said, phase, None))
        command = said if isinstance(said, Command) else Command(said)
    # Like any handler: sys.exit() ends the phase, not the runtime.
    except (Exception, SystemExit) as exc:
        return Ending(outcome_of_error(exc, phase))
    stop, grace = handling.stopping, phase.stop_grace
    if phase.survives:
        ending = await commands.run(each.kept, command, stop=stop, grace=grace)
    else:
        ending = await run_command(command, stop=stop, grace=grace)
    if isinstance(ending.outcome, Raised):
        # What fails a command is no exception, but has a name that a policy can speak of.
        again = phase.retry.covers_named(ending.outcome.error.type)
        return attrs.evolve(ending, outcome=attrs.evolve(ending.outcome, again=again))
    return ending
