"""Slots: never more holders than the limit, and none free while a job waits for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

from triphase_protocol import EventType, JobState
from triphase_simulations.history import History

from .lives import Call, Step
from .reading import MOMENT, Reading, holds
from .violations import Violation

SLACK = 0.5
"""Virtual seconds that a start may take when nothing is in its way. It takes none."""


@attrs.frozen
class _Moment:
    """The jobs at the end of one transaction."""

    first: float
    """When its first event was decided, as the next is when its last was."""

    last: float
    seq: int
    holders: dict[str, str]
    """The queues of those that hold a slot, by id."""

    queued: dict[str, str]
    """The queues of those that wait for one, by id."""


def _moments(reading: Reading) -> Iterator[_Moment]:
    """Return the jobs at each transaction's end."""
    queues: dict[str, str] = {}
    holders: dict[str, str] = {}
    queued: dict[str, str] = {}
    ends = set(reading.history.groups)
    steps = {step.event.seq: step for each in reading.steps.values() for step in each}
    first: float | None = None
    for event in reading.log:
        job, time = event.job, reading.virtual(event)
        first = time if first is None else first
        if event.type is EventType.JOB_SUBMITTED:
            queues[job] = str(event.data.get("queue"))
        after = steps[event.seq].after
        holders.pop(job, None)
        queued.pop(job, None)
        if holds(after):
            holders[job] = queues.get(job, "")
        elif after is JobState.QUEUED:
            queued[job] = queues.get(job, "")
        if event.seq in ends:
            yield _Moment(first, time, event.seq, dict(holders), dict(queued))
            first = None


class Limits:
    """O5, and O25: the holders are counted from the states alone."""

    name = "O5"
    says = "No queue, nor the store, has more holders than its limit, and a paused one no new ones."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return transactions after which too many hold a slot, and slots that were not free."""
        history = reading.history
        for job, steps in reading.steps.items():
            for step in steps:
                if step.event.type is EventType.JOB_STARTED and holds(step.before):
                    message = "started while it held a slot"
                    yield Violation(self.name, job, step.event.seq, None, message)
        yield from self._paused(reading)
        if not history.limits:
            return
        for moment in _moments(reading):
            counts = Counter(moment.holders.values())
            counts[""] = len(moment.holders)
            for queue, limit in history.limits.items():
                if counts[queue] > limit:
                    where = f"queue {queue}" if queue else "the store"
                    message = f"{counts[queue]} hold a slot of {where}, the limit is {limit}"
                    yield Violation(self.name, None, moment.seq, None, message)

    def _paused(self, reading: Reading) -> Iterable[Violation]:
        """Find what was started from a queue that was paused for certain."""
        pauses = list(_pauses(reading))
        for job, steps in reading.steps.items() if pauses else ():
            queue = steps[0].event.data.get("queue")
            for step in steps:
                time = reading.virtual(step.event)
                if step.event.type is EventType.JOB_STARTED and any(
                    queue == paused and begin + MOMENT < time < end - MOMENT
                    for paused, begin, end in pauses
                ):
                    message = f"started while its queue {queue} was paused"
                    yield Violation(self.name, job, step.event.seq, time, message)


class WorkConserving:
    """O6."""

    name = "O6"
    says = "When nothing disturbs, no job waits for a slot while one is free for it."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return waits beside a free slot."""
        history = reading.history
        windows = [(max(begin, _open_since(reading)), end) for begin, end in reading.windows()]
        if not history.limits or not windows:
            return
        moments = list(_moments(reading))
        following = [*(moment.first for moment in moments[1:]), history.seconds]
        # Of no moment at all, nothing follows: strict would mind.
        for moment, until in zip(moments, following, strict=False):
            for begin, end in windows:
                if min(until, end) - max(moment.last, begin) > SLACK:
                    yield from self._idle(history, moment, max(moment.last, begin))

    def _idle(self, history: History, moment: _Moment, time: float) -> Iterable[Violation]:
        held = Counter(moment.holders.values())
        if len(moment.holders) >= history.limits.get("", 0):
            return
        for job, queue in moment.queued.items():
            if held[queue] < history.limits.get(queue, 0):
                message = "it waits for a slot, and one is free"
                yield Violation(self.name, job, moment.seq, time, message)


class Explained:
    """O26."""

    name = "O26"
    says = "A job of which `explain` finds nothing in its way starts at that moment."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return jobs that did not start, though nothing was in their way."""
        scenario = reading.scenario
        if any(op.what in ("pause", "limit", "drain") for op in scenario.ops):
            return
        for call in reading.calls:
            answer = call.answer
            job = reading.ids.get(call.name or "")
            if call.op != "explain" or job is None or answer is None:
                continue
            if answer.data.get("answer") != [] or not reading.is_calm(
                call.asked.time, answer.time + SLACK
            ):
                continue
            if not self._went_on(reading, job, call):
                message = "nothing was in its way, and it did not start"
                yield Violation(self.name, job, None, answer.time, message)

    def _went_on(self, reading: Reading, job: str, call: Call) -> bool:
        """True if it started, or something else came in between."""
        assert call.answer is not None, "only what was answered is judged"
        begin, end = call.asked.time - MOMENT, call.answer.time + SLACK
        near: list[Step] = [
            step
            for steps in reading.steps.values()
            for step in steps
            if begin <= reading.virtual(step.event) <= end
        ]
        return any(
            step.event.type is EventType.JOB_STARTED
            or (step.event.job == job and step.event.type is not EventType.JOB_QUEUED)
            for step in near
        )


def _pauses(reading: Reading) -> Iterator[tuple[str, float, float]]:
    """Return which queue was paused from when until when, for certain.

    From the answer to a pause until somebody asks for a resume; what was asked for before that
    answer and not answered by then counts too, since it may come after the pause.
    """
    if reading.stepped:
        return
    about = {f"op:{number}": op.about for number, op in enumerate(reading.scenario.ops)}
    resumes = [call for call in reading.calls if call.op == "resume"]
    for pause in reading.calls:
        answer = pause.answer
        if pause.op != "pause" or answer is None or answer.what != "answered":
            continue
        queue = about.get(pause.asked.lane)
        ends = [
            resume.asked.time
            for resume in resumes
            # The one at the end of a run resumes every queue, and does not say which.
            if about.get(resume.asked.lane, queue) == queue
            and (resume.answer is None or resume.answer.time >= pause.asked.time)
        ]
        yield str(queue), answer.time, min(ends, default=math.inf)


def _open_since(reading: Reading) -> float:
    """Return from when on no queue is paused."""
    whats = {op.what for op in reading.scenario.ops}
    if "pause" not in whats:
        return 0.0
    last: dict[str, float] = {}
    for call in reading.calls:
        if call.op in ("pause", "resume") and call.answer is not None:
            by = "end" if call.asked.lane == "end" else call.op
            last[by] = call.answer.time
    resumed = last.get("end", math.inf)
    return resumed if last.get("pause", 0.0) <= resumed else math.inf
