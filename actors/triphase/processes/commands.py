"""Running an external command to its end: stopped with us, if it is not to survive us."""

from __future__ import annotations

import trio

from triphase.endings import Ending, Halt, Returned, Unfinished
from triphase.external import Command
from triphase_protocol import StopHow

from .captured import Captured
from .child import Child
from .exits import Exited, Output, captures, not_started, outcome_of_exit
from .pool import StopRequest


async def run_command(command: Command, *, stop: StopRequest, grace: float) -> Ending:
    """Run a command, and return what came of it.

    A checkpoint. It returns, or raises, when the command is gone. What it left of its process
    group is killed then; a daemon that has left the group lives on. When it is cancelled the
    command is stopped first, like by *stop*.

    The outcome is `Returned` (see `outcome_of_exit`), `Raised` if the exit code is none of the
    right ones or the command could not be started, or `Unfinished` if it was stopped; a command
    that exits with a right code when it is stopped has returned.

    Args:
      command: what to run.
      stop: set it to stop the command: SIGTERM to its group, and SIGKILL after the grace.
      grace: seconds that it has between the two.
    """
    if stop.is_set():
        await trio.lowlevel.checkpoint()
        return Ending(Unfinished(), Halt(StopHow.STOPPED, 0.0))
    began = trio.current_time()
    try:
        child = await Child.start(
            command.argv, stdin=command.stdin is not None, cwd=command.cwd, env=command.env
        )
    except (OSError, ValueError) as exc:
        return Ending(not_started(command, exc))
    out, err = captures(command)
    halt = await _attend(child, command, out, err, stop, grace)
    if child.status is None:
        return Ending(Unfinished(), halt)
    exited = Exited(
        exit_code=child.status,
        stdout=Output.of(out),
        stderr=Output.of(err),
        seconds=trio.current_time() - began,
    )
    return ending_of(command, exited, halt)


def ending_of(command: Command, exited: Exited, halt: Halt | None) -> Ending:
    """Return the ending of a command that has exited, by itself or since it was stopped."""
    outcome = outcome_of_exit(command, exited)
    if halt is None or isinstance(outcome, Returned):
        return Ending(outcome, halt)
    return Ending(Unfinished(), halt)


async def _attend(
    child: Child,
    command: Command,
    out: Captured,
    err: Captured,
    stop: StopRequest,
    grace: float,
) -> Halt | None:
    """Wait for the end of a command, or bring it about."""
    halt: Halt | None = None
    # What it writes has to be read until it is gone, also while it is being stopped.
    tending = trio.CancelScope(shield=True)

    async def tend() -> None:
        with tending:
            await child.tend(out.add, err.add)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tend)
        try:
            await _until_end_or(stop, child, command.stdin)
        finally:
            if not child.exited.is_set():
                asked = trio.current_time()
                how = await child.put_down(grace)
                halt = Halt(how, trio.current_time() - asked)
            tending.cancel(reason="it is gone, or stuck in the kernel")
    return halt


async def _until_end_or(stop: StopRequest, child: Child, stdin: bytes | None) -> None:
    async def watch() -> None:
        await stop.wait()
        nursery.cancel_scope.cancel(reason="a stop was requested")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        if stdin is not None:
            nursery.start_soon(_feed, child, stdin)
        await child.exited.wait()
        nursery.cancel_scope.cancel(reason="the command has ended")


async def _feed(child: Child, data: bytes) -> None:
    try:
        await child.stdin.send_all(data)
        await child.stdin.aclose()
    # It need not read all of it, or any.
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
