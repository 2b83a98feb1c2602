"""Clients in reports: what they are, what happened to them, and a test that shows it again."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from triphase_simulations import oracles
from triphase_simulations.client_lanes import lane_of, words_of
from triphase_simulations.exploring import Failure, Means, failure_of
from triphase_simulations.history import Entry
from triphase_simulations.oracles import Violation
from triphase_simulations.page import page
from triphase_simulations.plan import Key, Plan, lines
from triphase_simulations.scenario import Anchor, ClientPlan, JobPlan, Op, PicturePlan, Scenario
from triphase_simulations.telling import regression_test, source, workload
from triphase_simulations.timeline import MARKS, draw, picture

from .conftest import Never, busy_scenario

SCENARIO = attrs.evolve(
    busy_scenario(),
    jobs=tuple(
        attrs.evolve(job, via="c1") if job.name == "film1" else job for job in busy_scenario().jobs
    ),
    ops=(
        Op(what="wait", job="film0", when=Anchor(at=0.5), about=9.0, via="c0"),
        Op(what="deaf", when=Anchor(at=1.0), about=2.5, via="c1"),
        Op(what="crash", when=Anchor(at=1.5), via="c1"),
    ),
    clients=(
        ClientPlan(name="c0", job="film0", reads=True, begins=0.1),
        ClientPlan(name="c1", types=("Film",), events=("job.started", "job.completed"), pause=0.01),
    ),
    pictures=(PicturePlan(name="p0", begins=0.5),),
    capacity=2000,
)

DISTURBED: dict[Key, float] = {
    ("delay", "node>c0", 3): 0.3,
    ("cut", "c0>node", 3): 0.7,
    ("vanish", "c1>node", 3): 1.0,
    ("cut", "p0>node", 0): 1.0,
}


@pytest.fixture(scope="module")
def failure() -> Failure:
    """A failure with clients that are disturbed in every way."""
    plan = Plan(7, kinds=frozenset(), fixed=DISTURBED)
    return failure_of(
        "x", 7, SCENARIO, plan, Means(judge=Never("received").alone).observe(SCENARIO, plan)
    )


def told(failure: Failure, lane: str) -> list[str]:
    """Return what stands in a lane."""
    return [row.text for row in picture(failure).rows if row.lane == lane]


# The workload


def test_clients_are_told_in_words_one_a_line() -> None:
    assert workload(SCENARIO)[3:] == [
        "submit film1 (Film) at 0.1 s via c1; "
        "fetch: progress 1, sleep 2.0, return 1; store: sleep 0.25, return ok",
        workload(busy_scenario())[4],
        "wait film0 9.0 via c0 at 0.5 s",
        "deaf c1 for 2.5 s at 1 s",
        "crash c1 at 1.5 s",
        "client c0 follows all events of film0 from 0.1 s on and reads the job of each",
        "client c1 follows job.started, job.completed of type Film from 0 s on "
        "and takes 0.01 s for each",
        "picture p0 of all jobs, from 0.5 s on",
        "store: limits {'default': 3}, capacity 2000",
    ]


def test_a_client_that_follows_everything_is_told_shortly() -> None:
    scenario = Scenario(suite="x", types=(), jobs=(), clients=(ClientPlan(name="c0"),))
    assert workload(scenario) == ["client c0 follows all events from 0 s on"]


def test_what_disturbs_a_network_is_told_in_words() -> None:
    assert lines(DISTURBED) == [
        "delay node>c0 by 0.3 s, the 4th time",
        "cut c0>node the 4th time, when 70% of it has arrived",
        "let c1>node vanish from the 4th time on",
        "cut p0>node the 1st time, when 100% of it has arrived",
    ]


# The timeline


def test_each_client_has_a_lane(failure: Failure) -> None:
    assert picture(failure).lanes[-3:] == ("c0", "c1", "p0")


def test_what_a_client_does_and_hears_stands_in_its_lane(failure: Failure) -> None:
    rows = told(failure, "c0")
    for words in (
        "connects",
        "follows film0 after 0",
        "received 1",
        "looked: film0 completed v9",
        "wait film0",
        "wait film0 → Completed",
        "node>c0 takes 0.3 s more",
    ):
        assert words in rows
    assert any(text.startswith("cut: ") and text.endswith("bytes arrive") for text in rows)
    assert any(text.startswith("lost: ") for text in rows)
    assert "node hangs up" in told(failure, "c0") + told(failure, "c1")


def test_what_becomes_of_another_client_stands_in_its_own(failure: Failure) -> None:
    rows = told(failure, "c1")
    for words in (
        "all vanishes from now on",
        "takes nothing for 2.5 s",
        "dies as the scenario says",
        "connects (life 2)",
        "submit film1",
        "submit film1 → ok",
    ):
        assert words in rows
    assert any(text.startswith("follows all after ") for text in rows)
    rows = told(failure, "p0")
    assert "connects in vain: cut" in rows
    assert "has a picture of 3 jobs" in rows


def test_what_is_cut_or_vanishes_is_marked(failure: Failure) -> None:
    marks = {row.mark for row in picture(failure).rows}
    assert {"cut", "vanish", "stall"} <= marks
    edges = {line[0] for line in draw(failure, 1000) if "│" in line}
    assert {MARKS["cut"], MARKS["vanish"]} <= edges


def test_the_page_has_them_too(failure: Failure) -> None:
    text = page(failure)
    assert "<th>c0</th><th>c1</th><th>p0</th>" in text
    assert 'class="vanish' in text
    assert "client c0 follows all events of film0" in text


@pytest.mark.parametrize(
    ("what", "data", "words"),
    [
        ("received", {"seq": 5, "lagged": 2}, "received 5 (lagged 2)"),
        ("reset", {"reason": "pruned"}, "begins anew: pruned"),
        ("looked", {"job": "j2", "gone": True}, "looked: film gone"),
        ("unfollowed", {"error": "gone"}, "follows nothing more: gone"),
        ("client ended", {"error": "closed", "message": "no"}, "ends: closed"),
        ("misdrawn", {"seq": 4, "message": "no"}, "cannot draw 4"),
        ("cut", {"site": "node>c0", "arrived": 1, "sent": 9}, "cut: 1 of 9 bytes of node arrive"),
        ("vanished", {"site": "node>c0"}, "all vanishes from now on of node"),
        ("hung up", {"site": "node>c0", "by": "node"}, "node hangs up"),
        ("started", {"client": True}, None),
    ],
)
def test_what_is_rare_has_words_too(what: str, data: dict[str, Any], words: str | None) -> None:
    entry = Entry(time=1.0, lane="c0#2", what=what, data=data)
    assert words_of(entry, {"j2": "film"}) == words


def test_a_connection_is_told_of_in_the_lane_of_its_client() -> None:
    assert (lane_of("c0>node"), lane_of("node>c0")) == ("c0", "c0")


# As a test


def test_code_with_clients_means_what_it_was_made_from() -> None:
    names = {each.__name__: each for each in (Anchor, ClientPlan, JobPlan, Op, PicturePlan)}
    assert eval(source(SCENARIO.clients), dict(names)) == SCENARIO.clients
    assert eval(source(SCENARIO.pictures), dict(names)) == SCENARIO.pictures
    assert eval(source(SCENARIO.ops), dict(names)) == SCENARIO.ops


def test_the_regression_test_imports_what_it_names(
    failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = regression_test(failure)
    assert "import Anchor, ClientPlan, JobPlan, Op, PicturePlan, Scenario\n" in text
    names: dict[str, Any] = {}
    exec(compile(text, "pasted.py", "exec"), names)
    names["test_x_planted_7"]()
    monkeypatch.setattr(oracles, "ORACLES", (Never("received"),))
    with pytest.raises(AssertionError):
        names["test_x_planted_7"]()


def test_a_scenario_without_clients_needs_no_more_names() -> None:
    plan = Plan()
    violation = Violation("planted", None, None, None, "no")
    means = Means(judge=lambda history, scenario: [violation])
    failure = failure_of("x", 7, busy_scenario(), plan, means.observe(busy_scenario(), plan))
    assert "import Anchor, JobPlan, Op, Scenario\n" in regression_test(failure)
