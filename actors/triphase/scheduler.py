"""The scheduler: queues what is due, and starts what there is a slot for.

It is woken by committed events (a job was queued, a slot became free) and by the next due
time. A wake-up only makes it look again: what it decides comes from the store, so one that
is lost or comes twice does no harm, and a slow look of its own bounds how late it can be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import attrs
import trio

from triphase_protocol import STATES, TRANSITIONS, Claim, Enqueue, Event, Job

from .actor import Actor, Mailbox
from .admission import admit, room
from .clock import Clock
from .directory import Directory
from .journal import Moved, claim, moved, step
from .lifecycle import decide
from .registry import Registry
from .store.backend import Store
from .store.committer import Writer
from .store.operations import Limits

LOOK_AGAIN = 10.0
"""Seconds between two looks when nothing wakes it; also how late a clock step is noticed."""

DUE_MOST = 200
"""The most due jobs that are queued in one transaction."""

WAKING: Final = frozenset(
    event_type
    for row in TRANSITIONS.values()
    for event_type, target in row.items()
    if not STATES[target].holds_slot
)
"""Events after which there may be something to do: a job waits, or no longer holds a slot."""


@attrs.frozen
class Wake:
    """Look again."""


@attrs.frozen(kw_only=True)
class SchedulerStatistics:
    """What the scheduler has done since it was opened."""

    passes: int
    """Looks at the store."""

    started: int
    """Runs started."""

    refused: int
    """Claims that the store refused, because somebody else was first."""


def wakes(events: Iterable[Event]) -> bool:
    """True if the scheduler should look again after these events."""
    return any(event.type in WAKING for event in events)


@attrs.define(eq=False)
class Tally:
    """The scheduler's counts, which outlive its restarts."""

    passes: int = 0
    started: int = 0
    refused: int = 0

    def statistics(self) -> SchedulerStatistics:
        """Return the counts."""
        return SchedulerStatistics(passes=self.passes, started=self.started, refused=self.refused)


@attrs.define(eq=False)
class Scheduler(Actor[Wake]):
    """See the module's text."""

    store: Store
    writer: Writer
    registry: Registry
    directory: Directory
    clock: Clock
    limit: int
    """How many jobs of the whole store may hold a slot."""

    owner: str
    """The runtime's id: who claims."""

    tally: Tally

    async def run(self, mailbox: Mailbox[Wake]) -> None:
        """Look, sleep until something may have changed, and look again."""
        while True:
            # Emptied before the look: a wake-up that comes while looking makes another.
            for envelope in mailbox.drain(mailbox.statistics().capacity * 2):
                envelope.answer()
            if not await self._look():
                with trio.move_on_after(await self._seconds_to_next()):
                    (await mailbox.receive()).answer()

    async def _look(self) -> bool:
        """Queue what is due and start what may start; True if there may be more to do."""
        self.tally.passes += 1
        queued = await self._queue_due()
        started = await self._start_some()
        return queued or started

    async def _queue_due(self) -> bool:
        now = self.clock.now()
        due = await self.store.due(now, DUE_MOST)
        if due:
            await self.writer.commit_all([step(job, decide(job, Enqueue(), now)) for job in due])
        return bool(due)

    async def _start_some(self) -> bool:
        candidates, holders = await self._candidates()
        if not candidates:
            return False
        admission = admit(
            candidates, queues=self.registry.queues, limit=self.limit, holders=holders
        )
        now = self.clock.now()
        decisions = [decide(job, Claim(owner=self.owner), now) for job in admission.admitted]
        results = await self.writer.commit_all(
            [
                claim(job, decision, Limits(total=self.limit, queue=self._limit_of(job)))
                for job, decision in zip(admission.admitted, decisions, strict=True)
            ]
        )
        # No checkpoint from here on: what has been claimed is handed over.
        for result, decision in zip(results, decisions, strict=True):
            match moved(result, decision):
                case Moved(job, effects):
                    self.directory.start(job, effects)
                    self.tally.started += 1
                case _:
                    self.tally.refused += 1
        return True

    async def _candidates(self) -> tuple[list[Job], dict[str, int]]:
        holders = dict(await self.store.slots())
        free = room(queues=self.registry.queues, limit=self.limit, holders=holders)
        candidates: list[Job] = []
        for queue, most in free.items():
            candidates += await self.store.queued(queue, self.registry.names, most)
        return candidates, holders

    def _limit_of(self, job: Job) -> int:
        return self.registry.queues[job.queue].limit

    async def _seconds_to_next(self) -> float:
        due = await self.store.next_due()
        seconds = math.inf if due is None else due - self.clock.now()
        return min(LOOK_AGAIN, max(0.0, seconds))
