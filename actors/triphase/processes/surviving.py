"""Commands that may outlive the runtime: started, found again, waited for, and stopped.

    begun = await begin(folder, command, stop)
    ending = await attend(begun, command, stop, grace=10)

Each has a folder of its own, and a small process beside it, its keeper (see `keeper`), that
takes what it writes and records its end. A later runtime that is given the folder attaches to
the command, or learns how it ended. What decides is the recorded identity, never a number
alone, and the exit record.

A service manager that ends every process of the service ends these too.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import trio

from triphase.endings import Ending, Halt, Lost, Unfinished
from triphase.external import Command
from triphase_protocol import ErrorRecord, InvalidValue, StopHow
from triphase_protocol.values import encode

from . import keeper
from .commands import ending_of
from .exits import not_started
from .found import Attached, Finished, Found, Gone, attach, identity_in, in_thread
from .identity import Identity, wait_end
from .pool import StopRequest
from .stopping import KILL_WAIT, Step, escalation, put_down, shielded

START_WAIT: Final = 30.0
"""Seconds that a keeper has to write down who it is."""


class NotStarted(Exception):
    """The command was not started, and will not be. Told to users as its phase's error."""


async def start(folder: str | os.PathLike[str], command: Command) -> Identity:
    """Start a command that goes on when we end, and return once its identity is durable.

    A checkpoint. When it is cancelled nothing was started; once a process is, a cancel waits
    for the some ten milliseconds that the rest takes. When we are killed in the middle of it,
    `attach` tells whether the command has begun.

    Args:
      folder: its own; must not exist yet.
      command: what to run.

    Raises:
      NotStarted: if there is such a folder, or the command's identity cannot be recorded. A
        program that does not exist is no such error: that is how the command ends.
      OSError: if the identity cannot be read again; the command may have begun.
    """
    if not sys.platform.startswith("linux"):
        raise NotStarted("a command that survives the runtime needs Linux")
    try:
        spec = _spec(command)
        place = await in_thread(lambda: _make_folder(folder))
        try:
            process = await _open_keeper(place)
        except BaseException:
            os.rmdir(place)
            raise
    except (OSError, InvalidValue) as exc:
        raise NotStarted(str(exc)) from exc
    return await shielded(lambda: _identity_from(process, place, spec))


async def wait(attached: Attached) -> Finished | Gone:
    """Wait for the end of a command.

    A checkpoint. When it is cancelled the command goes on.
    """
    while True:
        identity = attached.identity
        # The keeper ends when the record is there. If it was killed the command is alone.
        for process in (identity.keeper, identity.command):
            if identity.of_this_boot:
                await wait_end(process)
        found = await attach(attached.folder)
        if not isinstance(found, Attached):
            return found


async def stop(identity: Identity, grace: float) -> Halt:
    """Stop a command: SIGTERM to its group, and SIGKILL after *grace* seconds.

    Nothing is sent to a process that is not the one that was recorded. Shielded, and bounded
    by the grace and twice `KILL_WAIT`. It returns when the command is gone and its end is
    recorded, if there is a keeper to do so.
    """
    gone = trio.Event()
    began, how = trio.current_time(), StopHow.STOPPED
    if not identity.command_lives:
        gone.set()

    async def watch() -> None:
        await wait_end(identity.command)
        gone.set()

    def send(step: Step) -> None:
        if identity.command_lives:
            try:
                os.killpg(identity.group, step.signal)
            # It ended this moment, or it runs as another user now.
            except (ProcessLookupError, PermissionError):
                return

    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            if not gone.is_set():
                nursery.start_soon(watch)
            how = await put_down(gone, send, escalation(grace))
            nursery.cancel_scope.cancel(reason="it is gone, or stuck in the kernel")
        if how is not StopHow.ABANDONED and identity.keeper_lives:
            with trio.move_on_after(KILL_WAIT):
                await wait_end(identity.keeper)
    return Halt(how, trio.current_time() - began)


async def begin(
    folder: str | os.PathLike[str], command: Command, stop: StopRequest
) -> Found | Ending:
    """Start a command, or find out what has become of it if it was started before.

    A checkpoint, like `start` and `attach`. Nobody else may `attach` to the folder meanwhile,
    which would call the start off.

    Args:
      folder: the command's own. If it exists, nothing is ever started in it again.
      command: what to run; the same, when it was started before.
      stop: set, it has nothing started.

    Returns:
      What there is to attend to; its ending, if nothing was started.

    Raises:
      OSError: if the folder cannot be read; the command is left as it is.
    """
    if not await in_thread(lambda: os.path.exists(folder)):
        if stop.is_set():
            return Ending(Unfinished(), Halt(StopHow.STOPPED, 0.0))
        try:
            await start(folder, command)
        except NotStarted as exc:
            return Ending(not_started(command, exc))
    return await attach(folder)


async def attend(
    begun: Found | Ending, command: Command, stop: StopRequest, grace: float
) -> Ending:
    """Wait for the end of a command, or bring it about once *stop* is set.

    A checkpoint, unless the end is known. When it is cancelled the command goes on, and can be
    attended to again; if it is being stopped already, the cancel waits for that. The outcome is
    that of `run_command`, or `Lost` if the command is gone without a record; the folder stays.

    Args:
      begun: what `begin` returned.
      command: what it was given.
      stop: set it to stop the command, which nothing else does.
      grace: seconds between SIGTERM and SIGKILL.

    Raises:
      OSError: if the folder cannot be read; the command is left as it is.
    """
    if isinstance(begun, Ending):
        return begun
    found, halt = begun, None
    if isinstance(found, Attached):
        found, halt = await _wait_or_stop(found, stop, grace)
    match found:
        case Finished(problem=str() as problem):
            return Ending(not_started(command, problem), halt)
        case Finished(exited=exited):
            return ending_of(command, exited, halt)
        case Gone(why) if halt is None:
            message = f"{command.argv[0]}: {why}"
            return Ending(Lost(ErrorRecord(type="CommandLost", message=message)))
        case _:
            return Ending(Unfinished(), halt)


async def _wait_or_stop(
    attached: Attached, stop_request: StopRequest, grace: float
) -> tuple[Found, Halt | None]:
    found: Found = attached
    problem: OSError | None = None

    async def follow() -> None:
        nonlocal found, problem
        try:
            found = await wait(attached)
        except OSError as exc:
            problem = exc
        nursery.cancel_scope.cancel(reason="it has ended")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await stop_request.wait()
        nursery.cancel_scope.cancel(reason="a stop was requested")
    # Here, since the nursery would wrap it in a group.
    if problem is not None:
        raise problem
    if not isinstance(found, Attached):
        return found, None
    halt = await stop(attached.identity, grace)
    return await attach(attached.folder), halt


async def _open_keeper(folder: Path) -> trio.Process:
    return await trio.lowlevel.open_process(
        # Neither the environment nor the current folder decide what it imports.
        [sys.executable, "-I", "-S", keeper.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


async def _identity_from(process: trio.Process, folder: Path, spec: bytes) -> Identity:
    """Give a keeper its command, and return the identity that comes of it."""
    said = (await _introduce(process, spec)).strip()
    # What it said is not what decides: it may have died between the identity and its word. One
    # that has said anything else, or nothing, is gone, and writes no identity any more.
    try:
        return identity_in(folder)
    except (FileNotFoundError, InvalidValue):
        raise NotStarted(said or "its keeper died") from None


async def _introduce(process: trio.Process, spec: bytes) -> str:
    """Give a keeper its command, and return what it says: `ok`, or what went wrong."""
    said = b""
    assert process.stdin is not None
    assert process.stdout is not None
    async with process.stdin, process.stdout:
        with trio.move_on_after(START_WAIT) as patience:
            try:
                await process.stdin.send_all(spec)
            except trio.BrokenResourceError:
                said = b"its keeper did not listen\n"
            await process.stdin.aclose()
            async for data in process.stdout:
                said += data
        if patience.cancelled_caught:
            # The keeper is in the group of the process that we started. While the command
            # waits for its word, it is as well, or ends by itself.
            os.killpg(process.pid, signal.SIGKILL)
            said = b"its keeper did not answer\n"
    await process.wait()
    return said.decode("utf-8", "replace")


def _spec(command: Command) -> bytes:
    return encode(
        {
            "argv": command.argv,
            "cwd": command.cwd,
            "env": command.env,
            "stdin": base64.b64encode(command.stdin or b"").decode("ascii"),
            "output_bytes_max": command.output_bytes_max,
        }
    )


def _make_folder(folder: str | os.PathLike[str]) -> Path:
    place = Path(folder).absolute()
    new = [each for each in (place, *place.parents) if not each.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700)
    # A power cut must not take away the folder of a command that had begun.
    for each in new:
        keeper.sync_folder(str(each.parent))
    return place
