"""Interruptions: what really happened under each policy, and what was made of it."""

from __future__ import annotations

import attrs
import pytest

from triphase_protocol import EventType, Job, OnRestart
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.history import History
from triphase_simulations.oracles import judge
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

POLICIES = [policy.value for policy in OnRestart]


def scenario_of(policy: str, op: str = "restart", lost_most: int = 5) -> Scenario:
    """Return a job whose process dies or leaves in its second phase."""
    phases = (PhaseSpec(name="a"), PhaseSpec(name="b"))
    return Scenario(
        suite="oracles",
        types=(TypeSpec(name="T", phases=phases, on_restart=policy, lost_most=lost_most),),
        jobs=(JobPlan(name="T0", type="T", script={"b": [[["sleep", 2.0]]]}),),
        ops=(Op(what=op, when=Anchor(at=1.0)),),
        kinds=(),
    )


def played(scenario: Scenario) -> History:
    """Return how a scenario went."""
    return run_scenario(scenario, Plan())


def said(history: History, scenario: Scenario) -> set[str]:
    """Return what the oracles say of a history."""
    return {violation.normalised for violation in judge(history, scenario)}


def as_lost(history: History) -> History:
    """Return a history that says of what was interrupted that it was lost."""

    def recharged(row: Job) -> Job:
        phases = tuple(
            attrs.evolve(phase, spent={"lost": 1} if phase.spent else {}) for phase in row.phases
        )
        return attrs.evolve(row, phases=phases)

    return attrs.evolve(
        history,
        log=tuple(
            attrs.evolve(event, data={**event.data, "cause": "lost"})
            if event.type is EventType.PHASE_INTERRUPTED
            else event
            for event in history.log
        ),
        jobs=tuple(recharged(row) for row in history.jobs),
    )


@pytest.mark.parametrize("op", ["restart", "crash"])
@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_is_kept_whether_a_process_leaves_or_dies(policy: str, op: str) -> None:
    scenario = scenario_of(policy, op)
    history = played(scenario)
    assert any(event.type is EventType.PHASE_INTERRUPTED for event in history.log)
    assert judge(history, scenario) == []


def test_what_is_lost_too_often_fails_whatever_the_policy_says() -> None:
    scenario = scenario_of("hold", "crash", lost_most=0)
    history = played(scenario)
    assert history.log[-1].type is EventType.JOB_FAILED
    assert judge(history, scenario) == []


@pytest.mark.parametrize("op", ["restart", "crash"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("other", POLICIES)
def test_o29_what_follows_an_interruption_is_not_what_its_type_says(
    policy: str, other: str, op: str
) -> None:
    if policy == other:
        return
    found = said(played(scenario_of(policy, op)), scenario_of(other, op))
    wrong = {words for words in found if "an interrupted run of a type that says" in words}
    # After a loss a failure may be one of its budget, and is not judged by the policy.
    assert bool(wrong) is not (policy == "fail" and op == "crash")


def test_o29_a_run_is_lost_and_no_process_had_died() -> None:
    scenario = scenario_of("resume")
    history = as_lost(played(scenario))
    assert said(history, scenario) == {"O29: b counts as lost, and no process had died"}


def test_o29_a_loss_is_not_judged_where_a_store_stalled() -> None:
    scenario = scenario_of("resume")
    history = as_lost(played(scenario))
    history.used = {("stall", "store.write", 0): 0.1}
    assert said(history, scenario) == set()
