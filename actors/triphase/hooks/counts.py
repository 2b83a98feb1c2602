"""What the deliverer has done."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class HooksStatistics:
    """What the deliverer of webhooks does, and has done since the runtime was opened."""

    sending: int
    """Deliveries that are being tried."""

    resting: int
    """URLs that are left alone for a while, since nothing succeeded there."""

    delivered: int
    """Tries that a receiver accepted."""

    failed: int
    """Tries that failed, and another follows."""

    dead: int
    """Deliveries that were given up."""


@attrs.define(eq=False)
class HookCounts:
    """The deliverer's counts, which outlive its restarts."""

    sending: int = 0
    resting: int = 0
    delivered: int = 0
    failed: int = 0
    dead: int = 0

    def statistics(self) -> HooksStatistics:
        """Return the counts."""
        return HooksStatistics(
            sending=self.sending,
            resting=self.resting,
            delivered=self.delivered,
            failed=self.failed,
            dead=self.dead,
        )
