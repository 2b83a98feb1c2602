"""Cancels: what was cancelled has stopped, and stays so; what was answered comes true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from triphase_protocol import (
    TERMINAL_EVENTS,
    Event,
    EventType,
    JobState,
    StopCause,
    StopHow,
)

from .lives import Call
from .reading import MOMENT, Reading, part
from .violations import Violation

_ANSWERS: Final = (JobState.STOPPING.value, JobState.CANCELLED.value)
"""The states of a job whose cancel was answered."""


class NothingAfterCancel:
    """O28."""

    name = "O28"
    says = "A cancel that was answered is kept, and nothing of a cancelled run happens or runs."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return what went on in cancelled runs, and cancels that were forgotten."""
        yield from self._went_on(reading)
        for job in reading.steps:
            yield from self._stopped_otherwise(reading, job)
        for call in reading.calls:
            if call.op == "cancel" and call.answer is not None:
                if call.answer.what == "answered":
                    yield from self._answered(reading, call)
                else:
                    yield from self._refused(reading, call)

    def _went_on(self, reading: Reading) -> Iterable[Violation]:
        """Find what happened in a run after it was cancelled, and handlers that ran on."""
        cancelled: dict[tuple[str, int], Event] = {}
        put_back: set[tuple[str, int, str | None]] = set()
        for event in reading.log:
            end = cancelled.get((event.job, event.run))
            if event.type is EventType.JOB_CANCELLED:
                cancelled.setdefault((event.job, event.run), event)
            elif event.type in (EventType.PHASE_INTERRUPTED, EventType.PHASE_FAILED):
                put_back.add((event.job, event.run, event.phase))
            if end is not None and event.phase is not None:
                message = f"{event.type.value} after the run was cancelled"
                yield Violation(self.name, event.job, event.seq, None, message)
        if reading.stepped:
            return
        for ran in reading.ran:
            end = cancelled.get((ran.job, ran.run))
            if end is None or end.data.get("how") == StopHow.ABANDONED.value:
                continue
            time = reading.virtual(end)
            if ran.began > time + MOMENT:
                message = f"the handler of {ran.phase} started after its run was cancelled"
                yield Violation(self.name, ran.job, end.seq, ran.began, message)
            elif (ran.job, ran.run, ran.phase) in put_back:
                # Its try had ended before, and what of it ran on then is for O7.
                continue
            elif (ran.ended if ran.ended is not None else reading.seconds) > time + MOMENT:
                message = f"the handler of {ran.phase} ran on when its run was cancelled"
                yield Violation(self.name, ran.job, end.seq, time, message)

    def _stopped_otherwise(self, reading: Reading, job: str) -> Iterable[Violation]:
        """Find the stops for a cancel that ended in something else."""
        cancelling = False
        for step in reading.steps[job]:
            event = step.event
            if event.type is EventType.JOB_STOPPING:
                cancelling |= event.data.get("cause") == StopCause.CANCEL.value
            elif step.before is JobState.STOPPING and step.after is not JobState.STOPPING:
                if cancelling and event.type is not EventType.JOB_CANCELLED:
                    message = f"it was being cancelled, and that ended in {event.type.value}"
                    yield Violation(self.name, job, event.seq, None, message)
                cancelling = False

    def _answered(self, reading: Reading, call: Call) -> Iterable[Violation]:
        """Find out if a cancel that was answered did not come true."""
        assert call.answer is not None, "only what was answered is judged"
        said = call.answer.data.get("answer")
        job, state, run = str(part(said, "id")), part(said, "state"), part(said, "run")
        if state not in _ANSWERS:
            message = f"a cancel was answered, and the job is {state}"
            yield Violation(self.name, job, None, call.answer.time, message)
            return
        ends = [event for event in _ends(reading, job) if event.run == run]
        if any(event.type is EventType.JOB_CANCELLED for event in ends):
            return
        if ends:
            message = f"a cancel was answered, and its run ended in {ends[0].type.value}"
            yield Violation(self.name, job, ends[0].seq, call.answer.time, message)
        elif state == JobState.CANCELLED.value:
            # One that is still being stopped when all is over is for O12.
            message = "a cancel was answered as carried out, and nothing was written"
            yield Violation(self.name, job, None, call.answer.time, message)

    def _refused(self, reading: Reading, call: Call) -> Iterable[Violation]:
        """Find out if a cancel was refused to a job that had not ended, by then or ever before."""
        assert call.answer is not None, "only what was answered is judged"
        job = reading.ids.get(call.name or "")
        refused = call.answer.data.get("error") == "illegal_transition"
        if not refused or job is None or reading.stepped:
            return
        time = call.answer.time
        if not any(reading.virtual(event) <= time + MOMENT for event in _ends(reading, job)):
            message = "a cancel was refused, and the job had not ended"
            yield Violation(self.name, job, None, time, message)


def _ends(reading: Reading, job: str) -> Iterator[Event]:
    return (event for event in reading.history.events_of(job) if event.type in TERMINAL_EVENTS)
