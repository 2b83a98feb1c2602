"""A handle: one job of a runtime, with the runtime's verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from triphase_protocol import Gate, Job, Outcome

from .admission import Blocker
from .feed import EventStream

if TYPE_CHECKING:
    from .runtime import Runtime


@attrs.frozen
class JobHandle:
    """One job of a runtime: the runtime's verbs without the id."""

    id: str
    """The job's id."""

    _runtime: Runtime = attrs.field(repr=False, eq=False)

    async def get(self) -> Job:
        """Return the job's record; see `Runtime.get`."""
        return await self._runtime.get(self.id)

    async def explain(self) -> tuple[Blocker, ...]:
        """Return what stands in the way of the job's start; see `Runtime.explain`."""
        return await self._runtime.explain(self.id)

    async def cancel(self, *, reason: str | None = None, by: str | None = None) -> Job:
        """Cancel the job; see `Runtime.cancel`."""
        return await self._runtime.cancel(self.id, reason=reason, by=by)

    async def approve(
        self,
        *,
        phase: str | None = None,
        asked_in: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Gate:
        """Approve the job; see `Runtime.approve`."""
        return await self._runtime.approve(
            self.id, phase=phase, asked_in=asked_in, by=by, reason=reason
        )

    async def reject(
        self,
        *,
        phase: str | None = None,
        asked_in: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Gate:
        """Reject the job; see `Runtime.reject`."""
        return await self._runtime.reject(
            self.id, phase=phase, asked_in=asked_in, by=by, reason=reason
        )

    async def retry(self, *, from_phase: str | None = None, by: str | None = None) -> Job:
        """Start the job over; see `Runtime.retry`."""
        return await self._runtime.retry(self.id, from_phase=from_phase, by=by)

    async def wait(self, timeout: float | None = None) -> Outcome:
        """Wait until the job has ended, and return how; see `Runtime.wait`."""
        return await self._runtime.wait(self.id, timeout)

    def events(self, *, after: int = 0) -> EventStream:
        """Return the job's events, from its first one on; ends when the job has ended.

        Args:
          after: begin after the event of this `seq`.
        """
        return self._runtime.events_of(self.id, after=after)
