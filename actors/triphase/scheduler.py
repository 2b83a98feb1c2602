"""The scheduler: queues what is due, and starts what there is a slot for.

It is woken by committed events (a job was queued, a slot became free) and by the next due
time. A wake-up only says where to look again: what is decided comes from the store, so one
that is lost or comes twice does no harm, and a slow look of its own bounds how late it can be.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import trio

from triphase_protocol import (
    STATES,
    TRANSITIONS,
    Claim,
    Command,
    DefinitionChanged,
    Enqueue,
    ErrorRecord,
    Event,
    EventType,
    FailJob,
    Job,
    TriphaseError,
)

from .actor import Actor, Mailbox
from .admission import admit, room
from .clock import Clock
from .directory import Directory
from .journal import Moved, claim, moved, step
from .lifecycle import Decision, decide
from .registry import Registry
from .store.backend import PAGE_MOST, Store
from .store.committer import Writer
from .store.operations import JobOperation, Limits

log = logging.getLogger("triphase.scheduler")

LOOK_AGAIN = 10.0
"""Seconds between two looks when nothing wakes it; also how late a clock step is noticed."""

DUE_MOST = 200
"""The most due jobs that are queued in one transaction."""

FREEING: Final = frozenset(
    event_type
    for row in TRANSITIONS.values()
    for event_type, target in row.items()
    if not STATES[target].holds_slot
) - {EventType.JOB_SUBMITTED, EventType.JOB_QUEUED}
"""Events that may have freed a slot."""


@attrs.frozen
class Wake:
    """Look at the signals."""


@attrs.define(eq=False)
class Signals:
    """What may have changed since the scheduler last looked. Outlives its restarts."""

    queued: bool = True
    """A job was queued."""

    freed: bool = True
    """A slot may be free again."""

    scheduled: bool = True
    """The next due time may be another."""

    draining: bool = False
    """Start nothing more."""

    starved: bool = True
    """At the last look, or since it began, jobs may have waited for a slot.

    Only then does a freed slot change anything.
    """

    def set(self) -> None:
        """Ask for a look everywhere."""
        self.queued = self.freed = self.scheduled = self.starved = True

    def note(self, events: Iterable[Event]) -> bool:
        """Take note of committed events; True if the scheduler should look."""
        woken = False
        for event in events:
            if event.type is EventType.JOB_QUEUED:
                self.queued = woken = True
            elif event.type in FREEING:
                self.freed = True
                woken |= self.starved
                if event.type is EventType.JOB_SCHEDULED:
                    self.scheduled = woken = True
        return woken


@attrs.frozen(kw_only=True)
class SchedulerStatistics:
    """What the scheduler has done since it was opened."""

    passes: int
    """Looks at the store."""

    started: int
    """Runs started."""

    refused: int
    """Claims that the store refused, because somebody else was first."""


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
    signals: Signals
    _next_due: float | None = attrs.field(default=None, init=False)
    _passed: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    """Versions of jobs that make no sense, by id."""

    async def run(self, mailbox: Mailbox[Wake]) -> None:
        """Look, sleep until something may have changed, and look again."""
        # One that crashed had taken signals back without doing what they asked for.
        self.signals.set()
        while True:
            await self._look()
            with trio.move_on_after(self._seconds_to_next()) as sleep:
                (await mailbox.receive()).answer()
            if sleep.cancelled_caught:
                # Nobody said so, but time has passed, or something was missed.
                self.signals.set()

    async def _look(self) -> None:
        """Queue what is due and start what may start, until nothing more is to be done."""
        signals = self.signals
        while signals.scheduled or signals.queued or (signals.freed and signals.starved):
            self.tally.passes += 1
            # Taken back before the store is read: what is signalled meanwhile is looked at next.
            if signals.scheduled:
                signals.scheduled = False
                await self._queue_due()
            signals.queued = signals.freed = False
            signals.starved = True
            await self._start_some()

    async def _queue_due(self) -> None:
        now = self.clock.now()
        due = await self.store.due(now, DUE_MOST)
        decided = self._decide(due, lambda _: Enqueue())
        if decided:
            await self.writer.commit_all([step(job, decision) for job, decision in decided])
        self._next_due = await self.store.next_due()
        if self._next_due is not None and self._next_due <= now:
            # More than fits into one transaction; or a row that cannot be queued, to be left.
            self.signals.scheduled = bool(decided)
            self._next_due = None

    async def _start_some(self) -> None:
        if self.signals.draining:
            return
        holders = dict(await self.store.slots())
        free = room(queues=self.registry.queues, limit=self.limit, holders=holders)
        candidates: list[Job] = []
        starved = len(free) < len(self.registry.queues)
        more = False
        for queue, most in free.items():
            wanted = most + len(self._passed)
            found = await self.store.queued(queue, self.registry.names, wanted)
            sound = [job for job in found if self._passed.get(job.id) != job.version][:most]
            starved |= len(sound) == most
            # More slots are free than one read returns jobs: what is behind them comes next.
            more |= len(found) == PAGE_MOST < wanted
            candidates += sound
        if candidates:
            starved |= not await self._start(candidates, holders)
        self.signals.queued |= more and bool(candidates)
        if not self.signals.freed:
            self.signals.starved = starved

    async def _start(self, candidates: list[Job], holders: dict[str, int]) -> bool:
        """Claim those of the candidates that are admitted; True if all of them were started."""
        # Asked again after the reads: from here to `claiming` nothing can change in between.
        if self.signals.draining:
            return True
        admission = admit(
            candidates, queues=self.registry.queues, limit=self.limit, holders=holders
        )
        decided = self._decide(admission.admitted, self._claim)
        claims = [self._operation(job, decision) for job, decision in decided]
        started = refused = 0
        with self.directory.claiming(admission.admitted):
            results = await self.writer.commit_all(claims)
            # No checkpoint from here on: what has been claimed is handed over.
            for result, (_, decision) in zip(results, decided, strict=True):
                match moved(result, decision):
                    case Moved(job, effects) if STATES[job.state].holds_slot:
                        self.directory.start(job, effects)
                        started += 1
                    case Moved():
                        # Its phases are not what they were: it waits for approval, or has failed.
                        continue
                    case _:
                        refused += 1
        self.tally.started += started
        self.tally.refused += refused
        if refused or len(decided) < len(admission.admitted):
            # The picture was wrong: somebody moved a job first, or a row makes no sense.
            self.signals.queued = True
        return not admission.blocked and not refused

    def _claim(self, job: Job) -> Command:
        """Return the command that starts a job, or ends one whose phases are no longer there."""
        try:
            translate = self.registry.named(job.type).translation_of(job)
        except DefinitionChanged as exc:
            return FailJob(error=ErrorRecord(type="DefinitionChanged", message=str(exc)))
        return Claim(owner=self.owner, translate=translate)

    def _operation(self, job: Job, decision: Decision) -> JobOperation:
        if not STATES[decision.job.state].holds_slot:
            return step(job, decision)
        return claim(job, decision, Limits(total=self.limit, queue=self._limit_of(job)))

    def _decide(
        self, jobs: Sequence[Job], command: Callable[[Job], Command]
    ) -> list[tuple[Job, Decision]]:
        """Decide about each job; one whose row makes no sense is reported and passed over."""
        decided: list[tuple[Job, Decision]] = []
        for job in jobs:
            try:
                decided.append((job, decide(job, command(job), self.clock.now())))
            except TriphaseError as exc:
                log.warning("job %s is passed over: %s", job.id, exc)
                self._passed[job.id] = job.version
        return decided

    def _limit_of(self, job: Job) -> int:
        return self.registry.queues[job.queue].limit

    def _seconds_to_next(self) -> float:
        seconds = math.inf if self._next_due is None else self._next_due - self.clock.now()
        return min(LOOK_AGAIN, max(0.0, seconds))
