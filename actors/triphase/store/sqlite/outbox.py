"""Reading the outbox, within a transaction of the reader's."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from triphase_protocol import CorruptRecord, Hook, HookState

from .loading import Loader
from .rows import HOOK_COLUMNS, LISTED_HOOK_COLUMNS, Row, hook_of, json_text
from .statements import sql

_HOOK_BY_ID: Final = sql("hook_by_id", hook_columns=HOOK_COLUMNS)
_HOOKS: Final = sql("hooks", hook_columns=LISTED_HOOK_COLUMNS, index="hooks_place", chosen="")
_HOOKS_IN_STATE: Final = sql(
    "hooks", hook_columns=LISTED_HOOK_COLUMNS, index="hooks_state", chosen="AND state = :state"
)
_HOOKS_OF_JOB: Final = sql(
    "hooks",
    hook_columns=LISTED_HOOK_COLUMNS,
    index="hooks_job",
    chosen="""AND job = :job
        AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))""",
)
_HOOKS_BY_N: Final = sql("hooks_by_n", hook_columns=HOOK_COLUMNS)
_LINES: Final = sql("lines")
_DUE_HOOKS: Final = sql("due_hooks")
_DISABLED_WEBHOOKS: Final = sql("disabled_webhooks")

LINES_MOST: Final = 100
"""Up to how many pairs of a job and a URL the first pending delivery of each is looked at.

That takes the same time however many stand behind it. If there are more pairs, the deliveries are
gone through in the order of their times until there are enough.
"""

START: Final = (0, "")
"""The place before the first delivery."""


class Outbox:
    """Reads deliveries; the methods are those of `Store`."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def hook(self, id: str) -> Hook | None:
        """See `Store.hook`."""
        rows = self._loader.rows(_HOOK_BY_ID, (id,))
        return hook_of(rows[0]) if rows else None

    def hooks(
        self,
        job: str | None,
        states: Sequence[HookState],
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[Hook]:
        """See `Store.hooks`."""
        seq, id = after or START
        place = {"seq": seq, "id": id}
        if job is not None:
            listed = json_text(list(states)) if states else None
            return self._page(_HOOKS_OF_JOB, limit, **place, job=job, states=listed)
        if not states:
            return self._page(_HOOKS, limit, **place)
        pages = [
            self._page(_HOOKS_IN_STATE, limit, **place, state=state)
            for state in dict.fromkeys(states)
        ]
        return list(heapq.merge(*pages, key=attrgetter("place")))[:limit]

    def due(
        self, now: float, limit: int, taken: Collection[str], resting: Collection[str]
    ) -> list[Hook]:
        """See `Store.due_hooks`."""
        while True:
            found = self._first(now, limit, taken, resting)
            places = {n: place for place, (_, n) in enumerate(found)}
            rows = self._loader.rows(_HOOKS_BY_N, (json_text(list(places)),))
            hooks = self._read(sorted(rows, key=lambda row: places[row[0]]))
            # A corrupt row is the first of its job and URL until it is found: what stands behind it
            # is seen the next time.
            if len(hooks) == len(rows):
                return hooks

    def next(self, taken: Collection[str], resting: Collection[str]) -> float | None:
        """See `Store.next_hook`."""
        found = self._first(math.inf, 1, taken, resting)
        return found[0][0] if found else None

    def disabled(self, urls: Collection[str]) -> Mapping[str, float]:
        """See `Store.disabled`."""
        return dict(self._loader.rows(_DISABLED_WEBHOOKS, (json_text(list(urls)),)))

    def _first(
        self, now: float, limit: int, taken: Collection[str], resting: Collection[str]
    ) -> list[tuple[float, int]]:
        """Return the `due_at` and the n of deliveries that may be tried, in their order."""
        parameters: dict[str, Any] = {"corrupt": json_text(self._loader.corrupt.of("hooks"))}
        lines = self._loader.rows(_LINES, {**parameters, "limit": LINES_MOST + 1})
        if len(lines) > LINES_MOST:
            parameters |= {"now": now, "limit": limit}
            parameters |= {"taken": json_text(list(taken)), "resting": json_text(list(resting))}
            return [(float(due_at), n) for due_at, n in self._loader.rows(_DUE_HOOKS, parameters)]
        waiting = [
            (float(due_at), seq, id, n)
            for n, due_at, seq, id, url in lines
            if due_at is not None and due_at <= now and id not in taken and url not in resting
        ]
        return [(due_at, n) for due_at, _, _, n in sorted(waiting)[:limit]]

    def _page(self, statement: str, limit: int, **parameters: Any) -> list[Hook]:
        return self._loader.sound(
            lambda most: self._loader.rows(statement, {**parameters, "limit": most}),
            limit,
            self._read,
        )

    def _read(self, rows: Sequence[Row]) -> list[Hook]:
        hooks: list[Hook] = []
        for row in rows:
            try:
                hooks.append(hook_of(row))
            except CorruptRecord as exc:
                self._loader.corrupt.note("hooks", row[0], exc)
        return hooks
