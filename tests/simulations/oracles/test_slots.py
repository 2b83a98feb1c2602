from __future__ import annotations

import attrs

from triphase_protocol import EventType
from triphase_simulations.history import Entry

from .played import blamed, calm, saying, with_entries, with_more


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
