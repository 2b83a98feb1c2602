"""Histories for the oracles: really played ones, and what somebody made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs

from triphase_protocol import Event, EventType, Job
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.history import Entry, History, Ran
from triphase_simulations.oracles import judge
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

Script = dict[str, list[list[list[Any]]]]

PHASES = (
    PhaseSpec(name="a"),
    PhaseSpec(name="b", attempts=3, timeout=20),
    PhaseSpec(name="c", plain=True),
)
TYPES = (
    TypeSpec(name="T", phases=PHASES),
    TypeSpec(name="G", phases=(PhaseSpec(name="a"), PhaseSpec(name="b", approval=0.0)), queue="g"),
    TypeSpec(name="L", phases=(PhaseSpec(name="a"), PhaseSpec(name="b", approval=2.0)), queue="g"),
)
LONG: Script = {
    "a": [[["progress", 1], ["sleep", 1.0], ["progress", 2], ["sleep", 1.0], ["return", 1]]],
    "b": [[["sleep", 0.5], ["raise", "ConnectionError"]], [["return", {"x": 1}]]],
    "c": [[["progress", 3], ["return", "ok"]]],
}
SHORT: Script = {
    "a": [[["sleep", 0.5], ["return", 1]]],
    "b": [[["return", 2]]],
    "c": [[["return", 3]]],
}
STAYS: Script = {"a": [[["forever"]]]}

CALM = Scenario(
    suite="oracles",
    types=TYPES,
    jobs=(
        JobPlan(name="long", type="T", script=LONG),
        JobPlan(name="stays", type="T", at=0.1, script=STAYS),
        JobPlan(name="third", type="T", at=0.2, script=SHORT),
        JobPlan(name="asks", type="G", at=0.3, script=SHORT),
        JobPlan(name="late", type="L", at=0.4, script=SHORT),
        JobPlan(name="delayed", type="L", at=3.0, delay=12.0, script=SHORT),
        JobPlan(name="last", type="T", at=19.0, script=LONG),
    ),
    ops=(
        Op(what="explain", job="third", when=Anchor(at=1.5)),
        Op(what="wait", job="long", when=Anchor(at=0.5)),
        Op(what="wait", job="stays", when=Anchor(at=0.6), about=0.5),
        Op(what="cancel", job="stays", when=Anchor(at=6.0)),
        Op(what="retry", job="long", when=Anchor(at=8.0), about="b"),
        Op(what="wait", job="long", when=Anchor(at=12.0)),
        Op(what="approve", job="asks", when=Anchor(at=15.0)),
        Op(what="restart", when=Anchor(at=20.5)),
    ),
    limits={"default": 2, "g": 5},
    kinds=(),
)
"""A bit of everything, and nothing disturbs it."""

KINDS = ("hold", "stall", "crash", "step", "refuse")
DISTURBED = attrs.evolve(CALM, kinds=KINDS)


@functools.cache
def calm() -> History:
    """Return the history of `CALM`."""
    return run_scenario(CALM, Plan())


@functools.cache
def disturbed(seed: int) -> History:
    """Return the history of `DISTURBED`, as a seed disturbs it."""
    return run_scenario(DISTURBED, Plan(seed, kinds=frozenset(KINDS)))


def blamed(history: History, scenario: Scenario = CALM) -> set[str]:
    """Return the names of the oracles that a history violates."""
    return {violation.oracle for violation in judge(history, scenario)}


def id_of(name: str) -> str:
    """Return the id of a job in `calm`."""
    return next(job.id for job in calm().jobs if job.key == name)


def event_of(name: str, event_type: EventType, phase: str | None = None, nth: int = 1) -> Event:
    """Return the nth event of a type of a job in `calm`."""
    found = [
        event
        for event in calm().events_of(id_of(name))
        if event.type is event_type and phase in (None, event.phase)
    ]
    return found[nth - 1]


def with_event(at: int, /, **changes: Any) -> History:
    """Return `calm` with another event in the place of one."""
    return attrs.evolve(
        calm(),
        log=tuple(
            attrs.evolve(event, **changes) if event.seq == at else event for event in calm().log
        ),
    )


def with_data(at: int, /, **changes: object) -> History:
    """Return `calm` with other data of an event."""
    event = next(event for event in calm().log if event.seq == at)
    return with_event(at, data={**event.data, **changes})


def with_more(event_type: EventType, name: str, phase: str | None = None) -> History:
    """Return `calm` with one more event at its end, that its row has counted."""
    history, job = calm(), id_of(name)
    last, before = history.log[-1], history.events_of(job)[-1]
    more = attrs.evolve(
        before,
        seq=last.seq + 1,
        version=before.version + 1,
        type=event_type,
        phase=phase,
        data={} if phase is None else {"attempt": 1},
        at=last.at,
    )
    return attrs.evolve(
        with_row(name, lambda row: attrs.evolve(row, version=row.version + 1)),
        log=(*history.log, more),
        groups=(*history.groups, more.seq),
    )


def with_row(name: str, change: Callable[[Job], Job]) -> History:
    """Return `calm` with another row of a job."""
    jobs = tuple(change(job) if job.key == name else job for job in calm().jobs)
    return attrs.evolve(calm(), jobs=jobs)


def with_entries(change: Callable[[Entry], Entry | None]) -> History:
    """Return `calm` with other entries; None leaves one out."""
    changed = [change(entry) for entry in calm().entries]
    return attrs.evolve(calm(), entries=[entry for entry in changed if entry is not None])


def with_ran(change: Callable[[Ran], Ran | None]) -> History:
    """Return `calm` with other handlers; None leaves one out."""
    changed = [change(ran) for ran in calm().ran]
    return attrs.evolve(calm(), ran=[ran for ran in changed if ran is not None])


def saying(entry: Entry, **changes: object) -> Entry:
    """Return an entry with other data."""
    return attrs.evolve(entry, data={**entry.data, **changes})


def messages(history: History, scenario: Scenario = CALM) -> set[str]:
    """Return what the oracles say about a history, without its particulars."""
    return {violation.normalised for violation in judge(history, scenario)}


def answering(lane: str, time: float = 0.0, **changes: object) -> History:
    """Return a history in which a call is answered otherwise, or later."""

    def change(entry: Entry) -> Entry:
        if entry.lane != lane or entry.what not in ("answered", "denied"):
            return entry
        return saying(attrs.evolve(entry, time=entry.time + time), **changes)

    return with_entries(change)
