"""The reconciler: finds runs that nobody runs, and puts their jobs back.

It looks once when the runtime opens, before anything is started: a run that the store shows
then belonged to a process that is gone. After that it looks slowly, for whatever was missed.
A job that cannot be put back is reported and left; it never stops the others.
"""

from __future__ import annotations

import logging
from typing import Final, Never

import attrs
import trio

from triphase_protocol import Cause, Interrupt, Job, TriphaseError, states_where

from .actor import Actor, Mailbox
from .clock import Clock
from .directory import Directory
from .journal import step
from .lifecycle import decide
from .registry import Registry
from .store.backend import PAGE_MOST, Query, Store
from .store.committer import Writer
from .store.operations import Applied, Step

log = logging.getLogger("triphase.reconciler")

SWEEP_EVERY: Final = 10.0
"""Seconds between two looks."""


@attrs.frozen(kw_only=True)
class ReconcilerStatistics:
    """What the reconciler has done since the runtime was opened."""

    sweeps: int
    """Looks at the store, the first one included."""

    last_sweep_at: float | None
    """When the last look ended: wall-clock seconds since the Unix epoch."""

    recovered: int
    """Jobs that were put back."""

    failed: int
    """Jobs that could not be put back when they should have been."""


@attrs.define(eq=False)
class Sweeps:
    """The reconciler's counts, which outlive its restarts."""

    done: int = 0
    last_at: float | None = None
    recovered: int = 0
    failed: int = 0

    def statistics(self) -> ReconcilerStatistics:
        """Return the counts."""
        return ReconcilerStatistics(
            sweeps=self.done,
            last_sweep_at=self.last_at,
            recovered=self.recovered,
            failed=self.failed,
        )


@attrs.define(eq=False)
class Reconciler(Actor[Never]):
    """See the module's text."""

    store: Store
    writer: Writer
    registry: Registry
    directory: Directory
    clock: Clock
    owner: str
    """The runtime's id: whose runs are not lost."""

    sweeps: Sweeps
    _suspects: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    """Runs of our own that had no actor at the last look, by job."""

    async def started(self) -> None:
        """Put back what a dead owner left."""
        await self._sweep()

    async def run(self, mailbox: Mailbox[Never]) -> None:
        """Look again and again, slowly."""
        while True:
            await trio.sleep(SWEEP_EVERY)
            await self._sweep()

    async def _sweep(self) -> None:
        # A claim that is durable but not answered yet has no actor yet either.
        await self.writer.flush()
        lost: list[Job] = []
        suspects: dict[str, int] = {}
        after: str | None = None
        while True:
            page = await self.store.find(
                Query(
                    states=states_where(holds_slot=True),
                    newest_first=False,
                    after=after,
                    limit=PAGE_MOST,
                )
            )
            for job in page:
                if job.owner != self.owner:
                    lost.append(job)
                elif job.id not in self.directory:
                    # It may have been claimed a moment ago: lost only if it still is next time.
                    suspects[job.id] = job.run
                    if self._suspects.get(job.id) == job.run:
                        lost.append(job)
            if len(page) < PAGE_MOST:
                break
            after = page[-1].id
        self._suspects = suspects
        await self._put_back(lost)
        self.sweeps.done += 1
        self.sweeps.last_at = self.clock.now()

    async def _put_back(self, lost: list[Job]) -> None:
        steps: list[Step] = []
        for job in lost:
            reason = f"its owner {job.owner} is gone"
            try:
                policy = self.registry.recovery_of(job.type)
                command = Interrupt(cause=Cause.LOST, reason=reason, policy=policy)
                steps.append(step(job, decide(job, command, self.clock.now())))
            except TriphaseError as exc:
                log.warning("job %s cannot be put back: %s", job.id, exc)
                self.sweeps.failed += 1
        for begin in range(0, len(steps), PAGE_MOST):
            results = await self.writer.commit_all(steps[begin : begin + PAGE_MOST])
            # A rejected one was moved by somebody meanwhile, so it is not lost.
            self.sweeps.recovered += sum(isinstance(result, Applied) for result in results)
