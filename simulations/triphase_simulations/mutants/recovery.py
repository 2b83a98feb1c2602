"""Mistakes about what a dead process leaves: forgotten, charged wrongly, or run again."""

from __future__ import annotations

from typing import Any

import attrs

from triphase import lifecycle
from triphase.job_actor import JobActor
from triphase.lifecycle import stops
from triphase.lifecycle.draft import Draft, charge
from triphase.reconciler import Reconciler
from triphase.registry import Registry
from triphase_protocol import (
    Cause,
    EventType,
    IllegalTransition,
    Interrupt,
    Job,
    JobState,
    OnRestart,
    PhaseRecord,
    PhaseState,
    Recovery,
    SnoozePhase,
    StopCause,
)

from .mutant import Mutant, Swap, Swaps


def _interrupts(change: Any) -> Any:
    """Return swaps that change the command by which a run is put back."""

    def swaps() -> Swaps:
        def interrupt(draft: Draft, command: Interrupt) -> None:
            stops.interrupt(draft, change(command))

        return [Swap(lifecycle._RULES, Interrupt, interrupt)]

    return swaps


def _never_recovered() -> Swaps:
    async def recover(self: Reconciler) -> None:
        await self.writer.flush()

    return [Swap(Reconciler, "_recover", recover)]


def _fails_all(command: Interrupt) -> Interrupt:
    return attrs.evolve(command, policy=attrs.evolve(command.policy, then=OnRestart.FAIL))


def _no_budget(command: Interrupt) -> Interrupt:
    return attrs.evolve(command, policy=attrs.evolve(command.policy, lost_most=1_000_000))


def _charged_as_error(cause: Cause) -> Any:
    def swaps() -> Swaps:
        def charged(phase: PhaseRecord, what: Cause) -> dict[str, int]:
            return charge(phase, Cause.ERROR if what is cause else what)

        return [Swap(stops, "charge", charged)]

    return swaps


def _snooze_charged() -> Swaps:
    real = lifecycle._RULES[SnoozePhase]

    def snooze_phase(draft: Draft, command: SnoozePhase) -> None:
        real(draft, command)
        for index, phase in enumerate(draft.phases):
            if phase.state is PhaseState.INTERRUPTED:
                spent = dict(phase.spent)
                spent["error"] = spent.pop("snooze", 0) + spent.get("error", 0)
                draft.phases[index] = attrs.evolve(phase, spent=spent)

    return [Swap(lifecycle._RULES, SnoozePhase, snooze_phase)]


def _charged_twice() -> Swaps:
    def charged(phase: PhaseRecord, cause: Cause) -> dict[str, int]:
        spent = charge(phase, cause)
        return {**spent, cause.value: spent[cause.value] + (cause is Cause.LOST)}

    return [Swap(stops, "charge", charged)]


def _policy_ignored() -> Swaps:
    real = Registry.recovery_of

    def recovery_of(self: Registry, name: str) -> Recovery:
        return attrs.evolve(real(self, name), then=OnRestart.RESUME)

    return [Swap(Registry, "recovery_of", recovery_of)]


def _from_the_first() -> Swaps:
    real = stops._put_back

    def put_back(draft: Draft, cause: Cause, phases: list[str] | None = None) -> None:
        draft.phases[:] = [
            attrs.evolve(phase, state=PhaseState.PENDING, result=None) for phase in draft.phases
        ]
        real(draft, cause, phases)

    return [Swap(stops, "_put_back", put_back)]


def _phase_forgotten() -> Swaps:
    real = Draft.end

    def end(self: Draft, event: EventType, **more: Any) -> None:
        if event is EventType.JOB_INTERRUPTED:
            for index, phase in enumerate(list(self.phases)):
                if phase.state is PhaseState.INTERRUPTED:
                    self.emit_phase(index, EventType.PHASE_CANCELLED, finished_at=self.now)
        real(self, event, **more)

    return [Swap(Draft, "end", end)]


def _cancel_forgotten() -> Swaps:
    def interrupt(draft: Draft, command: Interrupt) -> None:
        job = draft.job
        if job.stop is not None and job.state is JobState.STOPPING:
            stop = attrs.evolve(job.stop, cause=StopCause.TIMEOUT, deadline=None)
            draft.job = attrs.evolve(job, stop=stop)
        stops.interrupt(draft, command)
        draft.job = job

    return [Swap(lifecycle._RULES, Interrupt, interrupt)]


def _one_at_most() -> Swaps:
    real = Reconciler._interrupt

    def interrupt(self: Reconciler, job: Job) -> Interrupt:
        # The bound is applied before anybody looks which of them need anything.
        passed = self._passed.setdefault("-", 0)
        self._passed["-"] = passed + 1
        if passed:
            raise IllegalTransition("enough for one look")
        return real(self, job)

    return [Swap(Reconciler, "_interrupt", interrupt)]


def _lost_at_shutdown() -> Swaps:
    real = JobActor.stopped

    async def stopped(self: JobActor) -> None:
        self._why = attrs.evolve(self._why, cause=Cause.LOST)
        await real(self)

    return [Swap(JobActor, "stopped", stopped)]


MUTANTS = (
    Mutant(
        name="orphans-stay",
        says="What a dead process was running stays as it is: nobody looks for it.",
        shipped="procrastinate: stalled jobs stay `doing`, but for a task of your own",
        oracles=("O12",),
        suites=("restart",),
        swaps=_never_recovered,
    ),
    Mutant(
        name="one-orphan-a-start",
        says="A bound on the recovery leaves all but the first of the lost runs where they are.",
        shipped="a task manager: the newest thousand were looked at, ended ones included",
        oracles=("O12",),
        suites=("restart", "limits"),
        swaps=_one_at_most,
    ),
    Mutant(
        name="recovery-fails-all",
        says="A restart fails every job that was running.",
        shipped="a SQLite job queue: opening it once more failed all that was running",
        oracles=("O29",),
        suites=("restart",),
        swaps=_interrupts(_fails_all),
    ),
    Mutant(
        name="restart-policy-ignored",
        says="Every interrupted run is resumed, whatever its type says.",
        shipped="most job queues have one policy: what must not run twice does",
        oracles=("O29",),
        suites=("restart", "shutdown"),
        swaps=_policy_ignored,
    ),
    Mutant(
        name="interrupted-phase-forgotten",
        says="An interrupted job does not say which of its phases was interrupted.",
        shipped="a SQLite job queue: recovery dropped which phase was interrupted",
        oracles=("O9",),
        suites=("restart", "shutdown"),
        swaps=_phase_forgotten,
    ),
    Mutant(
        name="recovery-from-the-first-phase",
        says="A job that is put back runs the phases again that had completed.",
        shipped="most job queues: what is redelivered is the whole job",
        oracles=("O9",),
        suites=("restart", "shutdown"),
        swaps=_from_the_first,
    ),
    Mutant(
        name="lost-charged-to-errors",
        says="A process that dies uses up a try that errors may use.",
        shipped="Oban in Python, Absurd, Hatchet: losses and errors share one count",
        oracles=("O29",),
        suites=("restart",),
        swaps=_charged_as_error(Cause.LOST),
    ),
    Mutant(
        name="shutdown-charged-to-errors",
        says="A restart in good order uses up a try that errors may use.",
        shipped="River until 2026 (#1290): shutdowns were counted as errors",
        oracles=("O29",),
        suites=("restart", "shutdown"),
        swaps=_charged_as_error(Cause.SHUTDOWN),
    ),
    Mutant(
        name="shutdown-taken-for-a-loss",
        says="A restart in good order counts as a lost process.",
        shipped="such a system would make at this place: one cause for all that has not finished",
        oracles=("O29",),
        suites=("restart", "shutdown"),
        swaps=_lost_at_shutdown,
    ),
    Mutant(
        name="snooze-charged-to-errors",
        says="A handler that asks to be tried later uses up a try that errors may use.",
        shipped="such a system would make at this place: a snooze is one more try that failed",
        oracles=("O29",),
        suites=("retries",),
        swaps=_snooze_charged,
    ),
    Mutant(
        name="loss-charged-twice",
        says="A lost process is counted twice.",
        shipped="a chat platform, until it was mended: a repeated suspension spent another retry",
        oracles=("O29",),
        suites=("restart",),
        swaps=_charged_twice,
    ),
    Mutant(
        name="crash-loop-unbounded",
        says="A job that kills its process is started again, however often it has.",
        shipped="a chat platform, until it was mended: a turn that is interrupted again and again",
        oracles=("O29",),
        suites=("restart",),
        swaps=_interrupts(_no_budget),
    ),
    Mutant(
        name="cancel-forgotten-at-a-crash",
        says="A job that was being cancelled as its process died is resumed.",
        shipped="Restate #3656, a coding agent's job runner: a cancel without effect",
        oracles=("O28",),
        suites=("restart", "shutdown"),
        swaps=_cancel_forgotten,
    ),
)
