"""Ends: a run has one, it stays, and nothing comes after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from triphase_protocol import TERMINAL_EVENTS, TRANSITIONS, Event, EventType, JobState

from .reading import MOMENT, Reading, is_terminal
from .violations import Violation

_AFTER: Final = {EventType.JOB_RETRIED, EventType.JOB_STALE, EventType.JOB_DELETED}
_STATE_OF: Final = {
    event_type: state
    for row in TRANSITIONS.values()
    for event_type, state in row.items()
    if event_type in TERMINAL_EVENTS
}


class TerminalStays:
    """O1."""

    name = "O1"
    says = "A job that has ended stays as it is until it is retried or deleted."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return what happened to jobs that had ended."""
        history = reading.history
        for job, events in history.by_job().items():
            ended: Event | None = None
            for event in events:
                if event.type is EventType.JOB_RETRIED:
                    ended = None
                elif ended is None:
                    ended = event if event.type in TERMINAL_EVENTS else None
                elif not _may_follow(event, ended):
                    message = f"{event.type.value} after {ended.type.value}"
                    yield Violation(self.name, job, event.seq, None, message)


class OneEnd:
    """O2."""

    name = "O2"
    says = "Each run that ends its job has one terminal event, and the row says the same."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return runs with too many ends or none, and rows that say something else."""
        history = reading.history
        last: dict[str, Event] = {}
        counts: Counter[tuple[str, int]] = Counter()
        for event in history.log:
            if event.type in TERMINAL_EVENTS:
                counts[event.job, event.run] += 1
                last[event.job] = event
                if counts[event.job, event.run] == 2:
                    message = f"a second end of run {event.run}: {event.type.value}"
                    yield Violation(self.name, event.job, event.seq, None, message)
            elif event.type is EventType.JOB_RETRIED and not counts[event.job, event.run - 1]:
                message = f"run {event.run} was opened before the one before it had an end"
                yield Violation(self.name, event.job, event.seq, None, message)
        for row in history.jobs:
            end = last.get(row.id)
            if not row.terminal:
                continue
            if end is None or end.run != row.run:
                message = f"the row says {row.state.value}, and its run has no terminal event"
                yield Violation(self.name, row.id, None, None, message)
            elif _STATE_OF[end.type] is not row.state:
                message = f"the row says {row.state.value}, the event {end.type.value}"
                yield Violation(self.name, row.id, end.seq, None, message)


class OnlyTheEndedAreDeleted:
    """O13."""

    name = "O13"
    says = "Only a job that ended long enough ago is deleted, and nothing of it follows."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return deletions that were wrong, and what followed a deletion."""
        for job, steps in reading.steps.items():
            gone: Event | None = None
            for step in steps:
                event = step.event
                if gone is not None:
                    message = f"{event.type.value} after the job was deleted"
                    yield Violation(self.name, job, event.seq, None, message)
                elif event.type is EventType.JOB_DELETED:
                    gone = event
                    yield from self._deletion(reading, event, step.before)
            if gone is not None and job in reading.rows:
                message = "the row of a deleted job is still there"
                yield Violation(self.name, job, gone.seq, None, message)
        for ran in reading.ran:
            gone = reading.deleted.get(ran.job)
            if gone and not reading.stepped and ran.began > reading.virtual(gone) + MOMENT:
                message = f"a handler of {ran.phase} started after the job was deleted"
                yield Violation(self.name, ran.job, gone.seq, ran.began, message)

    def _deletion(
        self, reading: Reading, event: Event, state: JobState | None
    ) -> Iterable[Violation]:
        if not is_terminal(state):
            message = f"deleted while {state.value if state else 'unknown'}"
            yield Violation(self.name, event.job, event.seq, None, message)
            return
        kept = reading.scenario.retention
        if kept is None:
            message = "deleted, and nothing says that it should be"
            yield Violation(self.name, event.job, event.seq, None, message)
            return
        ended = [
            step.event.at
            for step in reading.steps[event.job]
            if step.event.type in TERMINAL_EVENTS and step.event.seq < event.seq
        ]
        if ended and not reading.stepped and event.at < ended[-1] + kept - MOMENT:
            message = f"deleted {event.at - ended[-1]:.3f} s after its end, not {kept:g} s"
            yield Violation(self.name, event.job, event.seq, None, message)


def _may_follow(event: Event, ended: Event) -> bool:
    """True if an event may follow an end, or is another end of the same run: that is for O2."""
    second = event.type in TERMINAL_EVENTS and event.run == ended.run
    return second or event.type in _AFTER or event.type.value.startswith("hook.")
