"""What the reconciler has done."""

from __future__ import annotations

from typing import Final

import attrs

SWEEP_EVERY: Final = 10.0
"""Seconds between two looks at everything; also how late a clock step is noticed."""


@attrs.frozen(kw_only=True)
class ReconcilerStatistics:
    """What the reconciler has done since the runtime was opened."""

    sweeps: int
    """Looks at the store, the first one included."""

    last_sweep_at: float | None
    """When the last look ended: wall-clock seconds since the Unix epoch."""

    recovered: int
    """Runs without an owner that were put back, or ended."""

    expired: int
    """Jobs that had waited too long, and were ended."""

    stale: int
    """Jobs that were marked as stale."""

    deleted: int
    """Jobs that were deleted."""

    commands: int
    """Commands that outlived their jobs, and were stopped."""

    failed: int
    """Jobs that something should have happened to, and it could not."""


@attrs.define(eq=False)
class Sweeps:
    """The reconciler's counts, which outlive its restarts."""

    done: int = 0
    last_at: float | None = None
    recovered: int = 0
    expired: int = 0
    stale: int = 0
    deleted: int = 0
    commands: int = 0
    failed: int = 0

    def statistics(self) -> ReconcilerStatistics:
        """Return the counts."""
        return ReconcilerStatistics(
            sweeps=self.done,
            last_sweep_at=self.last_at,
            recovered=self.recovered,
            expired=self.expired,
            stale=self.stale,
            deleted=self.deleted,
            commands=self.commands,
            failed=self.failed,
        )
