from __future__ import annotations

import attrs

from triphase_protocol import EventType
from triphase_simulations.cast import TypeSpec
from triphase_simulations.history import Entry
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

from .played import PHASES, SHORT, blamed, calm, saying, with_entries, with_more


def test_o5_too_many_hold_a_slot_of_a_queue() -> None:
    assert blamed(attrs.evolve(calm(), limits={**calm().limits, "default": 1})) == {"O5"}


def test_o5_too_many_hold_a_slot_of_the_store() -> None:
    assert blamed(attrs.evolve(calm(), limits={**calm().limits, "": 2})) == {"O5"}


def test_o5_a_slot_is_taken_twice() -> None:
    history = with_more(EventType.JOB_STARTED, "third")
    more = attrs.evolve(
        history.log[-1], seq=history.log[-1].seq + 1, version=history.log[-1].version + 1
    )
    assert "O5" in blamed(attrs.evolve(history, log=(*history.log, more)))


def test_o6_a_job_waits_beside_a_free_slot() -> None:
    assert blamed(attrs.evolve(calm(), limits={**calm().limits, "default": 3})) == {"O6"}


def test_o6_and_o5_are_silent_when_limits_move() -> None:
    assert blamed(attrs.evolve(calm(), limits={})) == set()


def test_o26_nothing_is_in_the_way_and_it_does_not_start() -> None:
    def change(entry: Entry) -> Entry:
        mine = entry.lane == "op:0" and entry.what == "answered"
        return saying(entry, answer=[]) if mine else entry

    assert blamed(with_entries(change)) == {"O26"}


PAUSED = Scenario(
    suite="oracles",
    types=(TypeSpec(name="T", phases=PHASES),),
    jobs=(JobPlan(name="waits", type="T", at=2.0, script=SHORT),),
    ops=(
        Op(what="pause", about="default", when=Anchor(at=1.0)),
        Op(what="resume", about="default", when=Anchor(at=3.0)),
    ),
    limits={"default": 2},
    kinds=(),
)


def test_o5_a_job_is_started_while_its_queue_is_paused() -> None:
    history = run_scenario(PAUSED, Plan())
    assert blamed(history, PAUSED) == set()
    later = [
        attrs.evolve(entry, time=entry.time + 0.5) if entry.data.get("op") == "resume" else entry
        for entry in history.entries
    ]
    assert blamed(attrs.evolve(history, entries=later), PAUSED) == {"O5"}
    # Of another queue nobody has said anything.
    other = tuple(attrs.evolve(op, about="other") for op in PAUSED.ops)
    elsewhere = attrs.evolve(PAUSED, ops=other)
    assert blamed(attrs.evolve(history, entries=later), elsewhere) == set()
