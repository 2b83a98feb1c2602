"""A gate: a wait for somebody's approval, and the decision."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Gate:
    """What must be approved before a phase starts; the first phase's is that of the whole job.

    It is decided once. A phase whose gate is not approved is never started, whatever led to it.
    """

    timeout: float | None = None
    """Seconds from the first asking to a rejection; None waits for ever."""

    asked_at: float | None = None
    """When it was first asked for; None before the job has come to it."""

    asked_in: int = 0
    """The run in which that was."""

    decided_at: float | None = None
    """When it was decided; None until then."""

    approved: bool | None = None
    """The decision; None until then."""

    by: str | None = None
    """Who decided, in their own words; None for a timeout."""

    reason: str | None = None
    """Why, in somebody's words."""

    @property
    def open(self) -> bool:
        """True once it has been approved."""
        return self.approved is True

    @property
    def deadline(self) -> float | None:
        """When it is rejected if nobody has decided; None if it has not been asked for."""
        if self.asked_at is None or self.timeout is None:
            return None
        return self.asked_at + self.timeout
