"""Handlers: one of a job at a time, none beyond its try, and none when its process has gone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations
from typing import Final

from triphase_protocol import Event, EventType, StopHow
from triphase_simulations.history import Ran

from .lives import Life
from .reading import MOMENT, Reading, holds, is_stubborn
from .violations import Violation

_ENDS: Final = (EventType.PHASE_FAILED, EventType.PHASE_CANCELLED, EventType.PHASE_INTERRUPTED)

_NOT_ITS_OWN: Final = {"client", "end", "follower", "handlers", "op", "phase"}
"""Tasks that are there when a runtime has closed: those of its users, and handlers given up."""


class OneHandler:
    """O7."""

    name = "O7"
    says = (
        "Of a job there runs at most one handler at a time, and none when its try has ended, but "
        "for those that were given up."
    )

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return handlers that ran beside another of their job, and after the end of their try.

        A shutdown gives up a handler that will not stop, and no event tells of it: whatever such
        a handler does is not judged. What runs on in a cancelled run is for O28.
        """
        history = reading.history
        given_up = {
            (event.job, event.run)
            for event in history.log
            if event.data.get("how") == StopHow.ABANDONED.value
        }
        by_job: dict[str, list[Ran]] = {}
        for ran in reading.ran:
            by_job.setdefault(ran.job, []).append(ran)
        for job, handlers in by_job.items():
            handlers.sort(key=lambda ran: ran.began)
            for first, second in combinations(handlers, 2):
                end = history.seconds if first.ended is None else first.ended
                if second.began >= end - MOMENT or (job, first.run) in given_up:
                    continue
                if reading.refused and _is_stubborn(reading, first):
                    # Its actor crashed and gave it up: there is no event that tells.
                    continue
                message = f"a handler of {second.phase} started beside one of {first.phase}"
                yield Violation(self.name, job, None, second.began, message)
        if not reading.stepped and not reading.refused:
            yield from self._outlived(reading, given_up)

    def _outlived(self, reading: Reading, given_up: set[tuple[str, int]]) -> Iterable[Violation]:
        ends = _ends(reading)
        for ran in reading.ran:
            end = ends.get((ran.job, ran.run, ran.phase, ran.attempt))
            if end is None or (ran.job, ran.run) in given_up or _is_stubborn(reading, ran):
                continue
            ended = reading.seconds if ran.ended is None else ran.ended
            if ended > reading.virtual(end) + MOMENT:
                message = f"the handler of {ran.phase} ran on after {end.type.value}"
                yield Violation(self.name, ran.job, end.seq, reading.virtual(end), message)


def _ends(reading: Reading) -> dict[tuple[str, int, str, int], Event]:
    """Return how each try ended that did not complete; without those of cancelled runs."""
    cancelled = {
        (event.job, event.run) for event in reading.log if event.type is EventType.JOB_CANCELLED
    }
    found: dict[tuple[str, int, str, int], Event] = {}
    for event in reading.log:
        of_a_cancel = (
            event.type is EventType.PHASE_CANCELLED and (event.job, event.run) in cancelled
        )
        if event.type in _ENDS and not of_a_cancel:
            key = (event.job, event.run, str(event.phase), int(event.data.get("attempt", 0)))
            found.setdefault(key, event)
    return found


def _is_stubborn(reading: Reading, ran: Ran) -> bool:
    return is_stubborn(reading.script(ran.job, ran.phase, ran.attempt))


class NothingLeftBehind:
    """O11."""

    name = "O11"
    says = (
        "A runtime that has closed has left no task and no run behind, and the dead commit nothing."
    )

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return what processes left behind, and what was committed while none was there."""
        history = reading.history
        for number, life in enumerate(reading.lives):
            yield from self._started(reading, life)
            if life.gone is None:
                continue
            following = reading.lives[number + 1 : number + 2]
            until = following[0].started if following else history.seconds + MOMENT
            yield from self._committed(reading, life.gone, until)
            if not life.killed:
                yield from self._left(life)
                yield from self._held(reading, life, life.gone)

    def _started(self, reading: Reading, life: Life) -> Iterable[Violation]:
        """Find what a process started when it was to start nothing more."""
        if reading.stepped or life.until == -math.inf:
            return
        last = math.inf if life.gone is None else life.gone
        for event in reading.log:
            time = reading.virtual(event)
            if event.type is EventType.JOB_STARTED and life.until + MOMENT < time <= last + MOMENT:
                message = "a job was started when its process was to start nothing more"
                yield Violation(self.name, event.job, event.seq, time, message)

    def _left(self, life: Life) -> Iterable[Violation]:
        for name in life.left:
            if name.partition(":")[0] not in _NOT_ITS_OWN:
                message = f"the runtime was closed, and its task {name} was left"
                yield Violation(self.name, None, None, life.gone, message)

    def _committed(self, reading: Reading, gone: float, until: float) -> Iterable[Violation]:
        if reading.stepped:
            return
        for event in reading.log:
            if gone + MOMENT < reading.virtual(event) < until - MOMENT:
                message = f"{event.type.value} was committed while no process was there"
                yield Violation(self.name, event.job, event.seq, reading.virtual(event), message)

    def _held(self, reading: Reading, life: Life, gone: float) -> Iterable[Violation]:
        calm = life.leaving is not None and life.leaving >= reading.calm_since
        if life.crashed_at is not None or not calm:
            return
        for job, steps in reading.steps.items():
            before = [step for step in steps if reading.virtual(step.event) <= gone + MOMENT]
            if before and holds(before[-1].after):
                message = "a process left in order, and left the job's run behind"
                yield Violation(self.name, job, before[-1].event.seq, gone, message)
