"""The surviving commands of one store: each has a folder, whose name says whose it is.

    ending = await commands.run(owner, command, stop=trio.Event(), grace=10)
    ...  # store what came of it, durably
    await commands.discard(owner)

What is known of a command stands in its folder (see `surviving`), and nothing of it in memory:
this process may end at any moment, and another goes on with what it finds.

Killed while a command is started, we leave a folder. The next look at it, by whichever method,
tells whether the command has begun, or calls the start off for good. Killed while one is
stopped, we leave it running or not, and its folder; `end` goes on from there. A folder is
removed by giving it another name first: it is there as a whole or not at all, and what is left
under the other name goes when the commands are next listed.

A cancel of `run` leaves the command alone, unless it is being stopped already; one of `end`
waits until that is done. What is done with one owner is done in turn, so `end` and `lives` meet
no half of a start, and `run` no half of an `end`. Only the wait of a `run` for the end of its
command keeps nobody waiting. An `end` that comes meanwhile takes the command away from it: its
outcome is then `Raised` or `Lost`. Whoever has a `run` stops it by its *stop*.
"""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes
from weakref import WeakValueDictionary

import attrs
import trio

from triphase.endings import Ending
from triphase.external import Command
from triphase_protocol import StopHow

from .commands import run_command
from .found import Attached, attach, in_thread
from .pool import StopRequest
from .stopping import shielded
from .surviving import attend, begin, stop as stop_command

log = logging.getLogger("triphase.process")

_NAME: Final = re.compile(r"([0-9a-z%]*)\.([0-9]+)\.([0-9]+)")
_PLAIN: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")
_REMOVED: Final = ".removed-"


@attrs.frozen
class KeptCommand:
    """One execution of a command that survives the runtime: whose it is."""

    job: str
    """The id of the job."""

    phase: int
    """Which of its phases."""

    origin: int
    """The run in which the execution began; one that is resumed keeps it."""


class KeptCommands:
    """See the module's text.

    Args:
      folder: where their folders go, made when it is needed; None if the store has no place for
        files. Then a command is stopped with us, and there is none to be found.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder).absolute()
        self._turns: WeakValueDictionary[KeptCommand, trio.Lock] = WeakValueDictionary()

    async def run(
        self, owner: KeptCommand, command: Command, *, stop: StopRequest, grace: float
    ) -> Ending:
        """Start a command, or attach to it if it was started before, and return what came of it.

        A checkpoint. When it is cancelled the command goes on, and another `run` attaches to it;
        without a place for files it is stopped first. Only *stop* stops it otherwise. The outcome
        is that of `run_command`, or `Lost` if the command is gone without a record.

        The end can be asked for again, until it is discarded.

        Args:
          owner: whose it is.
          command: what to run; the same, when it was started before.
          stop: set it to stop the command; if nothing was started, nothing is.
          grace: seconds between SIGTERM and SIGKILL.

        Raises:
          OSError: if its folder cannot be read; the command is left as it is.
        """
        folder = self._folder_of(owner)
        if folder is None:
            return await run_command(command, stop=stop, grace=grace)
        async with self._turn(owner):
            begun = await begin(folder, command, stop)
        return await attend(begun, command, stop, grace)

    async def lives(self, owner: KeptCommand) -> bool:
        """Return whether a command runs, or its end is about to be recorded.

        A checkpoint. If its start was cut short it never begins, once this has said no.

        Raises:
          OSError: if its folder cannot be read.
        """
        folder = self._folder_of(owner)
        if folder is None:
            await trio.lowlevel.checkpoint()
            return False
        async with self._turn(owner):
            return isinstance(await attach(folder), Attached)

    async def end(self, owner: KeptCommand, grace: float) -> StopHow:
        """Stop a command if it lives, and forget it; for one that no `run` of ours waits for.

        A checkpoint. A cancel waits for it. It takes no longer than the grace and twice
        `KILL_WAIT`, beside a start that is under way. It may be called again at any time.

        Args:
          owner: whose it is.
          grace: seconds between SIGTERM and SIGKILL.

        Returns:
          What it took; `NOTHING_RAN` if it did not live. It is not forgotten if `ABANDONED`.

        Raises:
          OSError: if its folder cannot be read; the command is left as it is.
        """
        folder = self._folder_of(owner)
        if folder is None:
            await trio.lowlevel.checkpoint()
            return StopHow.NOTHING_RAN
        return await shielded(lambda: self._end(owner, folder, grace))

    async def discard(self, owner: KeptCommand) -> None:
        """Forget a command that has ended, once nobody will ask for what came of it.

        A checkpoint. When it is cancelled the command was forgotten or it was not. One that
        lives is left to `end`.
        """
        folder = self._folder_of(owner)
        if folder is None:
            await trio.lowlevel.checkpoint()
            return
        async with self._turn(owner):
            try:
                found = await attach(folder)
            # It is listed as long as it is there.
            except OSError as exc:
                log.warning("command of job %s is not discarded: %s", owner.job, exc)
                return
            if isinstance(found, Attached):
                log.warning("command of job %s is not discarded: it runs", owner.job)
            else:
                await in_thread(lambda: _remove(folder))

    async def list(self) -> builtins.list[KeptCommand]:
        """Return the commands that have a folder, whether they live or not.

        A checkpoint. What others have put there is left alone.

        Raises:
          OSError: if there is such a folder, and it cannot be read.
        """
        folder = self._folder
        if folder is None:
            await trio.lowlevel.checkpoint()
            return []
        return await in_thread(lambda: _listed(folder))

    async def _end(self, owner: KeptCommand, folder: Path, grace: float) -> StopHow:
        how = StopHow.NOTHING_RAN
        async with self._turn(owner):
            found = await attach(folder)
            if isinstance(found, Attached):
                how = (await stop_command(found.identity, grace)).how
            # One that is stuck in the kernel may come back, and must then be found.
            if how is not StopHow.ABANDONED:
                await in_thread(lambda: _remove(folder))
        return how

    def _turn(self, owner: KeptCommand) -> trio.Lock:
        return self._turns.setdefault(owner, trio.Lock())

    def _folder_of(self, owner: KeptCommand) -> Path | None:
        return None if self._folder is None else self._folder / _name_of(owner)


def _name_of(owner: KeptCommand) -> str:
    # No capitals either: there are file systems that take them for small letters.
    job = "".join(
        chr(byte) if byte in _PLAIN else f"%{byte:02x}"
        for byte in owner.job.encode("utf-8", "surrogatepass")
    )
    return f"{job}.{owner.phase}.{owner.origin}"


def _owner_in(name: str) -> KeptCommand | None:
    """Return whose folder it is, by its name; None if it is none of ours."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    try:
        job = unquote_to_bytes(parts[1]).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    owner = KeptCommand(job, int(parts[2]), int(parts[3]))
    # There may be other ways to write it.
    return owner if _name_of(owner) == name else None


def _listed(folder: Path) -> list[KeptCommand]:
    owners: list[KeptCommand] = []
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return owners
    for name in sorted(names):
        owner = _owner_in(name)
        if owner is not None:
            owners.append(owner)
        elif _owner_in(name.removeprefix(_REMOVED)) is not None:
            shutil.rmtree(folder / name, ignore_errors=True)
    return owners


def _remove(folder: Path) -> None:
    """Make a folder disappear as a whole; what is left of an earlier one gives way."""
    removed = folder.with_name(f"{_REMOVED}{folder.name}")
    shutil.rmtree(removed, ignore_errors=True)
    # It is listed as long as it is there.
    with contextlib.suppress(OSError):
        os.rename(folder, removed)
    shutil.rmtree(removed, ignore_errors=True)
