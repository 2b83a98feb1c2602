"""The entry point: parses the command line, runs one command under trio, and ends with its code."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs
import cyclopts
import trio

from triphase_protocol import TriphaseError

from . import (
    bench,
    changing,
    deciding,
    demo,
    explaining,
    hooks,
    listing,
    queues,
    serve,
    show,
    submit,
    tail,
    wait,
    watch,
)
from .exits import Exit, UsageError, exit_for
from .humane import one_line
from .screen import prepare_streams

app = cyclopts.App(
    name="triphase",
    help="Durable, multi-phase jobs for trio: run them, submit them, look at them, wait for them.",
    help_format="markdown",
    backend="trio",
    result_action="return_value",
)
app.command(demo.demo)
app.command(serve.serve)
app.command(submit.submit)
app.command(listing.ls)
app.command(show.show)
app.command(watch.watch)
app.command(tail.tail)
app.command(wait.wait)
app.command(changing.cancel)
app.command(changing.retry)
app.command(deciding.approve)
app.command(deciding.reject)
app.command(explaining.explain)
app.command(queues.app)
app.command(hooks.app)
app.command(bench.app)

DRAINING: Final = frozenset({serve.serve})
"""Commands that deal with signals themselves, and do not end at the first."""

PLUGGED: Final = "triphase.commands"
"""The entry points of commands that stand outside of this package: a mapping of functions by name,
where an empty name is what the command does by itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    Args:
      arguments: without the program's name; None takes them from the process.
    """
    prepare_streams()
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_streams()
        return Exit.PIPE_CLOSED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        _plug_in(arguments)
        command, bound, _ = app.parse_args(list(arguments), print_error=False, exit_on_error=False)
        if not inspect.iscoroutinefunction(command):
            code = command(*bound.args, **bound.kwargs)
            return code if isinstance(code, int) else Exit.OK
        run = _run_plainly if command in DRAINING else _interruptible
        return trio.run(run, lambda: command(*bound.args, **bound.kwargs))
    except cyclopts.CycloptsError as exc:
        return _complain(str(exc), Exit.USAGE)
    except TriphaseError as exc:
        return _complain(_message(exc), exit_for(exc))
    except BaseExceptionGroup as exc:
        # A second Ctrl-C may hit any task.
        if exc.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from exc


def _plug_in(arguments: Sequence[str]) -> None:
    """Add the commands from outside, if one of them or the help is asked for.

    Raises:
      UsageError: if the command that is asked for cannot be loaded.
    """
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    helps = not arguments or (wanted is None and bool({"-h", "--help"} & set(arguments)))
    if not helps and (wanted is None or wanted in app):
        return
    for entry in importlib.metadata.entry_points(group=PLUGGED):
        if entry.name not in app and (helps or entry.name == wanted):
            try:
                functions = entry.load()
            except ImportError as exc:
                missing = f"cannot be loaded: {exc}; try: pip install 'triphase[{entry.name}]'"
                if not helps:
                    raise UsageError(f"{entry.name} {missing}") from exc
                print(f"triphase: {entry.name} {missing}", file=sys.stderr)
                continue
            plugged = cyclopts.App(name=entry.name)
            for name, function in functions.items():
                plugged.command(function, name=name) if name else plugged.default(function)
            app.command(plugged)


def _complain(message: str, code: Exit) -> Exit:
    print(f"triphase: {one_line(' '.join(message.split()))}", file=sys.stderr)
    return code


def _message(exc: TriphaseError) -> str:
    """Return an error's text, with its cause where only that says what happened."""
    cause = exc.__cause__
    if exc.code == "crashed" and cause is not None:
        return f"{exc}: {type(cause).__name__}: {cause}"
    return str(exc)


@attrs.define
class _Signals:
    """Which signal has come, if any."""

    got: int | None = None

    async def watch(self, scope: trio.CancelScope) -> None:
        """Cancel the command on the first signal; the second does what it does by default."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                self.got = number
                scope.cancel(reason=f"signal {number}")
                return


async def _run_plainly(command: Callable[[], Awaitable[int]]) -> int:
    return await command()


async def _interruptible(command: Callable[[], Awaitable[Any]]) -> int:
    """Run a command that ends in good order on Ctrl-C: bars are wiped, jobs are put back."""
    signals, code, failure = _Signals(), Exit.OK, None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signals.watch, nursery.cancel_scope)
        try:
            code = await command()
        except Exception as exc:
            # Kept, and raised outside of the nursery, which would wrap it.
            failure = exc
        nursery.cancel_scope.cancel(reason="the command has ended")
    if failure is not None:
        raise failure
    return code if signals.got is None else 128 + signals.got


def _forget_streams() -> None:
    """Let what is still buffered go nowhere, so that the interpreter's last flush is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
