"""A handle: one job of a runtime, with the runtime's verbs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import attrs

from triphase_protocol import Blocker, Event, Gate, Job, Outcome


class Verbs(Protocol):
    """What a handle needs: a runtime, or a client of one."""

    async def get(self, id: str) -> Job:
        """See `Runtime.get`."""
        ...

    async def explain(self, id: str) -> tuple[Blocker, ...]:
        """See `Runtime.explain`."""
        ...

    async def cancel(self, id: str, *, reason: str | None = None, by: str | None = None) -> Job:
        """See `Runtime.cancel`."""
        ...

    async def approve(
        self,
        id: str,
        *,
        phase: str | None = None,
        asked_in: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Gate:
        """See `Runtime.approve`."""
        ...

    async def reject(
        self,
        id: str,
        *,
        phase: str | None = None,
        asked_in: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Gate:
        """See `Runtime.reject`."""
        ...

    async def retry(self, id: str, *, from_phase: str | None = None, by: str | None = None) -> Job:
        """See `Runtime.retry`."""
        ...

    async def wait(self, id: str, timeout: float | None = None) -> Outcome:
        """See `Runtime.wait`."""
        ...

    def events_of(self, id: str, *, after: int = 0) -> AsyncIterator[Event]:
        """See `Runtime.events_of`."""
        ...


@attrs.frozen
class JobHandle:
    """One job of a runtime: the verbs of the runtime, or of the client, without the id."""

    id: str
    """The job's id."""

    _runtime: Verbs = attrs.field(repr=False, eq=False)

    created: bool = attrs.field(default=False, kw_only=True, repr=False, eq=False)
    """The `submit` that returned this handle made the job. False if its key had one already, and
    of a handle that comes from anywhere else."""

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

    def events(self, *, after: int = 0) -> AsyncIterator[Event]:
        """Return the job's events, from its first one on; ends when the job has ended.

        Args:
          after: begin after the event of this `seq`.
        """
        return self._runtime.events_of(self.id, after=after)
