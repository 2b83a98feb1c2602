"""Commands that run on although their job does not wait for them: found, and stopped."""

from __future__ import annotations

import logging
from typing import Never

import attrs
import trio

from triphase.actor import Actor, Mailbox
from triphase.processes import KeptCommand, KeptCommands
from triphase.store.backend import Store
from triphase_protocol import CorruptRecord, Job, PhaseState, StopHow

from .counts import SWEEP_EVERY, Sweeps

log = logging.getLogger("triphase.reconciler")

LEFTOVER_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL for a command that nobody waits for."""


@attrs.define(eq=False)
class Leftovers(Actor[Never]):
    """Looks through the folders of the commands that survive.

    An actor of its own beside the reconciler, since to stop a command takes a while.
    """

    store: Store
    commands: KeptCommands
    sweeps: Sweeps

    async def run(self, mailbox: Mailbox[Never]) -> None:
        """Look when the runtime has opened, and again and again."""
        while True:
            await self._look()
            await trio.sleep(SWEEP_EVERY)

    async def _look(self) -> None:
        try:
            found = await self.commands.list()
        except OSError as exc:
            log.warning("the commands cannot be listed: %s", exc)
            return
        for kept in found:
            try:
                job = await self.store.get(kept.job)
            except CorruptRecord as exc:
                # Whose it is cannot be read: better left than killed by mistake.
                log.warning("command of job %s is left alone: %s", kept.job, exc)
                continue
            if not is_waited_for(job, kept):
                await self._end(kept)

    async def _end(self, kept: KeptCommand) -> None:
        try:
            how = await self.commands.end(kept, LEFTOVER_GRACE)
        except OSError as exc:
            self.sweeps.failed += 1
            log.warning("a command of job %s cannot be stopped: %s", kept.job, exc)
            return
        if how is not StopHow.NOTHING_RAN:
            self.sweeps.commands += 1
            log.warning("a command of job %s, which nobody waits for, was stopped", kept.job)


def is_waited_for(job: Job | None, kept: KeptCommand) -> bool:
    """True if the execution is the one that its job is in, or will go on with."""
    if job is None or job.terminal or job.current != kept.phase:
        return False
    phase = job.phases[kept.phase]
    return phase.origin == kept.origin and phase.state in (
        PhaseState.RUNNING,
        PhaseState.INTERRUPTED,
    )
