"""Mistakes about who may write: guards that are too weak, numbers that come twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import attrs
import trio

from triphase import lifecycle, scheduler
from triphase.actor import ActorStopped
from triphase.context import Context
from triphase.handler import run_handler
from triphase.job_actor import JobActor, PhaseEnded, Surroundings
from triphase.journal import Moved
from triphase.lifecycle import runs
from triphase.lifecycle.draft import Draft
from triphase.reconciler import Reconciler
from triphase.reconciler.batches import Batches
from triphase.store.backend import Query
from triphase.store.operations import Rejected, Step, Why
from triphase.store.simulated.contents import Row
from triphase.store.simulated.transaction import Transaction
from triphase_protocol import (
    STATES,
    TRANSITIONS,
    Claim,
    Event,
    Interrupt,
    Job,
    JobState,
    RetryJob,
    states_where,
)

from .mutant import Mutant, Swap, Swaps


def _guarded_by(allows: Callable[[Row, int, int], bool]) -> Callable[[], Swaps]:
    def guarded(self: Transaction, id: str, run: int, version: int) -> Row | Rejected:
        row = self._contents.rows.get(id)
        if row is None:
            return Rejected(Why.GONE)
        if not allows(row, run, version):
            return Rejected(Why.STALE, row.record())
        return row

    return lambda: [Swap(Transaction, "_guarded", guarded)]


def _by_state() -> Swaps:
    real = Transaction._step

    def step(self: Transaction, step: Step) -> Any:
        row = self._contents.rows.get(step.job.id)
        if row is not None and _leads_on(row.job.state, step.events):
            step = attrs.evolve(step, run=row.job.run, version=row.job.version)
        return real(self, step)

    return [Swap(Transaction, "_step", step)]


def _leads_on(state: JobState | None, events: tuple[Event, ...]) -> bool:
    """True if the state of a row alone does not forbid what is written."""
    for event in events:
        if event.type.value.startswith("job."):
            if event.type not in TRANSITIONS[state]:
                return False
            state = TRANSITIONS[state][event.type]
    return True


def _run_reused() -> Swaps:
    def claim(draft: Draft, command: Claim) -> None:
        run = draft.job.run
        if run > 0 and draft.job.started_at is not None:
            draft.job = attrs.evolve(draft.job, run=run - 1)
        runs.claim(draft, command)
        draft.job = attrs.evolve(draft.job, run=run)

    return [Swap(lifecycle._RULES, Claim, claim)]


def _claims_unread() -> Swaps:
    def moved(result: Any, decision: Any) -> Moved:
        job = decision.job if isinstance(result, Rejected) else result.job
        return Moved(job, decision.effects)

    return [Swap(scheduler, "moved", moved)]


def _rescued_by_the_clock() -> Swaps:
    real = Reconciler._recover

    async def recover(self: Reconciler) -> None:
        await real(self)
        found: list[Job] = []
        for state in states_where(holds_slot=True):
            found += [job for job in await _all_in(self, state) if _is_old(job, self.clock.now())]
        await Batches(self.writer, self.clock).move(found, self._interrupt)

    return [Swap(Reconciler, "_recover", recover)]


async def _all_in(reconciler: Reconciler, state: JobState) -> list[Job]:
    return await reconciler.store.find(Query(states=(state,)))


def _is_old(job: Job, now: float) -> bool:
    return job.claimed_at is not None and now - job.claimed_at > 3.0


def _by_job_alone() -> Swaps:
    """Whoever runs the job now gets the end of a handler that an earlier run had started."""
    newest: WeakKeyDictionary[Surroundings, dict[str, tuple[JobActor, Any]]] = WeakKeyDictionary()
    carry_out = JobActor._carry_out

    async def noted(self: JobActor, context: Any, effects: Any) -> None:
        newest.setdefault(self._around, {})[self._job.id] = self, context
        await carry_out(self, context, effects)

    async def run_phase(self: JobActor, context: Any, each: Any, handling: Any) -> None:
        job, index = each.job, each.index
        ctx = Context(each.definition, job, index, each.report, handling.asked.is_set)
        ending = await run_handler(each, ctx, self._around.places, handling)
        actor, context = newest[self._around][job.id]
        try:
            ended = PhaseEnded(actor._job.run, index, ending, trio.current_time())
            await context.me.send(ended, control=True)
        except ActorStopped:
            return

    return [Swap(JobActor, "_carry_out", noted), Swap(JobActor, "_run_phase", run_phase)]


def _retried_while_running() -> Swaps:
    real = lifecycle._RULES[RetryJob]

    def retry_job(draft: Draft, command: RetryJob) -> None:
        if STATES[draft.job.state].holds_slot:
            job = draft.job
            draft.job, draft.state = attrs.evolve(job, state=JobState.FAILED), JobState.FAILED
            real(draft, command)
            draft.job = job
            return
        real(draft, command)

    return [Swap(lifecycle._RULES, RetryJob, retry_job)]


def _doubly_recovered() -> Swaps:
    def interrupt(self: Reconciler, job: Job) -> Interrupt:
        return real(self, attrs.evolve(job, owner="nobody"))

    async def recover(self: Reconciler) -> None:
        # Not what it holds itself, but whatever the store says that runs.
        lost: list[Job] = []
        for state in states_where(holds_slot=True):
            lost += await _all_in(self, state)
        await Batches(self.writer, self.clock).move(lost, self._interrupt)

    real = Reconciler._interrupt
    return [Swap(Reconciler, "_interrupt", interrupt), Swap(Reconciler, "_recover", recover)]


MUTANTS = (
    Mutant(
        name="guard-by-id",
        says="A write goes through whatever run and version the row is at.",
        shipped="Oban (`ack_job.sql`: `WHERE id = …`), pgqueuer: finish by id alone",
        oracles=("O1", "O20"),
        suites=("cancel_at_phase_boundary", "limits", "retries", "gates"),
        swaps=_guarded_by(lambda row, run, version: True),
    ),
    Mutant(
        name="guard-by-state",
        says="A write goes through if the row's state allows it, whoever brought it there.",
        shipped="River (`state = 'running'`, no attempt, no owner)",
        oracles=("O1", "O20"),
        suites=("cancel_at_phase_boundary", "limits", "retries", "gates"),
        swaps=_by_state,
    ),
    Mutant(
        name="guard-unless-ended",
        says="A write goes through as long as the job has not ended.",
        shipped="procrastinate (`status IN ('todo', 'doing')`)",
        oracles=("O1", "O20"),
        suites=("cancel_at_phase_boundary", "limits", "retries", "gates"),
        swaps=_guarded_by(
            lambda row, run, version: (
                not row.job.terminal or (row.job.run, row.job.version) == (run, version)
            )
        ),
    ),
    Mutant(
        name="guard-by-run",
        says="A write goes through if it names the row's run, at whatever version that is.",
        shipped="such a system would make at this place: the run is compared, the version is not",
        oracles=("O1", "O20"),
        suites=("cancel_at_phase_boundary", "limits", "retries", "gates"),
        swaps=_guarded_by(lambda row, run, version: row.job.run == run),
    ),
    Mutant(
        name="run-number-reused",
        says="A run that was put back and is claimed again has the number it had before.",
        shipped="awa's ADR-013 names the hole: attempt numbers that come twice fence nothing",
        oracles=("O8",),
        suites=("restart", "retries"),
        swaps=_run_reused,
    ),
    Mutant(
        name="claim-not-looked-at",
        says="A job is started although its claim was refused: somebody was first.",
        shipped="APScheduler 3 (#1116, #1121): several schedulers all run the job",
        oracles=("O1", "O9"),
        suites=("cancel_at_phase_boundary", "limits"),
        swaps=_claims_unread,
    ),
    Mutant(
        name="rescued-by-the-clock",
        says="A job that runs for long is taken for lost, and started a second time.",
        shipped="Oban's Lifeline, Celery's visibility timeout: rescue is a clock, not a proof",
        oracles=("O7", "O29"),
        suites=("shutdown", "deadlines"),
        swaps=_rescued_by_the_clock,
    ),
    Mutant(
        name="rescued-by-a-sibling",
        says="A sweep puts back every run that the store says is there, its own ones too.",
        shipped="a coding agent's job runner: a sibling's restored jobs were marked interrupted",
        oracles=("O7", "O29"),
        suites=("shutdown", "deadlines", "restart"),
        swaps=_doubly_recovered,
    ),
    Mutant(
        name="late-result-counts",
        says="What an abandoned handler returns is taken for the result of the present try.",
        shipped="River after a rescue: the old worker's result closes the new one's attempt",
        oracles=("O7", "O9"),
        suites=("deadlines",),
        swaps=_by_job_alone,
    ),
    Mutant(
        name="retry-while-running",
        says="A job that runs can be retried: another run begins beside the first.",
        shipped="procrastinate (PR #1132): a retry while it was being aborted",
        oracles=("O2", "O7"),
        suites=("cancel_at_phase_boundary", "retries"),
        swaps=_retried_while_running,
    ),
)
