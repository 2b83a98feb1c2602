"""Histories with clients: really played ones, and what somebody made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import attrs

from triphase_protocol import Event, EventType
from triphase_simulations.history import Entry, History
from triphase_simulations.oracles import judge
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, ClientPlan, Op, PicturePlan, Scenario

from .played import CALM

ENDS = ("job.completed", "job.failed", "job.cancelled", "job.interrupted", "job.rejected")

FOLLOWED = attrs.evolve(
    CALM,
    jobs=tuple(attrs.evolve(job, via="c0") if job.name == "third" else job for job in CALM.jobs),
    ops=(
        *(op for op in CALM.ops if op.what != "restart"),
        Op(what="wait", job="long", when=Anchor(at=0.5), via="c0"),
        Op(what="wait", job="stays", when=Anchor(at=0.6), about=0.5, via="c0"),
        Op(what="wait", job="long", when=Anchor(at=12.0), via="c1"),
        Op(what="get", job="third", when=Anchor(at=8.0), via="c1"),
        Op(what="deaf", when=Anchor(at=5.0), about=3.0, via="c4"),
    ),
    clients=(
        ClientPlan(name="c0"),
        ClientPlan(name="c1", job="long", reads=True),
        ClientPlan(name="c2", events=ENDS),
        ClientPlan(name="c3", types=("T",), begins=2.0, pause=0.01),
        ClientPlan(name="c4"),
    ),
    pictures=(PicturePlan(name="p0", begins=1.0),),
)
"""Nothing disturbs it, but that one of the clients takes nothing for a while."""

REMOTE = len(CALM.ops) - 1
"""The number of the first operation over a connection; the others follow."""

KINDS = ("hold", "stall", "crash", "delay", "cut", "vanish")
LOST = attrs.evolve(
    FOLLOWED,
    ops=(
        *FOLLOWED.ops,
        Op(what="crash", when=Anchor(at=3.0), via="c1"),
        Op(what="restart", when=Anchor(at=6.5)),
    ),
    ring=4,
    retention=5.0,
    kinds=KINDS,
)
"""Everything disturbs it."""


@functools.cache
def followed() -> History:
    """Return the history of `FOLLOWED`."""
    return run_scenario(FOLLOWED, Plan())


@functools.cache
def lost(seed: int) -> History:
    """Return the history of `LOST`, as a seed disturbs it; 0 disturbs nothing."""
    return run_scenario(LOST, Plan(seed, kinds=frozenset(KINDS)))


def faults(history: History, scenario: Scenario = FOLLOWED) -> set[str]:
    """Return what the oracles say about a history, without its particulars."""
    return {violation.normalised for violation in judge(history, scenario)}


def doctored(change: Callable[[Entry], Entry | None], history: History | None = None) -> History:
    """Return a history with other entries; None leaves one out."""
    history = followed() if history is None else history
    changed = [change(entry) for entry in history.entries]
    return attrs.evolve(history, entries=[entry for entry in changed if entry is not None])


def event(name: str, event_type: EventType, nth: int = 1, history: History | None = None) -> Event:
    """Return the nth event of a type of a job."""
    history = followed() if history is None else history
    id = next(job.id for job in history.jobs if job.key == name)
    return [each for each in history.events_of(id) if each.type is event_type][nth - 1]


def is_received(entry: Entry, client: str, seq: int, what: str = "received") -> bool:
    """Return whether a client has received an event here, or has looked after it."""
    number = entry.data.get("seq") if what == "received" else entry.data.get("after")
    return (entry.what, entry.lane.partition("#")[0], number) == (what, client, seq)


def never_received(client: str, seq: int, history: History | None = None) -> History:
    """Return a history in which a client never received an event."""
    return doctored(lambda entry: None if is_received(entry, client, seq) else entry, history)
