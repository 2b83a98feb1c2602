"""Mistakes about those who wait and follow: woken too early, too late, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from triphase.errors import RuntimeClosed
from triphase.feed import Batch, Entry, EventStream, Feed
from triphase.runtime.waiting import Waiting
from triphase.waiters import Wait, Waiters
from triphase_protocol import Event, Job, JobState, Outcome, outcome_of

from .mutant import Mutant, Swap, Swaps


def _registered_late() -> Swaps:
    async def wait(self: Waiting, id: str) -> Outcome:
        waiters = self._open().waiters
        outcome = outcome_of(await self.get(id))
        if outcome is not None:
            return outcome
        # The moment that an answer takes from the store to who has asked.
        await trio.sleep(0.002)
        entered = waiters.enter(id)
        try:
            await entered.woken.wait()
        finally:
            waiters.leave(id, entered)
        outcome = None if entered.job is None else outcome_of(entered.job)
        if outcome is None:
            raise RuntimeClosed(f"the runtime closed before job {id} ended")
        return outcome

    return [Swap(Waiting, "_wait", wait)]


def _only_for(*states: JobState) -> Any:
    """Return swaps with which only these ends wake anybody."""

    def swaps() -> Swaps:
        real = Waiters.publish

        def publish(self: Waiters, jobs: Sequence[Job]) -> None:
            real(self, [job for job in jobs if job.state in states])

        return [Swap(Waiters, "publish", publish)]

    return swaps


def _one_of_them() -> Swaps:
    def enter(self: Waiters, job: str) -> Wait:
        # One place for each job: who comes later takes it.
        wait = self._waits[job] = Wait(tasks=1)
        if self._closed:
            wait.woken.set()
        return wait

    return [Swap(Waiters, "enter", enter)]


def _stale_answer() -> Swaps:
    real = Waiting._wait

    async def wait(self: Waiting, id: str) -> Outcome:
        kept: Any = self._parts.waiters
        ended: dict[str, Outcome] = kept.__dict__.setdefault("ended", {})
        if id in ended:
            return ended[id]
        return await real(self, id)

    publish = Waiters.publish

    def keep(self: Waiters, jobs: Sequence[Job]) -> None:
        kept: Any = self
        for job in jobs:
            outcome = outcome_of(job)
            if outcome is not None:
                kept.__dict__.setdefault("ended", {})[job.id] = outcome
        publish(self, jobs)

    return [Swap(Waiting, "_wait", wait), Swap(Waiters, "publish", keep)]


def _not_at_the_close() -> Swaps:
    def close(self: Waiters) -> None:
        self._closed = True

    return [Swap(Waiters, "close", close)]


def _first_dropped() -> Swaps:
    real = Feed.publish

    def publish(self: Feed, entries: Sequence[Entry]) -> None:
        real(self, entries[1:] if len(entries) > 4 else entries)

    return [Swap(Feed, "publish", publish)]


def _off_by_one() -> Swaps:
    real = Feed.subscribe

    def subscribe(self: Feed, *, after: int | None = None, **more: Any) -> EventStream:
        # "From this one on" for "after this one".
        return real(self, after=max(0, after - 1) if after else after, **more)

    return [Swap(Feed, "subscribe", subscribe)]


def _one_missed() -> Swaps:
    real = Feed.subscribe

    def subscribe(self: Feed, *, after: int | None = None, **more: Any) -> EventStream:
        return real(self, after=min(after + 1, self._last_seq) if after else after, **more)

    return [Swap(Feed, "subscribe", subscribe)]


def _from_now_on() -> Swaps:
    real = Feed.subscribe

    def subscribe(self: Feed, *, after: int | None = None, **more: Any) -> EventStream:
        return real(self, after=None, **more)

    return [Swap(Feed, "subscribe", subscribe)]


def _known_too_late() -> Swaps:
    real = Feed.read

    async def read(self: Feed, cursor: int, job: Any, types: Any) -> Batch:
        batch = await real(self, cursor, job, types)
        return Batch(batch.events, self._last_seq) if len(batch.events) < 512 else batch

    return [Swap(Feed, "read", read)]


def _slow_reader_loses() -> Swaps:
    real = EventStream.__anext__

    async def following(self: EventStream) -> Event:
        event = await real(self)
        while len(self._ready) > 6:
            # A bounded buffer: its oldest go.
            self._ready.popleft()
        return event

    return [Swap(EventStream, "__anext__", following)]


_ENDS = (JobState.COMPLETED, JobState.FAILED)

MUTANTS = (
    Mutant(
        name="waiter-registered-late",
        says="Who waits reads the record first, and registers then: an end in between is missed.",
        shipped="Absurd (fixed): a lost wake-up between the look and the wait",
        oracles=("O4",),
        suites=("cancel_at_phase_boundary", "shutdown"),
        swaps=_registered_late,
    ),
    Mutant(
        name="cancel-wakes-nobody",
        says="Who waits is not woken when the job is cancelled.",
        shipped="a coding agent's job runner: cancelled was missing in the list of ends",
        oracles=("O4",),
        suites=("cancel_at_phase_boundary", "shutdown"),
        swaps=_only_for(*_ENDS, JobState.REJECTED, JobState.INTERRUPTED),
    ),
    Mutant(
        name="interrupted-wakes-nobody",
        says="Who waits is not woken when the job is interrupted.",
        shipped="a coding agent's job runner: an end for those who wait, and never published",
        oracles=("O4",),
        suites=("restart", "shutdown"),
        swaps=_only_for(*_ENDS, JobState.CANCELLED, JobState.REJECTED),
    ),
    Mutant(
        name="rejected-wakes-nobody",
        says="Who waits is not woken when the job is rejected.",
        shipped="a coding agent's job runner: the coordinator did not know of rejections",
        oracles=("O4",),
        suites=("everything", "gates"),
        swaps=_only_for(*_ENDS, JobState.CANCELLED, JobState.INTERRUPTED),
    ),
    Mutant(
        name="one-waiter-of-many",
        says="Of several who wait for one job, one is woken.",
        shipped="a coding agent's job runner: one list element for each end (BLPOP)",
        oracles=("O4",),
        suites=("cancel_at_phase_boundary", "shutdown"),
        swaps=_one_of_them,
    ),
    Mutant(
        name="stale-answer",
        says="A wait is answered with the end of an earlier run.",
        shipped="a coding agent's job runner: an element of seven days ago satisfied a new wait",
        oracles=("O4",),
        suites=("cancel_at_phase_boundary", "shutdown"),
        swaps=_stale_answer,
    ),
    Mutant(
        name="waiters-left-at-the-close",
        says="Who waits when the runtime closes is not told.",
        shipped="a SQLite job queue: a drain that timed out threw before anything was closed",
        oracles=("O4", "O11"),
        suites=("shutdown", "restart"),
        swaps=_not_at_the_close,
    ),
    Mutant(
        name="stream-drops-the-first",
        says="The first event of a long batch is not published.",
        shipped="Hatchet's streams: what was published before the subscription stood is dropped",
        oracles=("O3",),
        suites=("cancel_at_phase_boundary", "limits"),
        swaps=_first_dropped,
    ),
    Mutant(
        name="resume-repeats-one",
        says="Who goes on reading after an event gets that event again.",
        shipped="such a system would make at this place: `>=` for `>`",
        oracles=("O3",),
        suites=("restart", "shutdown"),
        swaps=_off_by_one,
    ),
    Mutant(
        name="resume-skips-one",
        says="Who goes on reading after an event misses the next.",
        shipped="such a system would make at this place: the cursor is counted up twice",
        oracles=("O3",),
        suites=("restart", "shutdown"),
        swaps=_one_missed,
    ),
    Mutant(
        name="resume-from-now-on",
        says="Who comes back reads on from now, and never hears of what came meanwhile.",
        shipped="a task manager: what came during a reconnect vanished unnoticed",
        oracles=("O3",),
        suites=("restart", "shutdown"),
        swaps=_from_now_on,
    ),
    Mutant(
        name="cursor-past-what-was-read",
        says="A reader's place is taken after the read: what was committed meanwhile is skipped.",
        shipped="a chat platform: a decision that was sent during a reconnect was lost",
        oracles=("O3",),
        suites=("restart", "shutdown", "limits"),
        swaps=_known_too_late,
    ),
    Mutant(
        name="slow-reader-loses",
        says="A reader that is slow loses the oldest of what it has not read.",
        shipped="a task manager: a bounded queue for each reader, whose oldest event goes",
        oracles=("O3",),
        suites=("limits", "restart"),
        swaps=_slow_reader_loses,
    ),
)
