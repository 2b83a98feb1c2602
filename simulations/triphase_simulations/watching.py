"""Watching the outbox: what each transaction of a run has changed in it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from triphase.store import Disk, Operation, Redeliver
from triphase_protocol import Hook

from .history import Move
from .world import World


@attrs.define(eq=False)
class OutboxWatch:
    """See the module's text."""

    world: World
    disk: Disk
    _rows: dict[str, Hook] = attrs.field(factory=dict[str, Hook], init=False)
    _disabled: frozenset[str] = attrs.field(default=frozenset(), init=False)

    def committed(self, operations: Sequence[Operation], last: int) -> None:
        """Write down what a transaction has changed. Never waits.

        Args:
          operations: what was written.
          last: the `seq` of the last event before it.
        """
        history, time = self.world.history, round(self.world.now(), 6)
        asked = {each.hook for each in operations if isinstance(each, Redeliver)}
        before, self._rows = self._rows, {hook.id: hook for hook in self.disk.hooks()}
        for id in sorted({*before, *self._rows}):
            row = self._rows.get(id)
            if before.get(id) != row or (id in asked and row is not None):
                late = id not in before and row is not None and row.seq <= last
                move = Move(
                    time=time,
                    place=len(history.posts),
                    id=id,
                    hook=row,
                    late=late,
                    asked=id in asked,
                )
                history.moves.append(move)
        disabled = frozenset(self.disk.disabled())
        if disabled != self._disabled:
            self._disabled = disabled
            history.gone.append((time, len(history.posts), tuple(sorted(disabled))))
