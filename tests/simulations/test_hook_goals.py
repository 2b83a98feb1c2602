"""The goals about webhooks: each is met by what it says, and not by what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from triphase_protocol import Delivery, Event, EventType, Hook, HookState
from triphase_simulations.coverage import goals, goals_of
from triphase_simulations.history import Entry, History, Post
from triphase_simulations.hook_goals import HOOK_GOALS, hook_goals_of
from triphase_simulations.receivers import WORDS
from triphase_simulations.scenario import Scenario, SendingPlan

URL = "https://r0.example/in"
READ = Scenario(suite="x", types=(), jobs=(), sending=SendingPlan(failures=2, pause=5.0))
UNREAD = Scenario(suite="x", types=(), jobs=(), followed=False)

ONCE = Delivery.AT_MOST_ONCE
DEAD = HookState.DEAD
GONE = EventType.JOB_DELETED

DELETED = Event(seq=9, job="j2", run=1, version=9, type=GONE, at=0.0, phase=None, data={})


def post(
    time: float, ended: float | None, status: int | None = 200, id: str = "h1", **changes: Any
) -> Post:
    """Return a try of `h1` by the first life of the process."""
    fields: dict[str, Any] = {
        "process": "node",
        "url": URL,
        "body": "{}",
        "headers": {},
        "received": True,
        "answer": "ok",
        "durable": 5,
        **changes,
    }
    return Post(time=time, ended=ended, status=status, id=id, **fields)


def hook(id: str = "h1", state: HookState = HookState.DELIVERED, **changes: Any) -> Hook:
    """Return a delivery of the end of `j2`."""
    fields: dict[str, Any] = {"event": EventType.JOB_COMPLETED, "seq": 5, **changes}
    return Hook(id=id, job="j2", run=1, url=URL, state=state, **fields)


def said(time: float, what: str, lane: str = "node", **data: Any) -> Entry:
    """Return an entry of the process."""
    return Entry(time=time, lane=lane, what=what, data=data)


KILLED = said(2.0, "killed", why="at store.after")
DRAIN = said(2.0, "asked", lane="op:0", op="drain")
LEAVING = said(2.0, "leaving")

UNHEARD = post(1.0, None, None)
UNDER_WAY = post(1.0, 3.0)
EARLIER = post(0.5, 1.0)
LATER = post(4.0, 5.0)
FAILED = [post(1.0, 1.1, 500), post(2.0, 2.1, None, id="h2")]

DIED = "a crash while a post is under way"
CLOSING = "a post under way as the runtime closes"
DRAINED = "a drain while a post is under way"
TWICE = "a webhook received twice"
GIVEN_UP = "at most once, and given up"
AFTER = "a webhook posted after its job was deleted"
TOLD = "a deletion told"
MEANWHILE = "a redelivery asked for while it is under way"
AGAIN = "a redelivery of what was delivered"
UNTRIED = "a webhook given up untried"
BACK = "a receiver that was gone is back"
RESTED = "a receiver left alone for a while"
WOKE = "a receiver tried again after that, with success"

Case = tuple[str, dict[str, Any], bool]

CASES: list[Case] = [
    (DIED, {"posts": [UNHEARD], "entries": [KILLED]}, True),
    (DIED, {"posts": [EARLIER], "entries": [KILLED]}, False),
    (DIED, {"posts": [post(1.0, None, None, answer="die")], "entries": [KILLED]}, False),
    (DIED, {"posts": [post(1.0, None, None, process="node#2")], "entries": [KILLED]}, False),
    (DIED, {"posts": [UNHEARD], "entries": [said(2.0, "killed", why="the run is over")]}, False),
    (CLOSING, {"posts": [UNDER_WAY], "entries": [LEAVING]}, True),
    (CLOSING, {"posts": [UNHEARD], "entries": [LEAVING]}, False),
    (CLOSING, {"posts": [EARLIER, LATER], "entries": [LEAVING]}, False),
    (DRAINED, {"posts": [UNDER_WAY], "entries": [DRAIN]}, True),
    (DRAINED, {"posts": [EARLIER, LATER], "entries": [DRAIN]}, False),
    (DRAINED, {"posts": [UNDER_WAY], "entries": [said(2.0, "asked", op="get")]}, False),
    (TWICE, {"posts": [EARLIER, LATER]}, True),
    (TWICE, {"posts": [EARLIER, post(4.0, 5.0, id="h2")]}, False),
    (TWICE, {"posts": [post(0.5, 1.0, None, received=False), LATER]}, False),
    (TWICE, {"posts": [EARLIER, LATER], "redelivered": [(2.0, "h1")]}, False),
    (GIVEN_UP, {"posts": [UNHEARD], "hooks": [hook(state=DEAD, delivery=ONCE)]}, True),
    (GIVEN_UP, {"posts": [EARLIER], "hooks": [hook(state=DEAD, delivery=ONCE)]}, False),
    (GIVEN_UP, {"posts": [UNHEARD], "hooks": [hook(state=DEAD)]}, False),
    (GIVEN_UP, {"posts": [UNHEARD], "hooks": [hook(delivery=ONCE)]}, False),
    (AFTER, {"posts": [post(1.0, 2.0, durable=9)], "hooks": [hook()], "log": [DELETED]}, True),
    (AFTER, {"posts": [post(1.0, 2.0, durable=8)], "hooks": [hook()], "log": [DELETED]}, False),
    (
        AFTER,
        {"posts": [post(1.0, 2.0, durable=9)], "hooks": [hook(event=GONE)], "log": [DELETED]},
        False,
    ),
    (AFTER, {"posts": [post(1.0, 2.0, durable=9)], "hooks": [hook()]}, False),
    (TOLD, {"posts": [EARLIER], "hooks": [hook(event=GONE)]}, True),
    (TOLD, {"posts": [EARLIER], "hooks": [hook(event=GONE, state=DEAD)]}, False),
    (TOLD, {"posts": [EARLIER], "hooks": [hook()]}, False),
    (MEANWHILE, {"posts": [UNDER_WAY], "redelivered": [(2.0, "h1")]}, True),
    (MEANWHILE, {"posts": [UNDER_WAY], "redelivered": [(2.0, "h2")]}, False),
    (MEANWHILE, {"posts": [EARLIER, LATER], "redelivered": [(2.0, "h1")]}, False),
    (AGAIN, {"posts": [EARLIER, LATER], "redelivered": [(2.0, "h1")]}, True),
    (AGAIN, {"posts": [post(0.5, 1.0, 500), LATER], "redelivered": [(2.0, "h1")]}, False),
    (AGAIN, {"posts": [EARLIER], "redelivered": [(2.0, "h1")]}, False),
    (AGAIN, {"posts": [EARLIER, LATER], "redelivered": [(0.7, "h1")]}, False),
    (UNTRIED, {"posts": [EARLIER], "hooks": [hook("h2", DEAD)]}, True),
    (UNTRIED, {"posts": [EARLIER], "hooks": [hook("h1", DEAD)]}, False),
    (UNTRIED, {"posts": [EARLIER], "hooks": [hook("h2", HookState.PENDING)]}, False),
    (BACK, {"posts": [post(0.5, 1.0, 410), LATER]}, True),
    (BACK, {"posts": [post(0.5, 1.0, 410), post(4.0, 5.0, url="https://r1.example/in")]}, False),
    (BACK, {"posts": [EARLIER, post(4.0, 5.0, 410)]}, False),
    (RESTED, {"posts": FAILED}, True),
    (RESTED, {"posts": [FAILED[0], post(1.2, 1.3), FAILED[1]]}, False),
    (RESTED, {"posts": [FAILED[0], post(2.0, 2.1, 500, process="node#2")]}, False),
    (WOKE, {"posts": [*FAILED, post(7.1, 7.2)]}, True),
    (WOKE, {"posts": [*FAILED, post(7.0, 7.2)]}, False),
    (WOKE, {"posts": [*FAILED, post(7.1, 7.2, 500)]}, False),
    (WOKE, {"posts": [*FAILED, post(7.1, 7.2, process="node#2")]}, False),
]


def history_of(**parts: Any) -> History:
    """Return a history of these parts."""
    for name in ("hooks", "log"):
        parts[name] = tuple(parts.get(name, ()))
    return History(**parts)


@pytest.mark.parametrize(("goal", "parts", "holds"), CASES)
def test_a_goal_is_met_by_what_it_says(goal: str, parts: dict[str, Any], holds: bool) -> None:
    assert (goal in set(hook_goals_of(history_of(**parts), READ))) is holds


@pytest.mark.parametrize("word", WORDS)
def test_what_a_receiver_does_is_a_goal_each(word: str) -> None:
    answer = f"{word}:1.5" if word in ("slow", "429") else word
    history = history_of(posts=[post(1.0, 2.0, answer=answer)])
    met = {goal for goal in hook_goals_of(history, READ) if goal.startswith("a receiver does")}
    assert met == {f"a receiver does: {word}"}


def test_nobody_follows_only_if_nobody_does() -> None:
    goal, history = "a webhook delivered that nobody follows", history_of(hooks=[hook()])
    assert goal in hook_goals_of(history, UNREAD)
    assert goal not in hook_goals_of(history, READ)
    assert goal not in hook_goals_of(history_of(hooks=[hook(state=DEAD)]), UNREAD)


def test_each_goal_has_cases_of_both_kinds() -> None:
    others = {goal for goal in HOOK_GOALS if goal.startswith("a receiver does")}
    others.add("a webhook delivered that nobody follows")
    assert {goal for goal, _, holds in CASES if holds} == set(HOOK_GOALS) - others
    assert {goal for goal, _, holds in CASES if not holds} == set(HOOK_GOALS) - others


def test_they_are_among_the_others() -> None:
    history = history_of(posts=[EARLIER, LATER])
    met = goals_of(history, READ) & HOOK_GOALS.keys()
    assert met == {"a receiver does: ok", TWICE}
    assert set(HOOK_GOALS) <= set(goals())


def test_nothing_is_met_without_webhooks() -> None:
    assert not set(hook_goals_of(history_of(entries=[KILLED, DRAIN, LEAVING]), UNREAD))
