"""Survival: what was accepted is kept, gets on and comes to its end, whatever dies meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from triphase_protocol import EventType, JobState
from triphase_simulations.history import History

from .reading import EPOCH, Reading, holds
from .violations import Violation

LOOK: Final = 10.5
"""Virtual seconds that a job may be due before somebody queues it."""

LOST: Final = 25.0
"""Virtual seconds after which a run without a handler is lost: two looks of the reconciler."""

_RELEASING: Final = {
    EventType.JOB_SCHEDULED,
    EventType.JOB_GATED,
    EventType.JOB_COMPLETED,
    EventType.JOB_FAILED,
    EventType.JOB_CANCELLED,
    EventType.JOB_INTERRUPTED,
    EventType.JOB_DELETED,
}


class Survival:
    """O12."""

    name = "O12"
    says = "Every job ends when nothing disturbs, and a lost run is put back before any starts."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return jobs that did not end or get on, and runs that were left to a dead owner."""
        history = reading.history
        if not history.settled:
            yield Violation(self.name, None, None, history.seconds, "the run did not settle")
        for row in history.jobs:
            if not row.terminal:
                message = f"it did not end: it is {row.state.value}"
                yield Violation(self.name, row.id, None, history.seconds, message)
        yield from self._owners(history)
        for job in reading.steps:
            yield from self._stuck(reading, job)

    def _owners(self, history: History) -> Iterable[Violation]:
        owners: dict[str, str] = {}
        for event in history.log:
            if event.type is EventType.JOB_STARTED:
                owner = str(event.data.get("owner"))
                for job, other in list(owners.items()):
                    if other != owner:
                        message = "its owner is gone, and another runtime started a job first"
                        yield Violation(self.name, job, event.seq, None, message)
                        del owners[job]
                owners[event.job] = owner
            elif event.type in _RELEASING:
                owners.pop(event.job, None)

    def _stuck(self, reading: Reading, job: str) -> Iterable[Violation]:
        """Find out if a job stood still while a process was up that had to bring it on."""
        moving = [step for step in reading.steps[job] if step.event.type.value.startswith("job.")]
        windows = reading.windows()
        for place, step in enumerate(moving):
            last = moving[place + 1] if place + 1 < len(moving) else None
            end = reading.seconds if last is None else reading.virtual(last.event)
            begin = reading.virtual(step.event)
            if step.after is JobState.SCHEDULED and "due_at" in step.event.data:
                due = float(step.event.data["due_at"]) - EPOCH
                if any(_overlap(window, max(begin, due), end) > LOOK for window in windows):
                    message = "it is due, and nobody queues it"
                    yield Violation(self.name, job, step.event.seq, due, message)
            elif holds(step.after):
                for first, until in _idle(reading, job, begin, end):
                    if any(_overlap(window, first, until) > LOST for window in windows):
                        message = "it holds a slot, and nothing of it runs"
                        yield Violation(self.name, job, step.event.seq, first, message)


def _overlap(window: tuple[float, float], begin: float, end: float) -> float:
    return min(window[1], end) - max(window[0], begin)


def _idle(reading: Reading, job: str, begin: float, end: float) -> Iterator[tuple[float, float]]:
    """Return the times between two in which no handler of a job ran."""
    for ran in sorted((ran for ran in reading.ran if ran.job == job), key=lambda ran: ran.began):
        until = reading.seconds if ran.ended is None else ran.ended
        if until >= begin and ran.began <= end:
            yield begin, ran.began
            begin = max(begin, until)
    yield begin, end


class Accepted:
    """O24."""

    name = "O24"
    says = "What was accepted is in the log once, under one id for each key."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return submits that were lost or doubled."""
        history, scenario = reading.history, reading.scenario
        submitted: dict[str, int] = {}
        for event in history.log:
            if event.type is EventType.JOB_SUBMITTED:
                if event.job in submitted:
                    message = "submitted a second time"
                    yield Violation(self.name, event.job, event.seq, None, message)
                submitted[event.job] = event.seq
        ids: dict[str, str] = {}
        for call in (*reading.calls, *reading.remote):
            if call.op != "submit" or call.answer is None or call.answer.what != "answered":
                continue
            id, name = str(call.answer.data["answer"]["id"]), str(call.name)
            if id not in submitted:
                message = "a submit was accepted, and is not in the log"
                yield Violation(self.name, id, None, call.answer.time, message)
            if ids.setdefault(name, id) != id and ids[name] not in reading.deleted:
                message = "one key was answered with two ids"
                yield Violation(self.name, id, submitted.get(id), call.answer.time, message)
        kept = len(submitted.keys() - reading.deleted.keys())
        if kept > len(scenario.jobs):
            message = f"{kept} jobs, and {len(scenario.jobs)} were to be submitted"
            yield Violation(self.name, None, None, None, message)
