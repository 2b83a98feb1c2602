"""Tries: when each deadline passes that a handler runs under.

It is reckoned from what handlers did, as far as that goes: their times and the timers of a run go
by a clock that nobody sets, so that what is found holds although somebody sets the wall clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

import attrs

from triphase_protocol import Deadline, Event, EventType, JobState
from triphase_simulations.cast import PhaseSpec
from triphase_simulations.history import Ran

from .reading import MOMENT, Reading, is_stubborn
from .violations import Violation

ACT_MOST: Final = 0.05
"""Virtual seconds that a handler may run on when it should have been stopped."""

Key: TypeAlias = tuple[str, int, str, int]
"""Which job, run, phase and attempt."""


@attrs.frozen
class Try:
    """A handler that ran, and what it ran under."""

    ran: Ran
    phase: PhaseSpec
    script: list[list[object]] | None
    limits: Mapping[Deadline, float]
    """When each deadline passes; infinity if it has none, no entry if nobody can tell."""

    @property
    def key(self) -> Key:
        """Which try it is."""
        return self.ran.job, self.ran.run, self.ran.phase, self.ran.attempt


def wrong_tries(reading: Reading, oracle: str) -> Iterable[Violation]:
    """Return tries that were stopped for a deadline too early, or ran on when one had passed.

    Args:
      reading: what is read.
      oracle: who says so.
    """
    yield from _stopped_early(reading, oracle)
    yield from _ran_on(reading, oracle)


def _stopped_early(reading: Reading, oracle: str) -> Iterable[Violation]:
    stops = _stops(reading)
    for each in tries(reading, -MOMENT):
        stop, ran = stops.get(each.key), each.ran
        if stop is None:
            continue
        deadline = Deadline(stop.data["deadline"])
        time: float | None = reading.virtual(stop)
        if reading.stepped:
            # One that is cancelled ends after it was told to, and by a clock that nobody sets. What
            # had returned before says nothing: its end may have waited behind a slow store.
            time = ran.ended if ran.how == "cancelled" else None
        limit = each.limits.get(deadline)
        if time is not None and limit is not None and time < limit:
            message = f"{ran.phase} was stopped before its {deadline.value} deadline had passed"
            yield Violation(oracle, ran.job, stop.seq, time, message)


def _ran_on(reading: Reading, oracle: str) -> Iterable[Violation]:
    windows = reading.windows(reading.quiet_since)
    for each in tries(reading, MOMENT):
        ran = each.ran
        if is_stubborn(each.script):
            continue
        end = reading.seconds if ran.ended is None else ran.ended
        for deadline, limit in each.limits.items():
            until = max(ran.began, limit) + each.phase.ask_grace + ACT_MOST
            calm = any(begin <= ran.began and until <= over for begin, over in windows)
            if end > until and calm:
                message = f"{ran.phase} ran on when its {deadline.value} deadline had passed"
                yield Violation(oracle, ran.job, None, limit, message)


def _stops(reading: Reading) -> dict[Key, Event]:
    """Return what stopped each try that was stopped since a deadline had passed."""
    found: dict[Key, Event] = {}
    for job, steps in reading.steps.items():
        phase, attempt = "", 0
        for step in steps:
            event = step.event
            if event.type is EventType.PHASE_STARTED:
                phase, attempt = str(event.phase), int(event.data.get("attempt", 0))
            asked = event.type is EventType.JOB_STOPPING and step.before is JobState.RUNNING
            if asked and "deadline" in event.data:
                found[job, event.run, phase, attempt] = event
    return found


def tries(reading: Reading, margin: float) -> Iterator[Try]:
    """Return every try whose handler ran.

    Args:
      reading: what is read.
      margin: seconds that every timeout is taken to be longer. Where a progress and the end of
        its time are at the same moment, that decides which of them counts as the first.
    """
    begun: dict[tuple[str, int], float] = {}
    for ran in reading.ran:
        run = (ran.job, ran.run)
        begun[run] = min(ran.began, begun.get(run, math.inf))
    claims = {job: _first_claims(reading, job) for job in reading.steps}
    for ran in reading.ran:
        spec, phase = reading.spec_of(ran.job), reading.phase_spec(ran.job, ran.phase)
        if spec is None or phase is None:
            continue
        script = reading.script(ran.job, ran.phase, ran.attempt)
        limits = {
            Deadline.PHASE: ran.began + _or_never(phase.timeout) + margin,
            # Its timer begins with the run's first handler, not with the claim before it.
            Deadline.RUN: begun[ran.job, ran.run] + _or_never(spec.run_timeout) + margin,
        }
        if script is not None:
            most = _or_never(phase.progress_timeout) + margin
            limits[Deadline.PROGRESS] = ran.began + silence(script, most)
        claimed = claims.get(ran.job, {}).get(ran.run)
        if claimed is not None and not reading.stepped:
            limits[Deadline.JOB] = claimed + _or_never(spec.timeout) + margin
        yield Try(ran, phase, script, limits)


def silence(script: list[list[object]], most: float) -> float:
    """Return after how many seconds a handler has been silent for too long; infinity if never."""
    now = told = 0.0
    for word, *about in script:
        match word:
            case "progress":
                told = now
            case "sleep" | "shield" | "swallow":
                now += float(str(about[0]))
            case "forever" | "never" | "tidy":
                now = math.inf
            case _:
                return math.inf
        if now - told >= most:
            return told + most
    return math.inf


def _first_claims(reading: Reading, job: str) -> dict[int, float]:
    """Return for each run when the first run began since the job was submitted or retried."""
    found: dict[int, float] = {}
    first: float | None = None
    for step in reading.steps[job]:
        event = step.event
        if event.type is EventType.JOB_RETRIED:
            first = None
        elif event.type is EventType.JOB_STARTED:
            first = reading.virtual(event) if first is None else first
            found[event.run] = first
    return found


def _or_never(timeout: float | None) -> float:
    return math.inf if timeout is None else timeout
