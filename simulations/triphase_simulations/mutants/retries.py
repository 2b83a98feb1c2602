"""Mistakes about retries: results that are lost, phases that are run again or passed over."""

from __future__ import annotations

from typing import Any

import attrs

from triphase import handler, lifecycle, outcomes
from triphase.endings import Returned
from triphase.job_actor import JobActor
from triphase.lifecycle import runs, stops
from triphase.lifecycle.draft import Draft
from triphase_protocol import Cause, PhaseState, Progress, RetryJob

from .mutant import Mutant, Swap, Swaps


def _results_dropped() -> Swaps:
    real = Draft.renew

    def renew(self: Draft, begin: int) -> list[str]:
        self.phases[:begin] = [attrs.evolve(phase, result=None) for phase in self.phases[:begin]]
        return real(self, begin)

    return [Swap(Draft, "renew", renew)]


def _later_than_unfinished() -> Swaps:
    real = stops._first_to_run

    def first_to_run(draft: Draft, name: str | None) -> int:
        names = [phase.name for phase in draft.phases]
        return names.index(name) if name in names else real(draft, name)

    return [Swap(stops, "_first_to_run", first_to_run)]


def _from_the_first() -> Swaps:
    real = stops._first_to_run

    def first_to_run(draft: Draft, name: str | None) -> int:
        index = real(draft, name)
        # The log says from where on; the rows begin anew, all of them.
        draft.phases[:index] = [
            attrs.evolve(phase, state=PhaseState.PENDING, result=None)
            for phase in draft.phases[:index]
        ]
        return index

    return [Swap(stops, "_first_to_run", first_to_run)]


def _tries_kept() -> Swaps:
    real = Draft.renew

    def renew(self: Draft, begin: int) -> list[str]:
        spent = [phase.spent for phase in self.phases]
        names = real(self, begin)
        self.phases[:] = [
            attrs.evolve(phase, spent=numbers)
            for phase, numbers in zip(self.phases, spent, strict=True)
        ]
        return names

    return [Swap(Draft, "renew", renew)]


def _losses_forgotten() -> Swaps:
    real = Draft.reschedule

    def reschedule(self: Draft, cause: Cause, delay: float, **more: Any) -> None:
        if more.get("phases") is not None:
            self.phases[:] = [attrs.evolve(phase, spent={}) for phase in self.phases]
        real(self, cause, delay, **more)

    return [Swap(Draft, "reschedule", reschedule)]


def _in_the_same_run() -> Swaps:
    real = lifecycle._RULES[RetryJob]

    def retry_job(draft: Draft, command: RetryJob) -> None:
        job = draft.job
        draft.job = attrs.evolve(job, run=job.run - 1)
        try:
            real(draft, command)
        finally:
            draft.job = job

    return [Swap(lifecycle._RULES, RetryJob, retry_job)]


def _for_good() -> Swaps:
    real = runs.failed

    def failed(draft: Draft, index: int, cause: Cause, error: Any, _: Any, *more: Any) -> None:
        real(draft, index, cause, error, None, *more)

    return [Swap(runs, "failed", failed)]


def _result_cut() -> Swaps:
    def outcome_of_value(value: object, phase: Any, declared: Any) -> Any:
        found = outcomes.outcome_of_value(value, phase, declared)
        if isinstance(found, Returned) and found.value is not None:
            # Stored as its words.
            return Returned(str(found.value))
        return found

    return [Swap(handler, "outcome_of_value", outcome_of_value)]


def _progress_of_before() -> Swaps:
    """What a phase told last is recorded as the first progress of the next."""
    real = JobActor._take_progress

    def take_progress(self: JobActor) -> Progress | None:
        kept = self._progress
        taken = real(self)
        self._progress = kept
        return taken

    return [Swap(JobActor, "_take_progress", take_progress)]


def _snooze_at_once() -> Swaps:
    real = Draft.reschedule

    def reschedule(self: Draft, cause: Cause, delay: float, **more: Any) -> None:
        real(self, cause, 0.0, **more)

    return [Swap(Draft, "reschedule", reschedule)]


MUTANTS = (
    Mutant(
        name="retry-drops-results",
        says="A retry from a later phase loses the results of the phases before it.",
        shipped="a SQLite job queue: a partial retry cleared the results",
        oracles=("O9",),
        suites=("retries", "cancel_at_phase_boundary"),
        swaps=_results_dropped,
    ),
    Mutant(
        name="retry-passes-over-phases",
        says="A retry may start from a phase although one before it has not completed.",
        shipped="such a system would make at this place: the phase that was named is taken",
        oracles=("O12", "O9"),
        suites=("retries",),
        swaps=_later_than_unfinished,
    ),
    Mutant(
        name="retry-runs-all-again",
        says="A retry from a later phase runs those before it again.",
        shipped="most job queues: a retry is one of the whole job",
        oracles=("O9",),
        suites=("retries", "cancel_at_phase_boundary"),
        swaps=_from_the_first,
    ),
    Mutant(
        name="retry-keeps-the-tries",
        says="A retry begins with the tries that were used up before.",
        shipped="a task manager: a fresh edit was suppressed by the failures before it",
        oracles=("O29",),
        suites=("retries",),
        swaps=_tries_kept,
    ),
    Mutant(
        name="losses-forgotten",
        says="A job that begins anew after a loss forgets how often it was lost.",
        shipped="such a system would make at this place: a crash loop without end",
        oracles=("O29",),
        suites=("restart",),
        swaps=_losses_forgotten,
    ),
    Mutant(
        name="retry-in-the-same-run",
        says="A retry goes on with the number of the run that has ended.",
        shipped="such a system would make at this place: two ends under one number",
        oracles=("O2", "O8"),
        suites=("retries", "cancel_at_phase_boundary"),
        swaps=_in_the_same_run,
    ),
    Mutant(
        name="first-failure-is-the-last",
        says="A try that fails ends the job, whatever its policy says.",
        shipped="such a system would make at this place: the policy is stored, and not asked",
        oracles=("O29",),
        suites=("retries",),
        swaps=_for_good,
    ),
    Mutant(
        name="result-is-text",
        says="A result comes back as text.",
        shipped="such a system would make at this place: a column without a type",
        oracles=("O9",),
        suites=("retries",),
        swaps=_result_cut,
    ),
    Mutant(
        name="progress-of-the-phase-before",
        says="The progress of a phase is told again for the next one.",
        shipped="a task manager: what one turn did was shown for another",
        oracles=("O21",),
        suites=("restart", "limits", "cancel_at_phase_boundary"),
        swaps=_progress_of_before,
    ),
    Mutant(
        name="backoff-ignored",
        says="What is to be tried later is tried at once.",
        shipped="such a system would make at this place: a retry storm",
        oracles=("O22",),
        suites=("retries",),
        swaps=_snooze_at_once,
    ),
)
