"""The picture of a failure as text: what it names, and that its order is the run's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from triphase_simulations.cast import PhaseSpec
from triphase_simulations.exploring import Failure, failure_of
from triphase_simulations.oracles import Violation
from triphase_simulations.plan import CRASH, HOLD, REFUSE, STALL, STEP, Plan
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario
from triphase_simulations.shrinking import shrink
from triphase_simulations.telling import regression_test, source, workload
from triphase_simulations.timeline import MARKS, ROWS, draw, picture, report

from .conftest import PLANTED, busy_scenario


@pytest.fixture(scope="module")
def small(broken: Failure) -> Failure:
    """The failure, made small."""
    return shrink(broken, means=PLANTED)


@pytest.fixture(scope="module")
def disturbed() -> Failure:
    """A failure with a perturbation of each kind."""
    plan = Plan(
        fixed={
            (HOLD.name, "committer", 1): 3.0,
            (STALL.name, "store.write", 2): 0.3,
            (STEP.name, "store.write", 3): 30.0,
            (REFUSE.name, "store.write", 4): 1.0,
            (CRASH.name, "store.after", 3): 1.0,
        }
    )
    scenario = attrs.evolve(busy_scenario(), ops=())
    return failure_of("busy", 7, scenario, plan, PLANTED.observe(scenario, plan))


def test_a_report_says_it_all_in_order(small: Failure) -> None:
    text = report(small, Path("found/busy-7.json"))
    parts = [
        "VIOLATION  planted · job film0 · seq",
        "fetch of j2 was interrupted at",
        "7 of busy",
        "triphase simulate replay found/busy-7.json",
        "triphase simulate replay 7 --suite busy",
        "jobs 3 → 1, operations 3 → 1",
        "submit film0 (Film) at 0 s",
        "crash at the phase.started",
        "none: it fails undisturbed",
        "def test_busy_planted_7() -> None:",
        "timeline",
        "dies as the scenario says",
        "<- here",
    ]
    places = [text.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)


def test_a_report_without_a_file_names_the_seed_alone(broken: Failure) -> None:
    text = report(broken)
    assert ".json" not in text
    assert "triphase simulate replay 7 --suite busy" in text
    assert "not shrunk" in text


def test_what_else_is_known_is_told(broken: Failure) -> None:
    more = Violation("other", None, None, None, "something beside it")
    failure = attrs.evolve(broken, violations=(*broken.violations, more), details="who waits where")
    text = report(failure)
    assert "something beside it" in text
    assert "who waits where" in text


def test_lanes_are_clients_processes_and_jobs(broken: Failure) -> None:
    lanes = picture(broken).lanes
    assert lanes[:2] == ("clients", "node")
    assert {"film0", "film1", "film2"} <= set(lanes)


def test_more_than_three_jobs_share_a_lane(broken: Failure) -> None:
    scenario = attrs.evolve(
        busy_scenario(), jobs=tuple(JobPlan(name=f"film{n}", type="Film") for n in range(5))
    )
    plan = Plan()
    failure = failure_of("busy", 7, scenario, plan, PLANTED.observe(scenario, plan))
    failure = attrs.evolve(failure, violations=broken.violations)
    whole = picture(failure)
    assert "jobs" in whole.lanes
    assert "film0" not in whole.lanes
    assert any(row.text.startswith("film4: ") for row in whole.rows)


def test_time_runs_down_and_every_event_is_there_once(broken: Failure) -> None:
    rows = picture(broken).rows
    times = [row.time for row in rows]
    assert times == sorted(times)
    assert [row.event.seq for row in rows if row.event] == [e.seq for e in broken.history.log]


def test_a_handler_begins_after_its_event_and_ends_before_the_next(broken: Failure) -> None:
    rows = picture(broken).rows
    begun = {row.began: place for place, row in enumerate(rows) if row.began}
    ended = {row.ended: place for place, row in enumerate(rows) if row.ended}
    assert len(begun) == len(broken.history.ran)
    assert set(ended) == set(begun)
    assert any(row.text == "fetch() dies" for row in rows)
    for name, place in begun.items():
        ran = broken.history.ran[int(name)]
        started = [
            number
            for number, row in enumerate(rows)
            if row.event is not None
            and (row.event.job, row.event.run, row.event.phase) == (ran.job, ran.run, ran.phase)
            and row.event.type.value == "phase.started"
        ]
        assert started[0] < place
        assert place < ended[name]


def test_the_timeline_is_so_long_and_has_the_violation(broken: Failure) -> None:
    lines = draw(broken)
    rows = [line for line in lines if "│" in line]
    assert len(rows) == ROWS
    (here,) = [line for line in rows if line.endswith("<- here")]
    assert here.startswith(MARKS["violation"])
    assert "interrupted" in here
    assert any("lines before" in line for line in lines)
    assert any("┃" in line for line in rows)


def test_each_kind_of_disturbance_is_marked(disturbed: Failure) -> None:
    assert {kind for kind, _, _ in disturbed.perturbations} == {
        "hold",
        "stall",
        "step",
        "refuse",
        "crash",
    }
    marked = {row.mark: row.text for row in picture(disturbed).rows if row.mark}
    assert marked["stall"] == "store.write stalls 0.3 s"
    assert marked["step"] == "clock set by 30 s"
    assert marked["refuse"] == "a write is refused"
    assert marked["crash"].startswith("dies at store.after")
    assert any(row.text == "committer held 3 turns" for row in picture(disturbed).rows)
    edges = {line[0] for line in draw(disturbed, 1000) if "│" in line}
    assert {MARKS[kind] for kind in ("crash", "stall", "refuse", "step")} <= edges


def test_a_failure_without_a_history_has_a_picture(broken: Failure) -> None:
    empty = attrs.evolve(broken, history=type(broken.history)(), moments=())
    assert draw(empty) == ["(nothing happened)"]
    assert report(empty)


def test_events_are_placed_by_their_time_if_nobody_saw_the_commits(broken: Failure) -> None:
    rows = picture(attrs.evolve(broken, moments=())).rows
    assert sum(row.event is not None for row in rows) == len(broken.history.log)


# Words and code


def test_a_workload_is_told_in_words() -> None:
    assert workload(busy_scenario()) == [
        "type Film: fetch (attempts 3), store (timeout 20)",
        "type Idle: fetch (attempts 3), store (timeout 20)",
        *(
            f"submit film{n} (Film) at {n / 10:g} s; "
            "fetch: progress 1, sleep 2.0, return 1; store: sleep 0.25, return ok"
            for n in range(3)
        ),
        "get film1 at 0.5 s",
        "crash at the phase.started of film0 +0.7 s",
        "cancel film2 at 0.2 s",
        "store: limits {'default': 3}",
    ]


def test_an_nth_event_and_what_an_operation_is_about_are_told() -> None:
    anchor = Anchor(event="phase.completed", phase="a", nth=3)
    scenario = Scenario(suite="x", types=(), jobs=(), ops=(Op(what="step", when=anchor, about=5),))
    assert workload(scenario) == ["step 5 at the 3. phase.completed of a of any job"]


@pytest.mark.parametrize(
    "value",
    [
        busy_scenario(),
        PhaseSpec(name="a"),
        {("hold", "x", 3): 1.0, ("stall", "y" * 90, 0): 0.3},
        (1,),
        (),
        [],
        {},
        "both \" and '",
        "it's",
        "two\nlines",
        {"a": [None, True, -1.5, "x" * 100]},
    ],
)
def test_code_means_the_value_that_it_was_made_from(value: Any) -> None:
    import triphase_simulations.cast as cast_names
    import triphase_simulations.scenario as scenario_names

    text = source(value)
    assert eval(text, {**vars(cast_names), **vars(scenario_names)}) == value


def test_the_regression_test_fails_as_long_as_the_failure_is_there(
    small: Failure, planted: None
) -> None:
    names: dict[str, Any] = {}
    text = regression_test(small)
    assert all(len(line) <= 100 for line in text.splitlines())
    exec(compile(text, "pasted.py", "exec"), names)
    with pytest.raises(AssertionError):
        names["test_busy_planted_7"]()


def test_the_regression_test_passes_when_it_is_gone(small: Failure) -> None:
    names: dict[str, Any] = {}
    exec(compile(regression_test(small), "pasted.py", "exec"), names)
    names["test_busy_planted_7"]()


def test_handlers_that_run_at_once_are_seen(broken: Failure) -> None:
    (first, *_) = broken.history.ran
    twice = attrs.evolve(broken.history, ran=[first, attrs.evolve(first, attempt=2)])
    text = "\n".join(draw(attrs.evolve(broken, history=twice), 1000))
    assert "║" in text
    assert "║" not in "\n".join(draw(broken, 1000)).replace("║ several", "")


def test_a_violation_of_a_job_alone_is_at_its_last_event(broken: Failure) -> None:
    (first, *_) = broken.history.log
    violation = Violation("other", first.job, None, None, "no")
    whole = picture(attrs.evolve(broken, violations=(violation,)))
    event = whole.rows[whole.at].event
    assert event == broken.history.events_of(first.job)[-1]
