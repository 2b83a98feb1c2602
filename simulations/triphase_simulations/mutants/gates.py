"""Mistakes about approvals: passed by, decided twice, or asked for without end."""

from __future__ import annotations

from typing import Any

import attrs

from triphase import lifecycle
from triphase.lifecycle import gates, waits
from triphase.lifecycle.draft import Draft
from triphase.reconciler import Reconciler
from triphase.runtime.changing import Changing
from triphase_protocol import Approve, Deadline, Gate, Job, JobState, Reject

from .deadlines import _waits_without
from .mutant import Mutant, Swap, Swaps


def _only_at_the_start() -> Swaps:
    real = Draft.is_gated

    def is_gated(self: Draft) -> bool:
        # A state to begin in, not a condition of each start.
        return self.current == 0 and real(self)

    return [Swap(Draft, "is_gated", is_gated)]


def _not_after_a_run() -> Swaps:
    real = Draft.is_gated

    def is_gated(self: Draft) -> bool:
        return self.job.run == 0 and real(self)

    return [Swap(Draft, "is_gated", is_gated)]


def _dropped_by_a_retry() -> Swaps:
    real = Draft.renew

    def renew(self: Draft, begin: int) -> list[str]:
        names = real(self, begin)
        self.phases[begin:] = [attrs.evolve(phase, gate=None) for phase in self.phases[begin:]]
        return names

    return [Swap(Draft, "renew", renew)]


def _kept_by_a_retry() -> Swaps:
    real = Draft.renew

    def renew(self: Draft, begin: int) -> list[str]:
        before = [phase.gate for phase in self.phases]
        names = real(self, begin)
        for index, gate in enumerate(before):
            if gate is not None and gate.open:
                self.phases[index] = attrs.evolve(self.phases[index], gate=gate)
        return names

    return [Swap(Draft, "renew", renew)]


def _not_once_due() -> Swaps:
    """What becomes due is queued, whoever should have approved it before."""
    real = Draft.is_gated

    def is_gated(self: Draft) -> bool:
        return self.job.due_at <= self.job.submitted_at and real(self)

    return [Swap(Draft, "is_gated", is_gated)]


def _timer_from_the_open() -> Swaps:
    real, started, expire = waits.waits, Reconciler.started, Reconciler._expire
    opened = [0.0]

    def found(job: Job) -> list[tuple[float, Deadline]]:
        if job.state is JobState.GATED and job.gate is not None:
            gate: Gate = job.gate[1]
            if gate.timeout is not None and gate.asked_at is not None:
                return [(max(gate.asked_at, opened[0]) + gate.timeout, Deadline.APPROVAL)]
        return real(job)

    async def begin(self: Reconciler) -> None:
        opened[0] = self.clock.now()
        await started(self)

    async def again(self: Reconciler) -> None:
        self._passed.clear()
        await expire(self)

    return [
        Swap(waits, "waits", found),
        Swap(Reconciler, "started", begin),
        Swap(Reconciler, "_expire", again),
    ]


def _last_word_wins() -> Swaps:
    async def decide_gate(self: Changing, id: Any, command: Approve | Reject) -> Gate:
        after = await self._parts.orders.give((await self.get(id)).id, command)
        asked = [phase.gate for phase in after.phases if phase.gate and phase.gate.asked_at]
        return asked[-1]

    def approve(draft: Draft, command: Approve) -> None:
        job = draft.job
        if job.state is JobState.REJECTED:
            # It waits at its gate still, if one only looks at the gate.
            draft.job = attrs.evolve(job, state=JobState.GATED)
            draft.state = JobState.GATED
            gates.approve(draft, command)
            draft.job = job
            return
        gates.approve(draft, command)

    return [
        Swap(Changing, "_decide_gate", decide_gate),
        Swap(lifecycle._RULES, Approve, approve),
    ]


def _decided_twice() -> Swaps:
    def approve(draft: Draft, command: Approve) -> None:
        # A second click.
        gates.approve(draft, command)
        for event in list(draft.events):
            if event.type.value == "job.approved":
                draft._note(event.type, event.phase, dict(event.data))

    return [Swap(lifecycle._RULES, Approve, approve)]


def _rejected_anyway() -> Swaps:
    """A timer that was set at the asking is not taken back by the decision."""

    def found(job: Job) -> list[tuple[float, Deadline]]:
        late = list(real(job))
        if job.state is JobState.QUEUED or job.state is JobState.SCHEDULED:
            late += [
                (phase.gate.deadline, Deadline.APPROVAL)
                for phase in job.phases
                if phase.gate is not None and phase.gate.deadline is not None
            ]
        return late

    def words(deadline: Deadline, job: Job) -> str:
        return "nobody approved it"

    real = waits.waits
    return [Swap(waits, "waits", found), Swap(waits, "_words", words)]


MUTANTS = (
    Mutant(
        name="gate-only-at-the-start",
        says="A job is asked about before its first phase, and the gates of the others are open.",
        shipped="a coding agent's job runner: the approval was a state to begin in",
        oracles=("O17",),
        suites=("gates",),
        swaps=_only_at_the_start,
    ),
    Mutant(
        name="gate-not-after-a-restart",
        says="A job that has run once is not asked about any more.",
        shipped="such a system would make at this place: what is restored comes another way",
        oracles=("O17",),
        suites=("gates",),
        swaps=_not_after_a_run,
    ),
    Mutant(
        name="gate-dropped-by-a-retry",
        says="A retry begins without the gates.",
        shipped="a task manager: work that was sent back went by the review",
        oracles=("O17",),
        suites=("gates",),
        swaps=_dropped_by_a_retry,
    ),
    Mutant(
        name="approval-outlives-its-results",
        says="What was approved before a retry stands, although it rests on other results.",
        shipped="a task manager had to guard against stale cards, which decide about newer work",
        oracles=("O17",),
        suites=("gates",),
        swaps=_kept_by_a_retry,
    ),
    Mutant(
        name="gate-not-once-due",
        says="A job with a delay is queued when it is due, approved or not.",
        shipped="a coding agent's job runner: another wait had precedence over the approval",
        oracles=("O17",),
        suites=("gates",),
        swaps=_not_once_due,
    ),
    Mutant(
        name="approval-timeout-ignored",
        says="An approval that nobody gives is waited for without end.",
        shipped="a coding agent's job runner: what could not be polled never timed out",
        oracles=("O22",),
        suites=("gates",),
        swaps=_waits_without(Deadline.APPROVAL),
    ),
    Mutant(
        name="approval-timer-from-the-open",
        says="Each restart begins the time of an approval anew.",
        shipped="a coding agent's job runner: the timer restarted at each restart",
        oracles=("O22",),
        suites=("gates",),
        swaps=_timer_from_the_open,
    ),
    Mutant(
        name="approve-after-reject-wins",
        says="An approval that comes after the rejection brings the job back.",
        shipped="a task manager: three guards were needed against stale and repeated decisions",
        oracles=("O1",),
        suites=("gates",),
        swaps=_last_word_wins,
    ),
    Mutant(
        name="approved-twice",
        says="One approval is recorded, and acted on, twice.",
        shipped="a chat platform, until it was mended: two clicks",
        oracles=("O17",),
        suites=("gates",),
        swaps=_decided_twice,
    ),
    Mutant(
        name="approval-timer-not-disarmed",
        says="The timer of an approval goes off although it was given, and ends the job.",
        shipped="a chat platform: an old timer shortened a new grace",
        oracles=("O22",),
        suites=("gates",),
        swaps=_rejected_anyway,
    ),
)
