"""What has become of a command that was started in a folder: what its keeper wrote there tells."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import attrs
import trio

from triphase_protocol import InvalidValue, decode, structure

from . import keeper
from .exits import Exited, Output
from .identity import Identity

T = TypeVar("T")

_FILES: Final = trio.CapacityLimiter(math.inf)


@attrs.frozen
class Attached:
    """It runs, or its keeper is about to record its end."""

    folder: Path
    identity: Identity


@attrs.frozen
class Finished:
    """It has ended, and how is known."""

    exited: Exited

    problem: str | None = None
    """Why the program could not be executed, if that is how it ended."""


@attrs.frozen
class Gone:
    """It does not run, and nobody knows how it ended."""

    why: str


@attrs.frozen(kw_only=True)
class _ExitRecord:
    exit_code: int
    problem: str | None
    seconds: float
    stdout: int
    stderr: int


Found: TypeAlias = Attached | Finished | Gone
"""What becomes of a command that was started in a folder."""


async def attach(folder: str | os.PathLike[str]) -> Found:
    """Find out what has become of a command.

    A checkpoint. If its start has not come so far that it has an identity, which takes
    milliseconds after `start` was called, it is called off by this, and never begins.

    Args:
      folder: what `start` was given.

    Raises:
      OSError: if the folder cannot be read, or written to where a start is called off.
    """
    return await in_thread(lambda: _look(folder))


async def in_thread(look: Callable[[], T]) -> T:
    """Do something with files, beside whatever else waits for a thread. A checkpoint."""
    return await trio.to_thread.run_sync(look, limiter=_FILES)


def identity_in(folder: Path) -> Identity:
    """Read the identity of the command of a folder.

    Raises:
      FileNotFoundError: if it has none.
      InvalidValue: if its start was called off.
    """
    return structure(decode((folder / keeper.IDENTITY).read_bytes()), Identity)


def _look(path: str | os.PathLike[str]) -> Found:
    folder = Path(path).absolute()
    try:
        identity = identity_in(folder)
    except FileNotFoundError:
        return _call_off(folder)
    except InvalidValue:
        return Gone("it was never started")
    # First whether anybody is left to write the record, then whether it is there: the other
    # way round it could be written between the two.
    attached = identity.keeper_lives or identity.command_lives
    finished = _finished(folder)
    if finished is not None:
        return finished
    if attached:
        return Attached(folder, identity)
    if not identity.of_this_boot:
        return Gone("the machine was restarted while it ran")
    return Gone("it was killed together with its keeper, and how it ended is not known")


def _call_off(folder: Path) -> Found:
    """Take the place of an identity that is not there, so that it never will be."""
    try:
        keeper.write_record(str(folder), keeper.IDENTITY, None, anew=True)
    except FileExistsError:
        return _look(folder)
    except FileNotFoundError:
        return Gone("it was never started")
    return Gone("it was not started in time")


def _finished(folder: Path) -> Finished | None:
    try:
        record = structure(decode((folder / keeper.EXIT).read_bytes()), _ExitRecord)
    # A record that makes no sense says nothing.
    except (FileNotFoundError, InvalidValue):
        return None
    exited = Exited(
        exit_code=record.exit_code,
        stdout=_output(folder, "stdout", record.stdout),
        stderr=_output(folder, "stderr", record.stderr),
        seconds=record.seconds,
    )
    return Finished(exited, record.problem)


def _output(folder: Path, name: str, total: int) -> Output:
    def number(path: Path) -> int:
        return int(path.suffix.removeprefix(".tail-"))

    head = _bytes(folder / f"{name}.head")
    segments = sorted(folder.glob(f"{name}.tail-*"), key=number)
    return Output(head, b"".join(map(_bytes, segments)), total)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
