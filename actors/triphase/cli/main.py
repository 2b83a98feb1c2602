"""The entry point: parses the command line, runs one command under trio, and ends with its code."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import cyclopts
import trio

from triphase_protocol import TriphaseError

from . import bench, demo, listing, show, submit, tail, wait, watch
from .exits import Exit, exit_for
from .humane import one_line
from .screen import prepare_streams

app = cyclopts.App(
    name="triphase",
    help="Durable, multi-phase jobs for trio: try them, submit them, look at them, wait for them.",
    help_format="markdown",
    backend="trio",
    result_action="return_value",
)
app.command(demo.demo)
app.command(submit.submit)
app.command(listing.ls)
app.command(show.show)
app.command(watch.watch)
app.command(tail.tail)
app.command(wait.wait)
app.command(bench.bench)


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
        command, bound, _ = app.parse_args(list(arguments), print_error=False, exit_on_error=False)
        if not inspect.iscoroutinefunction(command):
            command(*bound.args, **bound.kwargs)
            return Exit.OK
        return trio.run(_interruptible, lambda: command(*bound.args, **bound.kwargs))
    except cyclopts.CycloptsError as exc:
        return _complain(str(exc), Exit.USAGE)
    except TriphaseError as exc:
        return _complain(_message(exc), exit_for(exc))
    except BaseExceptionGroup as exc:
        # A second Ctrl-C may hit any task.
        if exc.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from exc


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
