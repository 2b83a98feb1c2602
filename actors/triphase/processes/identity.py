"""Who a process is, so that it is found again after a restart, and never taken for another.

A number alone is not enough: it is given to another process when its own has ended. With the
start of the process and the boot of the machine it names one process for ever.
"""

from __future__ import annotations

import os

import attrs
import trio

from .keeper import boot_id, started

SLOW_LOOK = 1.0
"""Seconds between two looks at a process where the system cannot tell of its end."""


@attrs.frozen(kw_only=True)
class ProcessId:
    """One process of one boot."""

    pid: int

    started: int
    """When it was started, in ticks since the boot."""


@attrs.frozen(kw_only=True)
class Identity:
    """A command that outlives the runtime, and its keeper."""

    boot: str
    """The boot of the machine, as the kernel names it."""

    group: int
    """The process group of the command."""

    command: ProcessId
    keeper: ProcessId

    @property
    def of_this_boot(self) -> bool:
        """False if the machine was restarted since: then both are gone."""
        try:
            return self.boot == boot_id()
        except OSError:
            return False

    @property
    def keeper_lives(self) -> bool:
        """True while an exit record may still come."""
        return self.of_this_boot and lives(self.keeper)

    @property
    def command_lives(self) -> bool:
        """True while the command runs."""
        return self.of_this_boot and lives(self.command)


def lives(process: ProcessId) -> bool:
    """Is it there, itself, and not a zombie? Of the current boot, that is."""
    found = started(process.pid)
    return found is not None and found[0] not in "ZX" and found[1] == process.started


async def wait_end(process: ProcessId) -> None:
    """Return when a process of this boot has ended, which need not be a child of ours.

    A checkpoint. When it is cancelled the process is left as it is.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        await trio.lowlevel.checkpoint()
        return
    # Not Linux, an old kernel, or a sandbox.
    except (AttributeError, OSError):
        while lives(process):  # noqa: ASYNC110 - there is nothing to wait for
            await trio.sleep(SLOW_LOOK)
        return
    try:
        # The descriptor stands for whoever had the number when it was opened.
        if lives(process):
            await trio.lowlevel.wait_readable(descriptor)
        else:
            await trio.lowlevel.checkpoint()
    finally:
        os.close(descriptor)
