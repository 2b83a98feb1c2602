"""Many jobs, each moved by the same kind of command, in few transactions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

import attrs

from triphase.clock import Clock
from triphase.journal import step
from triphase.lifecycle import Decision, decide
from triphase.store.committer import Writer
from triphase.store.operations import Applied, JobOperation
from triphase_protocol import Command, Job, TriphaseError

log = logging.getLogger("triphase.reconciler")

BATCH: Final = 200
"""The most jobs in one transaction, so that nobody waits long behind it."""


@attrs.frozen(eq=False)
class Batches:
    """Decides about jobs and writes what was decided."""

    writer: Writer
    clock: Clock

    async def move(
        self,
        jobs: Iterable[Job],
        command: Callable[[Job], Command],
        operation: Callable[[Job, Decision], JobOperation] = step,
    ) -> tuple[int, int]:
        """Move jobs; return how many were moved, and how many could not be decided about.

        A checkpoint. One that cannot be decided about is reported and passed over; one that
        somebody else has moved meanwhile is left alone.
        """
        operations: list[JobOperation] = []
        failed = moved = 0
        for job in jobs:
            try:
                decision = decide(job, command(job), self.clock.now())
                operations.append(operation(job, decision))
            except TriphaseError as exc:
                log.warning("job %s cannot be moved: %s", job.id, exc)
                failed += 1
        for begin in range(0, len(operations), BATCH):
            results = await self.writer.commit_all(operations[begin : begin + BATCH])
            moved += sum(isinstance(result, Applied) for result in results)
        return moved, failed
