"""Handlers: one of a job at a time, and none when its process has gone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Final

from triphase_protocol import StopHow
from triphase_simulations.history import History, Ran
from triphase_simulations.scenario import Scenario

from .lives import Life
from .reading import MOMENT, Reading, holds
from .violations import Violation

_STUBBORN: Final = {"shield", "never", "tidy"}
"""Steps of a script that a cancel does not end at once."""

_NOT_ITS_OWN: Final = {"client", "end", "follower", "handlers", "op", "phase"}
"""Tasks that are there when a runtime has closed: those of its users, and handlers given up."""


class OneHandler:
    """O7."""

    name = "O7"
    says = "Of a job there runs at most one handler at a time, but for those that were given up."

    def judge(self, history: History, scenario: Scenario) -> Iterable[Violation]:
        """Return handlers that were started beside another of their job."""
        reading = Reading(history, scenario)
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
                if reading.refused and self._is_stubborn(reading, first):
                    # Its actor crashed and gave it up: there is no event that tells.
                    continue
                message = f"a handler of {second.phase} started beside one of {first.phase}"
                yield Violation(self.name, job, None, second.began, message)

    def _is_stubborn(self, reading: Reading, ran: Ran) -> bool:
        script = reading.script(ran.job, ran.phase, ran.attempt)
        return script is None or any(step[0] in _STUBBORN for step in script)


class NothingLeftBehind:
    """O11."""

    name = "O11"
    says = (
        "A runtime that has closed has left no task and no run behind, and the dead commit nothing."
    )

    def judge(self, history: History, scenario: Scenario) -> Iterable[Violation]:
        """Return what processes left behind, and what was committed while none was there."""
        reading = Reading(history, scenario)
        for number, life in enumerate(reading.lives):
            if life.gone is None:
                continue
            following = reading.lives[number + 1 : number + 2]
            until = following[0].started if following else history.seconds + MOMENT
            yield from self._committed(reading, life.gone, until)
            if not life.killed:
                yield from self._left(life)
                yield from self._held(reading, life, life.gone)

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
