"""Phases: what completed stays and is not run again; what is told of a try is of that try."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from triphase_protocol import TERMINAL_EVENTS, Event, EventType, Job, JobState, PhaseState

from .reading import MOMENT, Reading
from .violations import Violation

_BEGIN_ANEW: Final = (EventType.JOB_RETRIED, EventType.JOB_SCHEDULED)
_RESULTLESS: Final = {"huge", "unstorable"}
_NO_RESULT: Final = object()


class CompletedStays:
    """O9, and O27."""

    name = "O9"
    says = "A completed phase keeps its result and is not run again unless an event names it."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return phases that ran again, or have other results than their handlers gave."""
        history = reading.history
        started: dict[tuple[str, int, str, int], Event] = {}
        for job, events in history.by_job().items():
            yield from self._again(job, events)
            yield from self._begins(reading, job, events)
            for event in events:
                if event.type is EventType.PHASE_STARTED:
                    started[job, event.run, str(event.phase), event.data.get("attempt", 0)] = event
        yield from self._handlers(reading, started)
        for row in history.jobs:
            yield from self._row(reading, row)

    def _again(self, job: str, events: list[Event]) -> Iterable[Violation]:
        completed: set[str] = set()
        for event in events:
            if "layout" in event.data:
                completed = {
                    name for name, word in event.data["layout"].items() if word == "completed"
                }
            if event.type in _BEGIN_ANEW:
                completed -= set(event.data.get("phases", ()))
            elif event.type is EventType.PHASE_STARTED and event.phase in completed:
                message = f"{event.phase} had completed, and was started again"
                yield Violation(self.name, job, event.seq, None, message)
            elif event.type is EventType.PHASE_COMPLETED:
                completed.add(str(event.phase))

    def _begins(self, reading: Reading, job: str, events: list[Event]) -> Iterable[Violation]:
        """Find out if a retry began anywhere else than it should."""
        names = [str(name) for name in events[0].data.get("phases", ())]
        key = next((name for name, id in reading.ids.items() if id == job), None)
        asked = {
            op.about
            for op in reading.scenario.ops
            if op.what == "retry" and op.job == key and op.about in names
        }
        completed: set[str] = set()
        for event in events:
            if "layout" in event.data:
                return
            if event.type in _BEGIN_ANEW:
                again = list(event.data.get("phases", ()))
                if event.type is EventType.JOB_RETRIED:
                    left = [name for name in names if name not in completed]
                    allowed = [names.index(str(name)) for name in asked]
                    if left:
                        first = names.index(left[0])
                        allowed = [first, *(min(first, place) for place in allowed)]
                    if again not in [names[place:] for place in allowed]:
                        message = "a retry ran other phases again than it had to"
                        yield Violation(self.name, job, event.seq, None, message)
                completed -= set(again)
            elif event.type is EventType.PHASE_COMPLETED:
                completed.add(str(event.phase))

    def _handlers(
        self, reading: Reading, started: dict[tuple[str, int, str, int], Event]
    ) -> Iterable[Violation]:
        seen: set[tuple[str, int, str, int]] = set()
        returned: set[tuple[str, int, str, int]] = set()
        for ran in reading.ran:
            key = (ran.job, ran.run, ran.phase, ran.attempt)
            event = started.get(key)
            if event is None:
                message = f"a handler of {ran.phase} ran, and no event says that it started"
                yield Violation(self.name, ran.job, None, ran.began, message)
            elif not reading.stepped and ran.began < reading.virtual(event) - MOMENT:
                message = f"a handler of {ran.phase} ran before its start was decided"
                yield Violation(self.name, ran.job, event.seq, ran.began, message)
            if key in seen:
                message = f"one try of {ran.phase} was run twice"
                yield Violation(self.name, ran.job, None, ran.began, message)
            seen.add(key)
            if ran.how == "returned":
                returned.add(key)
        for event in reading.log:
            key = (event.job, event.run, str(event.phase), event.data.get("attempt", 0))
            if event.type is EventType.PHASE_COMPLETED and key not in returned:
                message = f"{event.phase} completed, and no handler of that try returned"
                yield Violation(self.name, event.job, event.seq, None, message)

    def _row(self, reading: Reading, row: Job) -> Iterable[Violation]:
        for phase in row.phases:
            if row.terminal and phase.state in (PhaseState.PENDING, PhaseState.RUNNING):
                message = f"the job has ended, and {phase.name} is {phase.state.value}"
                yield Violation(self.name, row.id, None, None, message)
            elif row.state is JobState.COMPLETED and phase.state is not PhaseState.COMPLETED:
                message = f"the job has completed, and {phase.name} is {phase.state.value}"
                yield Violation(self.name, row.id, None, None, message)
            if phase.state is not PhaseState.COMPLETED:
                continue
            expected = _result(reading, row, phase.name, phase.attempt)
            if expected is not _NO_RESULT and phase.result != expected:
                message = f"the result of {phase.name} is not what its handler returned"
                yield Violation(self.name, row.id, None, None, message)
        interrupted = any(phase.state is PhaseState.INTERRUPTED for phase in row.phases)
        if row.state is JobState.INTERRUPTED and not interrupted:
            message = "the job was interrupted, and none of its phases says so"
            yield Violation(self.name, row.id, None, None, message)
        if row.state is JobState.COMPLETED and row.phases and row.result != row.phases[-1].result:
            message = "the job's result is not that of its last phase"
            yield Violation(self.name, row.id, None, None, message)


def _result(reading: Reading, row: Job, phase: str, attempt: int) -> Any:
    """Return what the script of a try returns."""
    steps = reading.script(row.id, phase, attempt)
    spec = reading.phase_spec(row.id, phase)
    if steps is None or spec is None or any(step[0] in _RESULTLESS for step in steps):
        return _NO_RESULT
    if spec.plain:
        steps = [step for step in steps if step[0] != "progress"]
    return steps[-1][1] if steps and steps[-1][0] == "return" else None


class ProgressRises:
    """O21."""

    name = "O21"
    says = "The progress of a try is what its handler told, in that order, and ends with it."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return progress of other tries, and progress that nobody told or that went back."""
        history = reading.history
        for job, events in history.by_job().items():
            attempts: dict[str, int | None] = {}
            told: dict[str, float] = {}
            for event in events:
                name = str(event.phase)
                if event.type is EventType.PHASE_STARTED:
                    attempts[name] = event.data.get("attempt", 0)
                    told.pop(name, None)
                elif event.type is EventType.PHASE_PROGRESS:
                    attempt, done = event.data.get("attempt", 0), float(event.data["done"])
                    if attempts.get(name) != attempt:
                        message = f"progress of a try of {name} that does not run"
                        yield Violation(self.name, job, event.seq, None, message)
                    script = reading.script(job, name, attempt)
                    wrong = _wrong(script, told.get(name), done)
                    if wrong is not None:
                        yield Violation(self.name, job, event.seq, None, f"{name}: {wrong}")
                    told[name] = done
                elif event.phase is not None and event.type.value.startswith("phase."):
                    attempts[name] = None
                elif event.type in TERMINAL_EVENTS:
                    attempts.clear()


def _wrong(script: list[list[object]] | None, before: float | None, done: float) -> str | None:
    """Return what is wrong about a progress, by what the script tells; None if nothing is."""
    if script is None:
        return None
    values = [float(str(step[1])) for step in script if step[0] == "progress"]
    if done not in values:
        return "a progress that its handler never told"
    if before is not None and done < before and values == sorted(values):
        return "its progress fell"
    return None
