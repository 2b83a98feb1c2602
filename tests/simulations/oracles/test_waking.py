from __future__ import annotations

import attrs
import pytest

from triphase_simulations.cast import TypeSpec
from triphase_simulations.history import Entry, History
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

from .played import PHASES, STAYS, answering, blamed, calm, messages, with_entries


@pytest.mark.parametrize("lane", ["op:1", "op:2", "op:5"])
def test_o4_a_wait_returns_late(lane: str) -> None:
    assert blamed(answering(lane, time=0.25)) == {"O4"}


def test_o4_a_wait_says_something_else() -> None:
    wrong = {"type": "Failed", "run": 1}
    assert blamed(answering("op:1", answer=wrong)) == {"O4"}


def test_o4_a_wait_is_told_of_a_close_that_is_none() -> None:
    def change(entry: Entry) -> Entry | None:
        return None if entry.what == "leaving" else entry

    history = with_entries(change)
    history.entries = [
        attrs.evolve(entry, what="denied", data={"op": "wait", "name": "stays", "error": "closed"})
        if entry.lane == "op:2" and entry.what == "denied"
        else entry
        for entry in history.entries
    ]
    assert blamed(history) == {"O4"}


@pytest.mark.parametrize("lane", ["op:1", "op:2", "op:5"])
def test_o4_a_wait_is_left_open(lane: str) -> None:
    def change(entry: Entry) -> Entry | None:
        return None if entry.lane == lane and entry.what in ("answered", "denied") else entry

    assert blamed(with_entries(change)) == {"O4"}


def test_o4_a_wait_returns_the_end_of_an_earlier_run() -> None:
    first = next(entry for entry in calm().all("answered") if entry.lane == "op:1")
    assert blamed(answering("op:5", answer=first.data["answer"])) == {"O4"}


def leaving(on_restart: str) -> tuple[Scenario, History]:
    """Return how a runtime closes while somebody waits."""
    scenario = Scenario(
        suite="oracles",
        types=(TypeSpec(name="T", phases=PHASES, on_restart=on_restart),),
        jobs=(JobPlan(name="stays", type="T", script=STAYS),),
        ops=(
            Op(what="wait", job="stays", when=Anchor(at=0.5)),
            Op(what="restart", when=Anchor(at=1.0)),
            Op(what="cancel", job="stays", when=Anchor(at=5.0)),
        ),
        kinds=(),
    )
    return scenario, run_scenario(scenario, Plan())


def wait_told(history: History, *answer: Entry) -> History:
    """Return a history in which the wait is answered with something else at the close."""
    entries = [entry for entry in history.entries if entry.lane != "op:0" or entry.what == "asked"]
    close = next(place for place, entry in enumerate(entries) if entry.what == "ended")
    return attrs.evolve(history, entries=[*entries[:close], *answer, *entries[close:]])


def test_o4_a_wait_is_left_open_at_the_close() -> None:
    scenario, history = leaving("resume")
    assert blamed(history, scenario) == set()
    silent = wait_told(history)
    assert blamed(silent, scenario) == {"O4"}
    # Its task may have been kept from running until the process had gone.
    held = attrs.evolve(silent, used={("hold", "op:0", 2): 20})
    assert blamed(held, scenario) == set()


def test_o4_a_wait_is_told_of_the_close_and_the_end_had_been_published() -> None:
    scenario, history = leaving("hold")
    assert blamed(history, scenario) == set()
    data = {"op": "wait", "name": "stays", "error": "closed"}
    closed = Entry(time=1.0, lane="op:0", what="denied", data=data)
    assert messages(wait_told(history, closed), scenario) == {
        "O4: a wait was told closed, and job.interrupted had been published"
    }
