"""Exploring: the same seed finds the same, whoever runs it, and what fails is kept."""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path

import attrs
import pytest
import trio

from triphase_simulations.exploring import (
    KEPT,
    Failure,
    Means,
    Played,
    Result,
    calm_memory,
    explore,
    plan_of,
    play,
    replay,
    seed_of,
)
from triphase_simulations.history import History
from triphase_simulations.oracles import Violation
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Scenario
from triphase_simulations.suites import SUITES
from triphase_simulations.world import Stuck, World

from .conftest import PLANTED, busy_scenario

RESTART = SUITES["restart"]


@attrs.frozen
class Fixed:
    """A suite that has one scenario."""

    name: str = "fixed"

    def scenario(self, seed: int) -> Scenario:
        """Return it."""
        return busy_scenario()


def broken_by(error: Exception) -> Means:
    """Return means whose runs end so."""
    return Means(play=lambda scenario, plan: Played(History(), error))


def test_the_same_exploration_twice_is_the_same() -> None:
    first, second = (explore(RESTART, scenarios=12, seed=5) for _ in range(2))
    assert first.history_hash == second.history_hash
    assert first.goals == second.goals
    assert first.goals
    assert first.scenarios == 12
    assert first.per_second > 0


def test_another_seed_is_another_exploration() -> None:
    hashes = {explore(RESTART, scenarios=3, seed=seed).history_hash for seed in (1, 2, 3)}
    assert len(hashes) == 3


def test_two_processes_find_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A rule that another process can import.
    (tmp_path / "planted_rule.py").write_text(
        "from triphase_simulations.oracles import Violation\n"
        "def judge(history, scenario):\n"
        "    return [Violation('planted', e.job, e.seq, None, f'{e.seq} was interrupted')\n"
        "            for e in history.log if e.type.value == 'phase.interrupted']\n",
        "utf-8",
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    means = Means(judge=importlib.import_module("planted_rule").judge)
    results: dict[int, list[Result]] = {1: [], 2: []}
    found = {
        jobs: explore(
            RESTART, scenarios=45, seed=5, jobs=jobs, on_result=results[jobs].append, means=means
        )
        for jobs in (1, 2)
    }
    del sys.modules["planted_rule"]
    assert found[1].history_hash == found[2].history_hash
    assert found[1].goals == found[2].goals
    assert results[1] == results[2]
    assert [result.number for result in results[2]] == list(range(45))
    assert found[1].failed == found[2].failed > 0
    for one, two in zip(found[1].failures, found[2].failures, strict=True):
        assert one.seed == two.seed
        assert one.violations == two.violations
        assert one.history.hash() == two.history.hash()


def test_one_failure_of_each_kind_is_kept() -> None:
    found = explore(Fixed(), scenarios=4, seed=1, means=PLANTED)
    assert found.failed == 4
    (failure,) = found.failures
    assert failure.seed == seed_of(1, 0)
    assert failure.violation.normalised == "planted: fetch of jN was interrupted at N"
    assert failure.history.entries


def test_only_the_first_few_failures_are_kept() -> None:
    words = iter("abcdefghij")

    def judge(history: History, scenario: Scenario) -> list[Violation]:
        return [Violation("words", None, None, None, next(words))]

    found = explore(Fixed(), scenarios=8, seed=1, means=Means(judge=judge))
    assert found.failed == 8
    assert [each.violation.message for each in found.failures] == list("abcde")
    assert len(found.failures) == KEPT


def failure_by(error: Exception) -> Failure:
    """Return what an exploration makes of runs that end so."""
    found = explore(Fixed(), scenarios=2, seed=1, means=broken_by(error))
    assert found.failed == 2
    return found.failures[0]


def test_a_run_that_is_stuck_is_a_failure_that_says_who_waits() -> None:
    stuck = Stuck("livelock: 100000 turns of the loop at 1.5 s\n  committer: write")
    failure = failure_by(ExceptionGroup("from a nursery", [stuck]))
    assert failure.violation.oracle == "stuck"
    assert failure.violation.normalised == "stuck: livelock: N turns of the loop at N s"
    assert failure.details == "  committer: write"


def test_an_exception_is_a_failure_with_its_traceback() -> None:
    failure = failure_by(ExceptionGroup("from a nursery", [ValueError("no"), KeyError("k")]))
    assert failure.violation.oracle == "crash"
    assert failure.violation.message == "ValueError: no; KeyError: 'k'"
    assert "ExceptionGroup: from a nursery" in failure.details


def test_a_scenario_that_cannot_be_is_a_crash_not_an_exception() -> None:
    scenario = attrs.evolve(busy_scenario(), types=())
    observed = Means().observe(scenario, Plan())
    assert observed.violations[0].oracle == "crash"


def test_playing_changes_nothing_about_the_history() -> None:
    scenario = RESTART.scenario(4)
    played = play(scenario, plan_of(scenario, 4))
    assert played.error is None
    assert played.history.hash() == run_scenario(scenario, plan_of(scenario, 4)).hash()
    commits = [moment.about for moment in played.moments if isinstance(moment.about, int)]
    assert commits[-1] == played.history.log[-1].seq
    times = [moment.time for moment in played.moments]
    assert times == sorted(times)


def test_a_seed_is_replayed_as_it_was_explored() -> None:
    results: list[Result] = []
    explore(RESTART, scenarios=2, seed=9, on_result=results.append)
    again, failure = replay(RESTART, results[1].seed)
    assert failure is None
    assert again.hash == results[1].hash


def test_seeds_are_exact_in_every_json_reader() -> None:
    seeds = [seed_of(1, number) for number in range(100)]
    assert len(set(seeds)) == 100
    assert all(0 < seed < 2**53 for seed in seeds)


def test_the_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    with calm_memory() as after_run:
        assert not gc.isenabled()
        for _ in range(60):
            after_run()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_an_interrupt_that_trio_took_for_its_own_mistake_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(world: World, main: object) -> History:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as exc:
            raise trio.TrioInternalError("internal error") from exc

    monkeypatch.setattr(World, "run", run)
    with pytest.raises(KeyboardInterrupt):
        explore(Fixed(), scenarios=1, seed=1)
    assert gc.isenabled()
