"""Retention: jobs that ended a while ago are marked as stale, and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import attrs

from triphase.lifecycle import Decision
from triphase.store.backend import Store
from triphase.store.operations import Delete as DeleteOperation, Prune
from triphase_protocol import (
    DefinitionError,
    Delete,
    Job,
    JobState,
    MarkStale,
    Retention,
    states_where,
)

from .batches import BATCH, Batches
from .counts import Sweeps

TOMBSTONES_KEPT: Final = 30 * 86_400.0
"""Seconds for which the store remembers that there was a job which is deleted."""

PAGES_MOST: Final = 50
"""The most batches of one kind in one look, so that other work is not put off for long."""

Keeping: TypeAlias = Mapping[JobState, Retention]
"""For how long jobs are kept, by the state in which they ended."""


def keeping(given: Retention | Mapping[JobState | str, Retention] | None) -> Keeping:
    """Return what `retention=` means: one policy for all that have ended, or one for each state.

    Raises:
      DefinitionError: if a state is not one in which a job can end, or a policy is none.
    """
    ended = states_where(terminal=True)
    if given is None:
        return {}
    if isinstance(given, Retention):
        return dict.fromkeys(ended, given)
    known = ", ".join(state.value for state in ended)
    policies: dict[JobState, Retention] = {}
    for state, policy in given.items():
        if state not in ended:
            raise DefinitionError(f"retention: {state!r} is no state that a job ends in: {known}")
        if not isinstance(policy, Retention):
            raise DefinitionError(f"retention[{state!r}] is {policy!r}, not a triphase.Retention")
        policies[JobState(state)] = policy
    return policies


@attrs.define(eq=False)
class RetentionPass:
    """One look at the jobs that have ended."""

    store: Store
    batches: Batches
    keeping: Keeping
    sweeps: Sweeps
    _pruned_at: float | None = None

    async def run(self, now: float) -> None:
        """Mark and delete what is old enough now. A checkpoint."""
        for state, policy in self.keeping.items():
            if policy.delete_after is not None:
                await self._delete(state, now - policy.delete_after)
            if policy.stale_after is not None:
                await self._mark(state, now - policy.stale_after)
        # Once an hour is often enough for what is kept for weeks.
        if not self.keeping:
            return
        if self._pruned_at is None or abs(now - self._pruned_at) > 3600:
            await self.batches.writer.commit(Prune(before=now - TOMBSTONES_KEPT))
            self._pruned_at = now

    async def _delete(self, state: JobState, before: float) -> None:
        for _ in range(PAGES_MOST):
            page = await self.store.ended(state, before, BATCH)
            done, failed = await self.batches.move(page, lambda _: Delete(), _deletion)
            self.sweeps.deleted += done
            self.sweeps.failed += failed
            if len(page) < BATCH or not done:
                return

    async def _mark(self, state: JobState, before: float) -> None:
        for _ in range(PAGES_MOST):
            page = await self.store.ended(state, before, BATCH, fresh=True)
            done, failed = await self.batches.move(page, lambda _: MarkStale())
            self.sweeps.stale += done
            self.sweeps.failed += failed
            if len(page) < BATCH or not done:
                return


def _deletion(job: Job, decision: Decision) -> DeleteOperation:
    return DeleteOperation(
        job=job.id, run=job.run, version=job.version, events=decision.events, record=job
    )
