"""The log: its numbers, its runs, and that it folds to the rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from triphase_protocol import Event, EventType, IllegalTransition, fold

from .reading import Reading, holds
from .streams import judge_followers
from .violations import Violation

_OF_A_TRY: Final = {
    EventType.PHASE_STARTED,
    EventType.PHASE_PROGRESS,
    EventType.PHASE_COMPLETED,
    EventType.PHASE_FAILED,
    EventType.PHASE_INTERRUPTED,
}


class Fencing:
    """O8."""

    name = "O8"
    says = "No event names an older run, and none of a try comes when its run is over."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return events of runs that were over."""
        for job, steps in reading.steps.items():
            newest, started = 0, 0
            for step in steps:
                event = step.event
                if event.run < newest:
                    message = f"{event.type.value} of run {event.run}, when run {newest} had begun"
                    yield Violation(self.name, job, event.seq, None, message)
                newest = max(newest, event.run)
                if event.type is EventType.JOB_STARTED:
                    if event.run <= started:
                        message = f"run {event.run} was started a second time"
                        yield Violation(self.name, job, event.seq, None, message)
                    started = max(started, event.run)
                elif event.type in _OF_A_TRY and not holds(step.before):
                    state = step.before.value if step.before else "unknown"
                    message = f"{event.type.value} of a job that is {state}"
                    yield Violation(self.name, job, event.seq, None, message)


class Numbering:
    """O20."""

    name = "O20"
    says = "What is numbered rises by one, and who follows over a network receives all of it once."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return gaps and repetitions, in the log and of those who follow it."""
        history = reading.history
        seq = 0
        versions: dict[str, int] = {}
        for event in history.log:
            if event.seq != seq + 1:
                message = f"seq {event.seq} follows seq {seq}"
                yield Violation(self.name, event.job, event.seq, None, message)
            seq = event.seq
            before = versions.get(event.job, 0)
            if event.version != before + 1:
                message = f"version {event.version} of a job follows version {before}"
                yield Violation(self.name, event.job, event.seq, None, message)
            versions[event.job] = event.version
        ends = list(history.groups)
        if ends != sorted(set(ends)) or (ends and ends[-1] != seq):
            message = "the transactions do not cover the log, one after the other"
            yield Violation(self.name, None, None, None, message)
        yield from judge_followers(self.name, reading)


class Folding:
    """The rule that makes the log the truth."""

    name = "fold"
    says = "Each job's log could have been written by the tables, and folds to its row."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return logs that do not fold, and rows that are something else."""
        history = reading.history
        rows = {job.id: job for job in history.jobs}
        logs = history.by_job()
        for job, events in logs.items():
            try:
                summary = fold(events)
            except IllegalTransition as exc:
                yield Violation(self.name, job, None, None, f"its log does not fold: {exc}")
                continue
            row = rows.get(job)
            if row is None:
                if not _is_deleted(events):
                    message = "it was not deleted, and has no row"
                    yield Violation(self.name, job, None, None, message)
                continue
            phases = {phase.name: phase.state for phase in row.phases}
            for what, says, folds in (
                ("state", row.state, summary.state),
                ("run", row.run, summary.run),
                ("version", row.version, summary.version),
                ("phases", phases, dict(summary.phases)),
            ):
                if says != folds:
                    message = f"the {what} of the row is not that of the log"
                    yield Violation(self.name, job, events[-1].seq, None, message)
        for job in rows.keys() - logs.keys():
            yield Violation(self.name, job, None, None, "a row without a log")


def _is_deleted(events: list[Event]) -> bool:
    return events[-1].type is EventType.JOB_DELETED
