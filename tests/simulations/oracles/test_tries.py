"""The deadlines of what runs: one history, judged as if other deadlines had been declared."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from triphase_protocol import EventType
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.history import History
from triphase_simulations.oracles import judge
from triphase_simulations.oracles.tries import silence
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

from .played import CALM, blamed, calm

PROGRESS: list[list[list[Any]]] = [[["progress", 1], ["sleep", 0.4], ["progress", 2], ["forever"]]]
FOREVER: list[list[list[Any]]] = [[["forever"]]]


def type_of(name: str, phase: dict[str, Any], **options: Any) -> TypeSpec:
    """Return a type of one phase."""
    return TypeSpec(name=name, phases=(PhaseSpec(name="a", ask_grace=0.25, **phase),), **options)


TIMED = Scenario(
    suite="oracles",
    types=(
        type_of("phase", {"timeout": 1.0}),
        type_of("progress", {"progress_timeout": 1.0}),
        type_of("run", {}, run_timeout=1.0),
        type_of("job", {}, timeout=1.0),
    ),
    jobs=(
        JobPlan(name="phase", type="phase", script={"a": FOREVER}),
        JobPlan(name="progress", type="progress", script={"a": PROGRESS}),
        JobPlan(name="run", type="run", script={"a": FOREVER}),
        JobPlan(name="job", type="job", script={"a": FOREVER}),
    ),
    kinds=(),
)
"""Each job is ended by the deadline that it is named for."""

STEPPED = attrs.evolve(
    TIMED, ops=(Op(what="step", about=-3600.0, when=Anchor(event="phase.started")),)
)


def timed(scenario: Scenario) -> History:
    """Return how a scenario went."""
    return run_scenario(scenario, Plan())


def declared(scenario: Scenario, deadline: str, seconds: float | None) -> Scenario:
    """Return a scenario that declares another time for one of the deadlines."""

    def changed(spec: TypeSpec) -> TypeSpec:
        if spec.name not in (deadline, "T"):
            return spec
        match deadline:
            case "run":
                return attrs.evolve(spec, run_timeout=seconds)
            case "job":
                return attrs.evolve(spec, timeout=seconds)
            case "phase":
                phases = [attrs.evolve(each, timeout=seconds) for each in spec.phases]
            case _:
                phases = [attrs.evolve(each, progress_timeout=seconds) for each in spec.phases]
        return attrs.evolve(spec, phases=tuple(phases))

    return attrs.evolve(scenario, types=tuple(changed(spec) for spec in scenario.types))


def said(history: History, scenario: Scenario) -> set[str]:
    """Return what the oracles say of a history."""
    return {violation.normalised for violation in judge(history, scenario)}


def test_each_deadline_ends_a_job_and_that_is_good() -> None:
    for scenario in (TIMED, STEPPED):
        history = timed(scenario)
        stops = [event for event in history.log if event.type is EventType.JOB_STOPPING]
        ended_by = {event.data.get("deadline") for event in stops}
        assert ended_by == {"phase", "progress", "run", "job"}
        assert judge(history, scenario) == []


@pytest.mark.parametrize("deadline", ["phase", "progress", "run", "job"])
@pytest.mark.parametrize("seconds", [1.001, None])
def test_o22_a_try_is_stopped_before_its_deadline(deadline: str, seconds: float | None) -> None:
    found = said(timed(TIMED), declared(TIMED, deadline, seconds))
    assert found == {f"O22: a was stopped before its {deadline} deadline had passed"}


@pytest.mark.parametrize("deadline", ["phase", "progress", "run", "job"])
def test_o22_a_try_runs_on_when_its_deadline_has_passed(deadline: str) -> None:
    found = said(timed(TIMED), declared(TIMED, deadline, 0.9))
    assert found == {f"O22: a ran on when its {deadline} deadline had passed"}
    assert blamed(calm(), declared(CALM, deadline, 0.75)) == {"O22"}


@pytest.mark.parametrize("deadline", ["phase", "progress", "run"])
def test_o22_what_runs_is_judged_though_the_wall_clock_was_set(deadline: str) -> None:
    early, late = declared(STEPPED, deadline, 2.0), declared(STEPPED, deadline, 0.5)
    assert any("was stopped before" in words for words in said(timed(STEPPED), early))
    assert any("ran on" in words for words in said(timed(STEPPED), late))


def test_o22_a_whole_job_is_not_judged_by_a_wall_clock_that_was_set() -> None:
    for seconds in (0.5, 2.0):
        assert said(timed(STEPPED), declared(STEPPED, "job", seconds)) == set()


def test_o22_what_a_cancel_does_not_end_at_once_may_run_on() -> None:
    jobs = tuple(attrs.evolve(job, script={"a": [[["tidy", 2.0]]]}) for job in TIMED.jobs)
    stubborn = attrs.evolve(TIMED, jobs=jobs)
    assert judge(timed(stubborn), declared(stubborn, "phase", 0.9)) == []


def test_o22_nobody_can_stop_it_where_no_process_is_there() -> None:
    gone = attrs.evolve(TIMED, ops=(Op(what="crash", when=Anchor(at=0.5)),))
    history = timed(gone)
    assert judge(history, gone) == []

    assert any(ran.ended is None for ran in history.ran)


@pytest.mark.parametrize(
    ("script", "seconds"),
    [
        ([["sleep", 0.9], ["return", 1]], math.inf),
        ([["sleep", 1.0], ["return", 1]], 1.0),
        ([["sleep", 0.9], ["progress", 1], ["sleep", 0.9], ["return", 1]], math.inf),
        ([["sleep", 0.9], ["progress", 1], ["shield", 2.0], ["return", 1]], 1.9),
        ([["sleep", 0.6], ["swallow", 0.6], ["progress", 1], ["return", 1]], 1.0),
        ([["progress", 1], ["tidy", 9.0]], 1.0),
        ([["raise", "ValueError"], ["forever"]], math.inf),
        ([], math.inf),
    ],
)
def test_how_long_a_script_is_silent(script: list[list[object]], seconds: float) -> None:
    assert silence(script, 1.0) == pytest.approx(seconds)
