"""A history as oracles read it: lives of processes, calls of clients, steps of jobs.

What is left of a dead process does nothing that belongs to a history: its tasks are let run on when
the run is taken down, only to come to their ends. So it is left out here, once, for every oracle.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Final, cast

import attrs

from triphase_protocol import (
    STATES,
    TRANSITIONS,
    Event,
    EventType,
    IllegalTransition,
    Job,
    JobState,
    Json,
    next_state,
)
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.history import Entry, History, Ran
from triphase_simulations.scenario import Scenario
from triphase_simulations.world import OVER

from .lives import Call, Life, Step

EPOCH: Final = 1_700_000_000.0
"""The wall-clock time at the beginning of a run, if nobody sets the clock."""

MOMENT: Final = 1e-5
"""Seconds: what is less apart is at the same time."""

STALL_MOST: Final = 15.0
"""Virtual seconds after which no stall is left that had begun before."""

_STUBBORN: Final = {"shield", "never", "tidy"}
"""Steps of a script that a cancel does not end at once."""

_MOVES: Final = tuple(
    (event_type, state)
    for row in TRANSITIONS.values()
    for event_type, state in row.items()
    if event_type is not EventType.JOB_STALE
)


class Reading:
    """See the module's text.

    Args:
      history: what is read.
      scenario: what was played.
    """

    def __init__(self, history: History, scenario: Scenario) -> None:
        self.history = history
        self.scenario = scenario
        self.types: dict[str, TypeSpec] = {spec.name: spec for spec in scenario.types}
        self.rows: dict[str, Job] = {job.id: job for job in history.jobs}
        self.log = history.log
        self.seconds = history.seconds
        self.stepped = any(True for _ in history.all("stepped"))
        self.refused = any(True for _ in history.all("refused"))
        self.lives: list[Life] = []
        self.clients: list[Life] = []
        """The lives of client programs."""

        self.calls: list[Call] = []
        self.remote: list[Call] = []
        """What was asked over a connection; of which life of the node, nobody can say."""

        self.entries: list[tuple[int, Entry]] = []
        """With their places, without what the dead did afterwards."""

        self._read_lives()
        self._read_calls()
        self._find_openings()

    # Processes and clients

    def _read_lives(self) -> None:
        by_lane: dict[str, Life] = {}
        for at, entry in enumerate(self.history.entries):
            if entry.what == "started":
                begun = by_lane[entry.lane] = Life(entry.lane, entry.time, at)
                (self.clients if entry.data.get("client") else self.lives).append(begun)
            life = by_lane.get(entry.lane)
            if life is not None:
                if life.gone_at is not None:
                    continue
                if entry.what in ("ended", "killed"):
                    life.gone_at, life.gone = at, entry.time
                    life.killed = entry.what == "killed"
                    life.stayed = entry.data.get("why") == OVER
                    life.left = tuple(entry.data.get("left", ()))
                elif entry.what == "leaving":
                    life.leaving_at, life.leaving = at, entry.time
                elif entry.what == "crashed":
                    life.crashed_at = at
            self.entries.append((at, entry))

    def _read_calls(self) -> None:
        asked: dict[str, list[tuple[int, Entry]]] = {}
        answers: dict[str, list[tuple[int, Entry]]] = {}
        for at, entry in self.entries:
            if entry.what == "asked" and entry.data.get("op") != "restart":
                asked.setdefault(entry.lane, []).append((at, entry))
            elif entry.what in ("answered", "denied"):
                answers.setdefault(entry.lane, []).append((at, entry))
        for lane, questions in asked.items():
            following = [at for at, _ in questions[1:]] + [len(self.history.entries)]
            for (at, entry), until in zip(questions, following, strict=True):
                via = entry.data.get("via")
                life = self._life_at(at) if via is None else self._client_at(str(via), at)
                found: tuple[int | None, Entry | None] = (None, None)
                for answered_at, answer in answers.get(lane, ()):
                    if at < answered_at < until and not _is_echo(life, answered_at):
                        found = (answered_at, answer)
                        break
                calls = self.calls if via is None else self.remote
                calls.append(Call(entry, at, life, found[1], found[0]))
        self.calls.sort(key=lambda call: call.at)
        self.remote.sort(key=lambda call: call.at)

    def _client_at(self, name: str, at: int) -> Life | None:
        for life in self.clients:
            there = life.at < at and (life.gone_at is None or at < life.gone_at)
            if there and life.lane.partition("#")[0] == name:
                return life
        return None

    def _life_at(self, at: int) -> Life | None:
        for life in self.lives:
            ends = [end for end in (life.gone_at, life.crashed_at) if end is not None]
            if life.at < at and all(at < end for end in ends):
                return life
        return None

    def _find_openings(self) -> None:
        lanes = {life.lane: life for life in self.lives}
        seen: list[tuple[Life, float]] = [
            (lanes[entry.lane], entry.time)
            for _, entry in self.entries
            if entry.what == "heard" and entry.lane in lanes
        ]
        for call in self.calls:
            if call.life is not None and call.answer is not None:
                seen.append((call.life, call.answer.time))
            if call.life is not None and call.op == "drain":
                call.life.drained = min(call.asked.time, call.life.until)
        for life, time in seen:
            life.opened = time if life.opened is None else min(life.opened, time)

    # Times

    def virtual(self, event: Event) -> float:
        """Return when an event was decided; means nothing if the clock was stepped."""
        return round(event.at - EPOCH, 6)

    @cached_property
    def calm_since(self) -> float:
        """From when on nothing took longer than it should; infinity if that is not known."""
        return math.inf if self.stepped else self.quiet_since

    @cached_property
    def undisturbed(self) -> bool:
        """True if nothing took time that it should not, and nobody died or left."""
        kinds = {kind for kind, _, _ in self.history.used}
        gone = any(op.what in ("crash", "restart") for op in self.scenario.ops)
        return kinds <= {"hold"} and not gone and not self.stepped

    @cached_property
    def quiet_since(self) -> float:
        """The same for what goes by a clock that nobody sets."""
        quiet = next((entry.time for entry in self.history.all("quiet")), math.inf)
        stalled = any(kind == "stall" for kind, _, _ in self.history.used)
        since = quiet + STALL_MOST if stalled else 0.0
        refused = [entry.time for entry in self.history.all("refused")]
        return max(since, *(time + STALL_MOST for time in refused)) if refused else since

    def windows(self, since: float | None = None) -> list[tuple[float, float]]:
        """Return when a process was up and undisturbed: from `calm_since` on, or *since*."""
        calm = self.calm_since if since is None else since
        found: list[tuple[float, float]] = []
        for life in self.lives:
            if life.opened is None:
                continue
            begin, end = max(life.opened, calm), min(life.until, self.seconds)
            if begin < end:
                found.append((begin, end))
        return found

    def is_calm(self, begin: float, end: float) -> bool:
        """True if a process was up and undisturbed the whole time."""
        return any(first <= begin and end <= last for first, last in self.windows())

    # Jobs

    @cached_property
    def ids(self) -> dict[str, str]:
        """The jobs' ids by their names."""
        found = {job.key: job.id for job in self.history.jobs if job.key is not None}
        for call in (*self.calls, *self.remote):
            if call.op == "submit" and call.answer is not None and call.name is not None:
                id = part(call.answer.data.get("answer"), "id")
                if id is not None:
                    found.setdefault(call.name, str(id))
        return found

    @cached_property
    def steps(self) -> dict[str, list[Step]]:
        """What happened to each job."""
        found: dict[str, list[Step]] = {}
        states: dict[str, JobState | None] = {}
        for event in self.log:
            before = states.get(event.job)
            try:
                after = next_state(before, event.type)
            except IllegalTransition:
                after = _target(event.type, before)
            states[event.job] = after
            found.setdefault(event.job, []).append(Step(event, before, after))
        return found

    @cached_property
    def deleted(self) -> dict[str, Event]:
        """The deletion of each job that was deleted."""
        return {event.job: event for event in self.log if event.type is EventType.JOB_DELETED}

    @cached_property
    def ran(self) -> list[Ran]:
        """The handlers; what was under way when its process went is cut off there."""
        gone = {life.lane: life.gone for life in self.lives}
        found: list[Ran] = []
        for ran in self.history.ran:
            death = gone.get(ran.process)
            if death is None:
                found.append(ran)
            elif ran.began <= death:
                cut = ran.ended is None or ran.ended > death
                found.append(attrs.evolve(ran, ended=death, how=None) if cut else ran)
        return found

    def spec_of(self, job: str) -> TypeSpec | None:
        """Return how the type of a job is declared."""
        steps = self.steps.get(job)
        return self.types.get(str(steps[0].event.data.get("type"))) if steps else None

    def phase_spec(self, job: str, phase: str | None) -> PhaseSpec | None:
        """Return how a phase of a job is declared."""
        spec = self.spec_of(job)
        if spec is None:
            return None
        return next((each for each in spec.phases if each.name == phase), None)

    def script(self, job: str, phase: str, attempt: int) -> list[list[object]] | None:
        """Return what the handler of a try does; None if the row is gone."""
        row = self.rows.get(job)
        if row is None:
            return None
        tries: list[list[list[object]]] = part(part(row.payload, "script"), phase) or []
        return tries[min(attempt, len(tries)) - 1] if tries else []


def part(value: Json, key: str) -> Any:
    """Return what a JSON object has under a key; None if it has nothing, or is no object."""
    return cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None


def is_stubborn(script: list[list[object]] | None) -> bool:
    """True if a cancel may not end at once what does this, or nobody knows what it does."""
    return script is None or any(step[0] in _STUBBORN for step in script)


def holds(state: JobState | None) -> bool:
    """True if a job in this state holds a slot."""
    return state is not None and STATES[state].holds_slot


def is_terminal(state: JobState | None) -> bool:
    """True if a job in this state has ended."""
    return state is not None and STATES[state].terminal


def _target(event_type: EventType, state: JobState | None) -> JobState | None:
    """Return where an event leads that must not have happened there."""
    return next((to for each, to in _MOVES if each is event_type), state)


def _is_echo(life: Life | None, at: int) -> bool:
    return life is None or (life.gone_at is not None and life.gone_at < at)
