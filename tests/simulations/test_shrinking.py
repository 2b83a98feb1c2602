"""Shrinking: what is left is needed, and fails in the same way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import attrs
import pytest

from triphase_simulations.exploring import Failure, Means, Played, failure_of
from triphase_simulations.history import History
from triphase_simulations.oracles import Violation
from triphase_simulations.plan import Key, Plan
from triphase_simulations.scenario import Scenario
from triphase_simulations.shrinking import ddmin, defaults, numbers, replaced, shrink, steps_of

from .conftest import PLANTED, busy_scenario

KEYS: list[Key] = [("hold" if n % 2 else "stall", f"task{n}", n) for n in range(30)]


# ddmin


@pytest.mark.parametrize("needed", [(), (17,), (0, 29), (3, 4, 5), (1, 9, 20, 28)])
def test_ddmin_leaves_what_is_needed(needed: tuple[int, ...]) -> None:
    asked: list[list[int]] = []

    def fails(items: list[int]) -> bool:
        asked.append(items)
        return set(needed) <= set(items)

    assert ddmin(range(30), fails) == list(needed)
    assert len(asked) < 250


def test_ddmin_finds_one_of_thirty_in_few_runs() -> None:
    asked: list[list[Key]] = []

    def fails(keys: list[Key]) -> bool:
        asked.append(keys)
        return KEYS[21] in keys

    assert ddmin(KEYS, fails) == [KEYS[21]]
    assert len(asked) < 15


def test_ddmin_leaves_nothing_that_could_go() -> None:
    # Two ways to fail; neither is a part of the other.
    def fails(items: list[int]) -> bool:
        return {1, 2} <= set(items) or {3, 4, 5} <= set(items)

    left = ddmin(range(9), fails)
    assert fails(left)
    for item in left:
        assert not fails([each for each in left if each != item])


def test_ddmin_of_nothing_and_of_one() -> None:
    assert ddmin([], lambda items: True) == []
    assert ddmin([1], lambda items: bool(items)) == [1]


# With a runner that only looks at what it is given


def means_of(judge: Callable[[Scenario, Plan], Iterable[str]]) -> Means:
    """Return means by which a run is what a function says of its scenario and plan."""
    said: list[list[str]] = []

    def play(scenario: Scenario, plan: Plan) -> Played:
        for kind, site, n in list(plan.fixed):
            # Passed for as often as it takes.
            for _ in range(n + 1):
                plan.next(kind, site)
        said.append(list(judge(scenario, plan)))
        return Played(History())

    def judged(history: History, scenario: Scenario) -> list[Violation]:
        return [Violation("rule", None, None, None, message) for message in said[-1]]

    return Means(play=play, judge=judged)


def failure_by(means: Means, perturbations: dict[Key, float]) -> Failure:
    """Return the failure of the busy scenario."""
    scenario, plan = busy_scenario(), Plan(7, kinds=frozenset(), fixed=perturbations)
    return failure_of("busy", 7, scenario, plan, means.observe(scenario, plan))


def test_the_one_perturbation_of_thirty_is_found() -> None:
    means = means_of(lambda scenario, plan: ["bad"] if KEYS[11] in plan.fixed else [])
    failure = failure_by(means, dict.fromkeys(KEYS, 8.0))
    small = shrink(failure, means=means)
    # Found, and as small as its kind can be.
    assert dict(small.perturbations) == {KEYS[11]: 1.0}
    assert (small.scenario.jobs, small.scenario.ops, small.scenario.types) == ((), (), ())
    assert small.plan.seed is None
    assert small.shrunk is not None
    assert small.shrunk.confirmed
    assert small.shrunk.perturbations == (30, 1)
    assert small.shrunk.jobs == (3, 0)


def test_another_violation_is_not_slipped_to() -> None:
    # With fewer perturbations something else goes wrong, and more often.
    def judge(scenario: Scenario, plan: Plan) -> list[str]:
        if {KEYS[2], KEYS[3]} <= set(plan.fixed):
            return ["rare at 7"]
        return ["common"]

    means = means_of(judge)
    failure = failure_by(means, dict.fromkeys(KEYS, 1.0))
    small = shrink(failure, means=means)
    assert small.violation.message == "rare at 7"
    assert set(small.perturbations) == {KEYS[2], KEYS[3]}


def test_the_violation_that_was_wanted_comes_first() -> None:
    def judge(scenario: Scenario, plan: Plan) -> list[str]:
        return ["wanted"] if len(plan.fixed) == 30 else ["beside it", "wanted"]

    means = means_of(judge)
    small = shrink(failure_by(means, dict.fromkeys(KEYS, 1.0)), means=means)
    assert [each.message for each in small.violations] == ["wanted", "beside it"]


def test_what_does_not_fail_again_is_left_as_it_is() -> None:
    runs = itertools.count()
    means = means_of(lambda scenario, plan: ["once"] if next(runs) == 0 else [])
    failure = failure_by(means, dict.fromkeys(KEYS, 1.0))
    small = shrink(failure, means=means)
    assert small.scenario == failure.scenario
    assert small.perturbations == failure.perturbations
    assert small.shrunk is not None
    assert not small.shrunk.confirmed


def test_the_budget_is_kept() -> None:
    means = means_of(lambda scenario, plan: ["bad"] if len(plan.fixed) > 20 else [])
    failure = failure_by(means, dict.fromkeys(KEYS, 8.0))
    counts: list[int] = []
    small = shrink(failure, budget=10, means=means, on_replay=counts.append)
    # And one to confirm.
    assert counts == list(range(1, 12))
    assert small.shrunk is not None
    assert small.shrunk.confirmed
    assert len(small.perturbations) > 20


# With the real one


def test_a_real_failure_is_made_small(broken: Failure) -> None:
    small = shrink(broken, means=PLANTED)
    assert small.violation.normalised == broken.violation.normalised
    assert [op.what for op in small.scenario.ops] == ["crash"]
    assert len(small.scenario.jobs) == 1
    assert len(small.scenario.types) == 1
    assert len(small.scenario.types[0].phases) == 1
    assert not small.perturbations
    assert steps_of(small.scenario) <= 1
    assert small.shrunk is not None
    assert small.shrunk.confirmed
    assert small.shrunk.replays < 200


# Places in a scenario


def test_a_value_is_replaced_where_it_stands() -> None:
    scenario = busy_scenario()
    changed = replaced(scenario, ("jobs", 1, "script", "fetch", 0, 1, 1), 9.0)
    assert changed.jobs[1].script["fetch"][0][1] == ["sleep", 9.0]
    assert scenario.jobs[1].script["fetch"][0][1] == ["sleep", 2.0]
    assert changed.jobs[0] == scenario.jobs[0]


def test_places_name_what_is_not_there_by_default() -> None:
    scenario = busy_scenario()
    found = dict(defaults(scenario))
    assert found[("types", 0, "phases", 0, "attempts")] == 1
    assert found[("jobs", 1, "at")] == 0.0
    assert found[("ops", 1, "when", "offset")] == 0.0
    assert ("ops", 0, "when", "at") not in found
    assert ("jobs", 0, "script") not in found
    for place, value in found.items():
        assert replaced(scenario, place, value) != scenario


def test_numbers_are_found_with_their_places() -> None:
    found = dict(numbers(busy_scenario()))
    assert found[("jobs", 0, "script", "fetch", 0, 1, 1)] == 2.0
    assert found[("limits", "default")] == 3
    # By default.
    assert ("limit",) not in found


def test_an_evolved_scenario_is_what_a_shrunk_one_is() -> None:
    scenario = busy_scenario()
    assert replaced(scenario, ("limit",), 5) == attrs.evolve(scenario, limit=5)
