"""The goals about clients: each is met by what it says, and not by what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from triphase_protocol import Event, EventType
from triphase_simulations.coverage import goals, goals_of
from triphase_simulations.history import Entry, History
from triphase_simulations.network_goals import NETWORK_GOALS, network_goals_of
from triphase_simulations.scenario import Scenario

Said = tuple[str, str, dict[str, Any]]
"""A lane, a word, and more about it."""

SCENARIO = Scenario(suite="x", types=(), jobs=())

STARTED: Said = ("c0", "started", {"client": True})
AGAIN: Said = ("c0#2", "started", {"client": True})
KILLED: Said = ("c0", "killed", {})
CUT: Said = ("c0", "cut", {})
VANISHED: Said = ("c0", "vanished", {})
HUNG_UP: Said = ("c0", "hung up", {"by": "node"})
LEAVING: Said = ("node", "leaving", {})
SERVER: Said = ("node", "started", {})


def dialled(committed: int = 0) -> Said:
    return "c0", "dialled", {"committed": committed}


def lost(committed: int = 0, why: str = "the line was cut") -> Said:
    return "c0", "lost", {"committed": committed, "why": why}


def received(seq: int, lagged: int = 0, lane: str = "c0") -> Said:
    return lane, "received", {"seq": seq, "lagged": lagged}


def follows(after: int) -> Said:
    return "c0#2", "follows", {"after": after}


def deaf(seconds: float) -> Said:
    return "c0", "deaf", {"seconds": seconds}


def call(what: str, op: str, **data: object) -> Said:
    return "op:0", what, {"op": op, "via": "c0", **data}


ASKED = call("asked", "wait")
ANSWERED = call("answered", "wait", answer={"type": "Completed"})
DENIED = call("denied", "wait", error="timed_out")
SUBMIT = call("asked", "submit")
SUBMITTED = call("answered", "submit", answer={"id": "j2"})
UNHEARD = "nothing was heard for 50 s"


def history_of(*said: Said) -> History:
    """Return a history of a second for each thing, in which the fourth event submits `j2`."""
    event = Event(
        seq=4, job="j2", run=0, version=1, type=EventType.JOB_SUBMITTED, at=0.0, phase=None, data={}
    )
    entries = [
        Entry(time=float(time), lane=lane, what=what, data=data)
        for time, (lane, what, data) in enumerate(said)
    ]
    return History(entries=entries, log=(event,))


def met(*said: Said) -> set[str]:
    """Return the goals that a history meets in which these things happened."""
    return set(network_goals_of(history_of(STARTED, *said)))


AWAY = "events while a client was away"
HALF_OPEN = "a reconnect after a half-open connection"
HANDSHAKE = "a cut in a handshake"
RESTARTED = "a client restarted with a cursor"
SERVER_RESTARTED = "a server restarted under its clients"
GIVEN_UP = "a deaf client was given up"
LAGS = "a client was told that it lags"
ASKED_AGAIN = "a wait asked again over another connection"
ELSEWHERE = "a wait answered over another connection"
REPEATED = "a submit repeated with its key"

CASES: list[tuple[str, list[Said], bool]] = [
    (AWAY, [lost(3), dialled(5), received(4)], True),
    (AWAY, [lost(3), dialled(5), received(5)], True),
    (AWAY, [lost(3), dialled(4), dialled(5), received(5)], True),
    (AWAY, [lost(3), dialled(5), received(3), received(6)], False),
    (AWAY, [lost(3), dialled(3), received(4)], False),
    (AWAY, [dialled(5), received(4)], False),
    (HALF_OPEN, [VANISHED, lost(0, UNHEARD), received(1)], True),
    (HALF_OPEN, [VANISHED, lost(0, UNHEARD)], False),
    (HALF_OPEN, [lost(0, UNHEARD), received(1)], False),
    (HALF_OPEN, [VANISHED, lost(), received(1)], False),
    (HANDSHAKE, [dialled(), CUT, dialled()], True),
    (HANDSHAKE, [dialled(), CUT, lost(), dialled()], False),
    (HANDSHAKE, [dialled(), lost(), CUT, dialled()], False),
    (HANDSHAKE, [dialled(), CUT], False),
    (RESTARTED, [received(3), KILLED, AGAIN, follows(3), received(4, lane="c0#2")], True),
    (RESTARTED, [KILLED, AGAIN, follows(0), received(4, lane="c0#2")], False),
    (RESTARTED, [received(3), KILLED, AGAIN, follows(3)], False),
    (SERVER_RESTARTED, [received(3), SERVER, received(4)], True),
    (SERVER_RESTARTED, [SERVER, received(3), received(4)], False),
    (SERVER_RESTARTED, [received(3), SERVER, KILLED, AGAIN, received(4, lane="c0#2")], False),
    (GIVEN_UP, [deaf(2.0), HUNG_UP], True),
    (GIVEN_UP, [deaf(2.0), LEAVING, SERVER, deaf(9.0), HUNG_UP], True),
    (GIVEN_UP, [deaf(0.5), HUNG_UP], False),
    (GIVEN_UP, [HUNG_UP], False),
    (GIVEN_UP, [deaf(9.0), LEAVING, HUNG_UP], False),
    (LAGS, [received(3, lagged=1)], True),
    (LAGS, [received(3)], False),
    (ASKED_AGAIN, [ASKED, lost(), dialled(), received(1), DENIED], True),
    (ASKED_AGAIN, [ASKED, lost(), dialled(), ANSWERED], True),
    (ASKED_AGAIN, [ASKED, lost(), DENIED], False),
    (ASKED_AGAIN, [lost(), ASKED, dialled(), ANSWERED], False),
    (ASKED_AGAIN, [SUBMIT, lost(), dialled(), SUBMITTED], False),
    (ELSEWHERE, [ASKED, lost(), dialled(), ANSWERED], True),
    (ELSEWHERE, [ASKED, lost(), dialled(), DENIED], False),
    (ELSEWHERE, [ASKED, dialled(), ANSWERED], False),
    (REPEATED, [SUBMIT, lost(), dialled(4), SUBMITTED], True),
    (REPEATED, [SUBMIT, lost(), dialled(3), SUBMITTED], False),
    (REPEATED, [SUBMIT, SUBMITTED, lost(), dialled(4)], False),
    (REPEATED, [SUBMIT, lost(), dialled(4), call("denied", "submit", error="closed")], False),
    (REPEATED, [ASKED, lost(), dialled(4), ANSWERED], False),
]


@pytest.mark.parametrize(("goal", "said", "holds"), CASES)
def test_a_goal_is_met_by_what_it_says(goal: str, said: list[Said], holds: bool) -> None:
    assert (goal in met(*said)) is holds


def test_each_goal_has_cases_of_both_kinds() -> None:
    assert {goal for goal, _, holds in CASES if holds} == set(NETWORK_GOALS)
    assert {goal for goal, _, holds in CASES if not holds} == set(NETWORK_GOALS)


def test_they_are_among_the_others() -> None:
    history = history_of(STARTED, received(3, lagged=1))
    assert goals_of(history, SCENARIO) & NETWORK_GOALS.keys() == {LAGS}
    assert set(NETWORK_GOALS) <= set(goals())


def test_nothing_is_met_without_clients() -> None:
    # What is asked in the runtime's own process is another matter.
    said = [("op:0", what, {"op": "wait"}) for what in ("asked", "lost", "dialled", "answered")]
    assert not set(network_goals_of(history_of(SERVER, *said)))
    assert not met(*said)
