"""Watching the outbox: what each transaction of a run has asked for again, and removed."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from triphase.store import Disk, Operation, Redeliver
from triphase_protocol import Hook

from .world import World


@attrs.define(eq=False)
class OutboxWatch:
    """See the module's text."""

    world: World
    disk: Disk
    _rows: dict[str, Hook] = attrs.field(factory=dict[str, Hook], init=False)

    def committed(self, operations: Sequence[Operation]) -> None:
        """Write down what a transaction has asked for and removed. Never waits.

        Args:
          operations: what was written.
        """
        history, time = self.world.history, round(self.world.now(), 6)
        before, self._rows = self._rows, {hook.id: hook for hook in self.disk.hooks()}
        asked = dict.fromkeys(each.hook for each in operations if isinstance(each, Redeliver))
        # A row that was never there was asked for in vain.
        history.redelivered += [(time, id) for id in asked if id in before or id in self._rows]
        history.dropped_hooks += [hook for id, hook in before.items() if id not in self._rows]
