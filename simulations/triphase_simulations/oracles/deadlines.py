"""Times: what takes too long is ended, and what is to stop has stopped within its graces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from triphase_protocol import EventType, JobState, StopCause

from .due import wrong_dues
from .lives import Life, Step
from .reading import EPOCH, MOMENT, Reading, is_stubborn, part
from .tries import wrong_tries
from .violations import Violation

LOOK_MOST: Final = 0.5
"""Virtual seconds that a deadline may have passed before somebody acts on it."""

_WAITING: Final = (JobState.SCHEDULED, JobState.GATED, JobState.QUEUED)


@attrs.frozen
class _Wait:
    """A wait of a job, and when it has been too long."""

    job: str
    seq: int
    begun: float
    deadline: float
    end: float | None
    """When it ended; None if it did not."""

    last: Step | None
    """What ended it."""


class Overdue:
    """O22."""

    name = "O22"
    says = "What has waited or run too long is ended as soon as somebody is there, and not before."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return waits and tries that were too long, and ends that came too early.

        Of tries that were too long only those are judged that a cancel ends at once. Where the wall
        clock was set, no wait is judged, and no deadline of a whole job.
        """
        history = reading.history
        yield from wrong_tries(reading, self.name)
        yield from wrong_dues(reading, self.name)
        if reading.stepped:
            return
        windows = reading.windows()
        for job in reading.steps:
            for wait in _waits(reading, job):
                end = history.seconds if wait.end is None else wait.end
                for begin, until in windows:
                    # From when on a process that is there for long enough could have acted.
                    since = max(begin, wait.begun, wait.deadline)
                    if since + LOOK_MOST <= until and end > since + LOOK_MOST:
                        message = "its deadline passed, and nobody acted on it"
                        yield Violation(self.name, job, wait.seq, since, message)
                        break
            yield from self._early(reading, job)

    def _early(self, reading: Reading, job: str) -> Iterable[Violation]:
        if job not in reading.rows:
            return
        passed = {
            wait.last.event.seq
            for wait in _waits(reading, job)
            if wait.last is not None and wait.end is not None and wait.deadline <= wait.end + MOMENT
        }
        for step in reading.steps[job]:
            event = step.event
            if event.type is not EventType.JOB_FAILED or step.before not in _WAITING:
                continue
            timed_out = part(event.data.get("error"), "type") == "Timeout"
            if timed_out and event.seq not in passed:
                message = "it was ended for a deadline that had not passed"
                yield Violation(self.name, job, event.seq, reading.virtual(event), message)


def _waits(reading: Reading, job: str) -> Iterator[_Wait]:
    """Return each wait of a job that may last only so long."""
    steps, spec = reading.steps[job], reading.spec_of(job)
    row = reading.rows.get(job)
    if spec is None or row is None or any("layout" in step.event.data for step in steps):
        return
    started: float | None = None
    moving = [step for step in steps if step.event.type.value.startswith("job.")]
    for place, step in enumerate(moving):
        event, time = step.event, reading.virtual(step.event)
        if event.type is EventType.JOB_RETRIED:
            started = None
        elif event.type is EventType.JOB_STARTED and started is None:
            started = time
        if step.after not in _WAITING:
            continue
        deadlines: list[float] = []
        if row.timeouts.job is not None and started is not None:
            deadlines.append(started + row.timeouts.job)
        if step.after is JobState.QUEUED and row.timeouts.queue is not None:
            deadlines.append(time + row.timeouts.queue)
        if step.after is JobState.GATED and event.data.get("deadline") is not None:
            deadlines.append(float(event.data["deadline"]) - EPOCH)
        last = moving[place + 1] if place + 1 < len(moving) else None
        end = None if last is None else reading.virtual(last.event)
        if deadlines:
            yield _Wait(job, event.seq, time, min(deadlines), end, last)


class StopsInTime:
    """O23."""

    name = "O23"
    says = "What is to stop has stopped within its graces, and at once if its handler lets it."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return stops that took longer."""
        history = reading.history
        for steps in reading.steps.values():
            phase, attempt = "", 0
            asked: Step | None = None
            for step in steps:
                event = step.event
                if event.type is EventType.PHASE_STARTED:
                    phase, attempt = str(event.phase), int(event.data.get("attempt", 0))
                elif step.after is JobState.STOPPING and step.before is JobState.RUNNING:
                    asked = step
                elif step.before is JobState.STOPPING and step.after is not JobState.STOPPING:
                    if asked is not None:
                        end = reading.virtual(event)
                        yield from self._stop(reading, asked, end, (phase, attempt))
                    asked = None
            if asked is not None:
                yield from self._stop(reading, asked, history.seconds, (phase, attempt))

    def _stop(
        self, reading: Reading, asked: Step, end: float, what: tuple[str, int]
    ) -> Iterable[Violation]:
        event = asked.event
        begin = reading.virtual(event)
        script = reading.script(event.job, *what)
        bound = event.data["grace_until" if is_stubborn(script) else "cancel_at"] - EPOCH
        life = _life(reading, begin)
        if life is None or begin < reading.calm_since:
            return
        there = life.gone is None or life.gone > bound + MOMENT
        if end > bound + MOMENT and there:
            cause = "cancel" if event.data.get("cause") == StopCause.CANCEL.value else "timeout"
            message = f"a {cause} took {end - bound:g} s longer than its graces"
            yield Violation(self.name, event.job, event.seq, end, message)


def _life(reading: Reading, time: float) -> Life | None:
    """Return the life that was there at a time, if it did not crash later."""
    for life in reading.lives:
        begun = life.opened is not None and life.opened <= time
        if begun and life.crashed_at is None and (life.gone is None or time <= life.gone):
            return life
    return None
