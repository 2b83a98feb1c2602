from __future__ import annotations

import attrs
import pytest

from triphase_protocol import EventType
from triphase_simulations.exploring import Suite, play
from triphase_simulations.oracles import ORACLES, Oracle, Reading, judge
from triphase_simulations.plan import Plan
from triphase_simulations.suites import SUITES

from .played import CALM, DISTURBED, calm, disturbed

SEEDS = range(1, 31)


def test_the_calm_history_has_what_the_oracles_look_at() -> None:
    types = {event.type for event in calm().log}
    assert types >= {
        EventType.JOB_APPROVED,
        EventType.JOB_CANCELLED,
        EventType.JOB_COMPLETED,
        EventType.JOB_REJECTED,
        EventType.JOB_RETRIED,
        EventType.JOB_STOPPING,
        EventType.PHASE_FAILED,
        EventType.PHASE_INTERRUPTED,
        EventType.PHASE_PROGRESS,
    }
    assert {entry.what for entry in calm().entries} >= {"heard", "read", "leaving", "denied"}
    assert calm().settled


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.name)
def test_a_calm_history_is_good(oracle: Oracle) -> None:
    assert list(oracle.judge(Reading(calm(), CALM))) == []


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.name)
def test_a_history_with_a_crash_is_good(oracle: Oracle) -> None:
    seed = next(seed for seed in SEEDS if list(disturbed(seed).all("killed")))
    assert list(oracle.judge(Reading(disturbed(seed), DISTURBED))) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_disturbs_it_nothing_goes_wrong(seed: int) -> None:
    assert judge(disturbed(seed), DISTURBED) == []


def test_the_seeds_disturb_in_every_way() -> None:
    kinds = {kind for seed in SEEDS for kind, _, _ in disturbed(seed).used}
    assert kinds == set(DISTURBED.kinds)


def test_each_oracle_has_a_name_of_its_own_and_says_one_sentence() -> None:
    assert len({oracle.name for oracle in ORACLES}) == len(ORACLES)
    for oracle in ORACLES:
        assert oracle.says.endswith(".")
        assert "\n" not in oracle.says


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_a_run_in_which_nobody_asked_for_anything_is_good(suite: Suite) -> None:
    scenario = attrs.evolve(suite.scenario(5), jobs=(), ops=())
    assert judge(play(scenario, Plan(3)).history, scenario) == []
