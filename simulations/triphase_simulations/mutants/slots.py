"""Mistakes about slots: counters that drift, limits that are passed, wake-ups that are lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from triphase import admission, scheduler
from triphase.admission import Admission, admit
from triphase.registry import Registry
from triphase.scheduler import Scheduler
from triphase.store.operations import Claim, Rejected, Why
from triphase.store.simulated import SimulatedStore
from triphase.store.simulated.contents import Contents, Row
from triphase.store.simulated.transaction import Transaction
from triphase_protocol import STATES, EventType, Job, JobState, Queue

from .mutant import Mutant, Swap, Swaps


def _stopping_not_counted() -> Swaps:
    def slots(self: Contents) -> Mapping[str, int]:
        return dict(Counter(row.job.queue for row in self.in_state(JobState.RUNNING)))

    return [Swap(Contents, "slots", slots)]


def _one_too_many() -> Swaps:
    def admitted(candidates: Sequence[Job], *, queues: Any, limit: int, holders: Any) -> Admission:
        wider = {name: attrs.evolve(queue, limit=queue.limit + 1) for name, queue in queues.items()}
        return admit(candidates, queues=wider, limit=limit, holders=holders)

    def room(*, queues: Mapping[str, Queue], limit: int, holders: Mapping[str, int]) -> Any:
        return {name: queue.limit + 1 for name, queue in queues.items() if not queue.paused}

    def claim(self: Transaction, claim: Claim) -> Any:
        slots = self._contents.slots()
        # `>` where `>=` was meant.
        if slots.get(claim.step.job.queue, 0) > claim.limits.queue:
            return Rejected(Why.FULL)
        return self._step(claim.step)

    return [
        Swap(scheduler, "admit", admitted),
        Swap(scheduler, "room", room),
        Swap(Transaction, "_claim", claim),
    ]


def _checked_alone() -> Swaps:
    """Each candidate is checked against the slots in use, and none against the others."""

    def admitted(candidates: Sequence[Job], *, queues: Any, limit: int, holders: Any) -> Admission:
        apart = [admit([job], queues=queues, limit=limit, holders=holders) for job in candidates]
        return Admission(
            tuple(job for each in apart for job in each.admitted),
            {id: why for each in apart for id, why in each.blocked.items()},
        )

    def room(*, queues: Mapping[str, Queue], limit: int, holders: Mapping[str, int]) -> Any:
        return dict.fromkeys(queues, 10)

    def claim(self: Transaction, claim: Claim) -> Any:
        return self._step(claim.step)

    return [
        Swap(scheduler, "admit", admitted),
        Swap(scheduler, "room", room),
        Swap(Transaction, "_claim", claim),
    ]


def _store_limit_ignored() -> Swaps:
    def admitted(candidates: Sequence[Job], *, limit: int, **more: Any) -> Admission:
        return admit(candidates, limit=1_000_000, **more)

    real = admission.room

    def room(*, limit: int, **more: Any) -> Any:
        return real(limit=1_000_000, **more)

    def claim(self: Transaction, claim: Claim) -> Any:
        return real_claim(self, attrs.evolve(claim, limits=attrs.evolve(claim.limits, total=9999)))

    real_claim = Transaction._claim
    return [
        Swap(scheduler, "admit", admitted),
        Swap(scheduler, "room", room),
        Swap(Transaction, "_claim", claim),
    ]


def _counted(change: Any) -> Any:
    """Return swaps that count slots in numbers of their own, which a row's change changes."""

    def swaps() -> Swaps:
        real = Contents.put

        def put(self: Contents, id: str, row: Row | None) -> Row | None:
            before = real(self, id, row)
            held: Counter[str] = _held(self)
            was = before is not None and STATES[before.job.state].holds_slot
            queue = next((each.job.queue for each in (row, before) if each), "")
            held[queue] = max(0, held[queue] + change(was, before, row))
            return before

        def slots(self: Contents) -> Mapping[str, int]:
            return {queue: count for queue, count in _held(self).items() if count}

        return [Swap(Contents, "put", put), Swap(Contents, "slots", slots)]

    return swaps


def _held(contents: Any) -> Counter[str]:
    held: Counter[str] = contents.__dict__.setdefault("held", Counter())
    return held


def _leaks(was: bool, before: Row | None, row: Row | None) -> int:
    holds = row is not None and STATES[row.job.state].holds_slot
    if was and not holds and row is not None and _was_lost(row):
        # Who takes it from a dead owner forgets to give back what that held.
        return 0
    return holds - was


def _was_lost(row: Row) -> bool:
    return any(
        phase.error is not None and "is gone" in phase.error.message for phase in row.job.phases
    )


def _twice(was: bool, before: Row | None, row: Row | None) -> int:
    stopping = row is not None and row.job.state is JobState.STOPPING
    if was and stopping and before is not None and before.job.state is JobState.RUNNING:
        # Given back when it is asked to stop, and again when it has stopped.
        return -1
    holds = row is not None and STATES[row.job.state].holds_slot
    return holds - was


def _cleared_late() -> Swaps:
    async def look(self: Scheduler) -> None:
        signals = self.signals
        while signals.scheduled or signals.queued or (signals.freed and signals.starved):
            self.tally.passes += 1
            if signals.scheduled:
                await self._queue_due()
            await self._start_some()
            signals.scheduled = signals.queued = signals.freed = False
            signals.starved = True

    return [Swap(Scheduler, "_look", look)]


def _freed_unheard() -> Swaps:
    return [Swap(scheduler, "FREEING", frozenset({EventType.JOB_SCHEDULED}))]


def _ends_unheard() -> Swaps:
    missed = {EventType.JOB_CANCELLED, EventType.JOB_FAILED, EventType.JOB_INTERRUPTED}
    return [Swap(scheduler, "FREEING", scheduler.FREEING - missed)]


def _starved_forgotten() -> Swaps:
    real = Scheduler._start_some

    async def start_some(self: Scheduler) -> None:
        await real(self)
        self.signals.starved = False

    return [Swap(Scheduler, "_start_some", start_some)]


def _no_timer() -> Swaps:
    def seconds(self: Scheduler) -> float:
        return math.inf

    return [Swap(Scheduler, "_seconds_to_next", seconds)]


def _head_of_line() -> Swaps:
    async def queued(self: SimulatedStore, queue: str, types: Any, limit: int) -> list[Job]:
        found = await real(self, queue, types, limit)
        rows = [row.job for row in self._open_disk().in_state(JobState.QUEUED)]
        first = min(rows, key=lambda job: (-job.priority, job.position), default=None)
        # One list for all queues: who stands behind a job that cannot start waits with it.
        return found if first is not None and first.queue == queue else []

    real = SimulatedStore.queued
    return [Swap(SimulatedStore, "queued", queued)]


def _pause_ignored() -> Swaps:
    def adopt(self: Registry, settings: Any) -> None:
        for name, setting in settings.items():
            real(self, {name: attrs.evolve(setting, paused=None)})

    real = Registry.adopt
    return [Swap(Registry, "adopt", adopt)]


MUTANTS = (
    Mutant(
        name="stopping-not-counted",
        says="A job that is being stopped is not counted, though its handler runs.",
        shipped="a chat platform: a state that holds a slot was missing from the count",
        oracles=("O5",),
        suites=("cancel_at_phase_boundary", "limits", "deadlines"),
        swaps=_stopping_not_counted,
    ),
    Mutant(
        name="limit-off-by-one",
        says="A queue takes one job more than its limit.",
        shipped="such a system would make at this place: `>` for `>=`",
        oracles=("O5",),
        suites=("limits",),
        swaps=_one_too_many,
    ),
    Mutant(
        name="check-then-act",
        says="Each job is checked against the slots in use, and all that fit alone are started.",
        shipped="a task manager: sessions were counted, and one was made then",
        oracles=("O5",),
        suites=("limits",),
        swaps=_checked_alone,
    ),
    Mutant(
        name="store-limit-ignored",
        says="Each queue keeps its own limit, and nobody that of the whole store.",
        shipped="a task manager: two caps, each blind to what the other counts",
        oracles=("O5",),
        suites=("limits",),
        swaps=_store_limit_ignored,
    ),
    Mutant(
        name="slot-leaks-at-a-crash",
        says="Slots are counted in a number, which a crash leaves too high.",
        shipped="Solid Queue #546, pgqueuer #630: orphans count against the limit",
        oracles=("O6", "O12"),
        suites=("restart", "limits"),
        swaps=_counted(_leaks),
    ),
    Mutant(
        name="slot-released-twice",
        says="A job that is stopped gives its slot back twice.",
        shipped="Solid Queue (PR #761): a limit of 1 ran 11 jobs at once",
        oracles=("O5",),
        suites=("cancel_at_phase_boundary", "limits", "deadlines"),
        swaps=_counted(_twice),
    ),
    Mutant(
        name="signal-cleared-after-the-look",
        says="The scheduler takes its signals back after the look: what came meanwhile is lost.",
        shipped="such a system would make at this place: what is looked at is cleared",
        oracles=("O6",),
        suites=("cancel_at_phase_boundary", "limits", "retries"),
        swaps=_cleared_late,
    ),
    Mutant(
        name="freed-slot-unheard",
        says="A slot that becomes free wakes nobody.",
        shipped="a chat platform: the slot of a cancelled task was not given on",
        oracles=("O6",),
        suites=("limits", "cancel_at_phase_boundary"),
        swaps=_freed_unheard,
    ),
    Mutant(
        name="only-success-frees",
        says="A slot is given on when a job completes, and not when it ends otherwise.",
        shipped="a coding agent's job runner: the paths that notified were a list, with gaps",
        oracles=("O6",),
        suites=("cancel_at_phase_boundary", "retries", "limits"),
        swaps=_ends_unheard,
    ),
    Mutant(
        name="starvation-forgotten",
        says="The scheduler forgets after each look that jobs wait for a slot.",
        shipped="such a system would make at this place: an optimisation of the wake-ups",
        oracles=("O6",),
        suites=("limits", "cancel_at_phase_boundary"),
        swaps=_starved_forgotten,
    ),
    Mutant(
        name="due-unheard",
        says="Nobody sets a timer for the next job that is due.",
        shipped="such a system would make at this place: the wake-up is set once, and not again",
        oracles=("O6", "O12", "stuck"),
        suites=("retries", "limits"),
        swaps=_no_timer,
    ),
    Mutant(
        name="head-of-line",
        says="A job whose queue is full holds up those behind it, of whatever queue.",
        shipped="a chat platform: long turns held up short jobs on one shared queue",
        oracles=("O6",),
        suites=("limits",),
        swaps=_head_of_line,
    ),
    Mutant(
        name="pause-ignored",
        says="A queue that is paused goes on.",
        shipped="such a system would make at this place: the flag is stored, and not asked",
        oracles=("O5",),
        suites=("limits",),
        swaps=_pause_ignored,
    ),
)
