"""Mistakes about time: deadlines that nobody watches, graces and budgets without end."""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from triphase import lifecycle
from triphase.job_actor import JobActor
from triphase.lifecycle import runs, stops, waits
from triphase.lifecycle.draft import Draft
from triphase.reconciler import Alarm, Reconciler
from triphase.run_timers import RunTimers
from triphase_protocol import Claim, Deadline, Job, Retry, Stop, StopHarder, StopStep
from triphase_simulations.world import WORLD

from .mutant import Mutant, Swap, Swaps


def _never(*deadlines: Deadline) -> Any:
    """Return swaps with which these deadlines of a run never pass."""

    def swaps() -> Swaps:
        def passed(self: RunTimers, now: float) -> Deadline | None:
            for deadline in deadlines:
                self.limits.pop(deadline, None)
            return real(self, now)

        def following(self: RunTimers) -> float:
            for deadline in deadlines:
                self.limits.pop(deadline, None)
            return real_next(self)

        real, real_next = RunTimers.passed, RunTimers.next
        return [Swap(RunTimers, "passed", passed), Swap(RunTimers, "next", following)]

    return swaps


def _waits_without(deadline: Deadline) -> Any:
    """Return swaps with which nobody watches this deadline of jobs that wait."""

    def swaps() -> Swaps:
        real = waits.waits

        def found(job: Job) -> list[tuple[float, Deadline]]:
            return [each for each in real(job) if each[1] is not deadline]

        return [Swap(waits, "waits", found)]

    return swaps


def _from_the_claim() -> Swaps:
    def claim(draft: Draft, command: Claim) -> None:
        runs.claim(draft, command)
        draft.to["started_at"] = draft.now

    return [Swap(lifecycle._RULES, Claim, claim)]


def _no_alarm() -> Swaps:
    def note(self: Alarm, jobs: Any) -> bool:
        return False

    async def set_alarm(self: Reconciler) -> None:
        self.alarm.at = math.inf

    async def expire(self: Reconciler) -> None:
        # Only when the runtime is opened.
        if self.sweeps.done == 0:
            await real(self)

    real = Reconciler._expire
    return [
        Swap(Alarm, "note", note),
        Swap(Reconciler, "_set_alarm", set_alarm),
        Swap(Reconciler, "_expire", expire),
    ]


def _endless_grace() -> Swaps:
    real = RunTimers.begin_to_stop

    def begin_to_stop(self: RunTimers, harder: float, abandon: float) -> None:
        real(self, harder, math.inf)

    return [Swap(RunTimers, "begin_to_stop", begin_to_stop)]


def _only_asked() -> Swaps:
    def stop_harder(draft: Draft, _: StopHarder) -> None:
        # Told to go on asking.
        stop = stops._stop_of(draft)
        stops._tell(draft, attrs.evolve(stop, step=StopStep.ASK, cancel_at=stop.grace_until))

    return [Swap(lifecycle._RULES, StopHarder, stop_harder)]


def _second_grace() -> Swaps:
    def ask(draft: Draft, stop: Stop) -> None:
        asking = stop.cancel_at > draft.now
        stops._tell(draft, attrs.evolve(stop, step=StopStep.ASK if asking else StopStep.CANCEL))

    real = RunTimers.begin_to_stop

    def begin_to_stop(self: RunTimers, harder: float, abandon: float) -> None:
        self.abandon = math.inf
        real(self, harder, abandon)

    def ask_to_stop(self: JobActor, context: Any) -> None:
        self._timers.abandon = math.inf
        real_ask(self, context)

    real_ask = JobActor._ask_to_stop
    return [
        Swap(stops, "_ask", ask),
        Swap(RunTimers, "begin_to_stop", begin_to_stop),
        Swap(JobActor, "_ask_to_stop", ask_to_stop),
    ]


def _still_timed() -> Swaps:
    def begin_to_stop(self: RunTimers, harder: float, abandon: float) -> None:
        self.harder, self.abandon = harder, abandon

    return [Swap(RunTimers, "begin_to_stop", begin_to_stop)]


def _attempts_ignored() -> Swaps:
    def allows(self: Retry, errors: int, timeouts: int) -> bool:
        return True

    return [Swap(Retry, "allows", allows)]


def _one_budget() -> Swaps:
    def allows(self: Retry, errors: int, timeouts: int) -> bool:
        return errors + timeouts < self.attempts

    return [Swap(Retry, "allows", allows)]


def _one_try_less() -> Swaps:
    def allows(self: Retry, errors: int, timeouts: int) -> bool:
        return errors + 1 < self.attempts and timeouts + 1 < self.attempts

    return [Swap(Retry, "allows", allows)]


def _by_the_wall() -> Swaps:
    """A deadline of a run is kept as a wall-clock time, which a step of the clock moves."""
    begun: WeakKeyDictionary[RunTimers, float] = WeakKeyDictionary()

    def moved(timers: RunTimers) -> float:
        return _stepped() - begun.setdefault(timers, _stepped())

    def passed(self: RunTimers, now: float) -> Deadline | None:
        return real(self, now + moved(self))

    def following(self: RunTimers) -> float:
        limits = [at - moved(self) for at in self.limits.values()]
        return min(self.flush, self.harder, self.abandon, *limits)

    real = RunTimers.passed
    return [Swap(RunTimers, "passed", passed), Swap(RunTimers, "next", following)]


def _stepped() -> float:
    """Return by how much the wall clock of the present world was set."""
    world = WORLD.get()
    if world is None:
        return 0.0
    return sum(float(entry.data["seconds"]) for entry in world.history.all("stepped") if entry.data)


MUTANTS = (
    Mutant(
        name="phase-timeout-ignored",
        says="A phase may take as long as it likes, whatever its timeout says.",
        shipped="BullMQ, Oban in Python: no time limit of a try",
        oracles=("O22",),
        suites=("deadlines",),
        swaps=_never(Deadline.PHASE),
    ),
    Mutant(
        name="progress-timeout-ignored",
        says="A handler may be silent as long as it likes.",
        shipped="most job queues: a handler that hangs is not told from one that works",
        oracles=("O22",),
        suites=("deadlines",),
        swaps=_never(Deadline.PROGRESS),
    ),
    Mutant(
        name="run-timeout-ignored",
        says="A run may take as long as it likes: only its phases are timed.",
        shipped="a chat platform: each request had its limit, and the loop of requests none",
        oracles=("O22",),
        suites=("deadlines",),
        swaps=_never(Deadline.RUN),
    ),
    Mutant(
        name="job-deadline-ignored",
        says="While a job runs nobody watches the time of the whole job.",
        shipped="a chat platform: the deadline was looked at when something arrived, only",
        oracles=("O22",),
        suites=("deadlines",),
        swaps=_never(Deadline.JOB),
    ),
    Mutant(
        name="job-deadline-from-the-last-claim",
        says="Each run begins the time of the whole job anew.",
        shipped="a coding agent's job runner: a timer that began anew at each restart",
        oracles=("O22",),
        suites=("deadlines",),
        swaps=_from_the_claim,
    ),
    Mutant(
        name="queue-timeout-ignored",
        says="A job may wait in its queue as long as it likes.",
        shipped="most job queues have no such limit",
        oracles=("O22",),
        suites=("deadlines",),
        swaps=_waits_without(Deadline.QUEUE),
    ),
    Mutant(
        name="deadlines-at-the-open-only",
        says="What waits too long is found when a runtime is opened, and not before.",
        shipped="a task manager: a record was brought up to date when somebody read it",
        oracles=("O22",),
        suites=("deadlines", "gates"),
        swaps=_no_alarm,
    ),
    Mutant(
        name="grace-without-end",
        says="A handler that will not stop is waited for, however long that takes.",
        shipped="a SQLite job queue: a handler that ignores its signal held the shutdown",
        oracles=("O23",),
        suites=("cancel_at_phase_boundary", "deadlines"),
        swaps=_endless_grace,
    ),
    Mutant(
        name="asked-and-never-made-to",
        says="A handler that was asked to stop is asked again, and never cancelled.",
        shipped="Oban in Python: a running task is not ended by force",
        oracles=("O23",),
        suites=("shutdown", "deadlines"),
        swaps=_only_asked,
    ),
    Mutant(
        name="second-grace",
        says="A second reason to stop gives a handler its graces once more.",
        shipped="such a system would make at this place: each stop sets its own timer",
        oracles=("O23",),
        suites=("deadlines", "shutdown"),
        swaps=_second_grace,
    ),
    Mutant(
        name="timed-while-stopping",
        says="A deadline that passes while a handler is being stopped stops it once more.",
        shipped="such a system would make at this place: a timer that nobody takes back",
        oracles=("O12", "O23"),
        suites=("deadlines",),
        swaps=_still_timed,
    ),
    Mutant(
        name="deadline-by-the-wall-clock",
        says="A run's timers follow the wall clock, which may be set.",
        shipped="oban-py before 0.6.2: a clock that went back",
        oracles=("O22",),
        suites=("deadlines",),
        swaps=_by_the_wall,
    ),
    Mutant(
        name="attempts-ignored",
        says="A phase that fails is tried again for ever.",
        shipped="Restate #3217: tried again for ever, three million times",
        oracles=("O29",),
        suites=("retries", "deadlines"),
        swaps=_attempts_ignored,
    ),
    Mutant(
        name="one-try-too-few",
        says="The last of the allowed tries is not made.",
        shipped="such a system would make at this place: tries and retries are not the same",
        oracles=("O29",),
        suites=("retries", "deadlines"),
        swaps=_one_try_less,
    ),
    Mutant(
        name="one-budget-for-all",
        says="Timeouts use up the tries that errors may use.",
        shipped="most job queues: one number of attempts, whatever used them up",
        oracles=("O29",),
        suites=("deadlines", "restart", "retries"),
        swaps=_one_budget,
    ),
)
