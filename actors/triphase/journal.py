"""Decide, then commit, as one call: the way every actor moves a job."""

from __future__ import annotations

import attrs

from triphase_protocol import Command, Job

from .clock import Clock
from .lifecycle import Decision, Effect, decide
from .store.committer import Writer
from .store.operations import Applied, Claim, JobResult, Limits, Rejected, Step


@attrs.frozen(eq=False)
class Moved:
    """The job was moved, durably."""

    job: Job
    """Its record now."""

    effects: tuple[Effect, ...]
    """What to do now."""


def step(before: Job, decision: Decision) -> Step:
    """Return the write that carries a decision out, guarded by what it was decided on."""
    return Step(
        job=decision.job,
        run=before.run,
        version=before.version,
        events=decision.events,
        changed=decision.changed,
        phases=None if len(decision.job.phases) == len(before.phases) else len(decision.job.phases),
    )


def claim(before: Job, decision: Decision, limits: Limits) -> Claim:
    """Return the write that carries out a decision which takes a slot."""
    return Claim(step=step(before, decision), limits=limits)


@attrs.frozen(eq=False)
class Journal:
    """Where decisions become durable."""

    writer: Writer
    clock: Clock

    async def move(self, job: Job, command: Command) -> Moved | Rejected:
        """Decide about a job and commit the decision.

        A checkpoint. Cancelled before its transaction has begun, nothing was written;
        cancelled later, it waits for the outcome all the same.

        Raises:
          IllegalTransition: if it cannot be done; nothing was written.
          StoreUnavailable: nothing was written.
        """
        decision = decide(job, command, self.clock.now())
        return moved(await self.writer.commit(step(job, decision)), decision)


def moved(result: JobResult, decision: Decision) -> Moved | Rejected:
    """Return what a result means for the decision that was written."""
    if isinstance(result, Applied):
        return Moved(result.job, decision.effects)
    return result
