"""Simulated runs a second, beside runs of trio that do nothing. Nothing is asserted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Final

import attrs
import trio
import trio.testing

from .cast import PhaseSpec, TypeSpec
from .exploring import Means, calm_memory, plan_of, seed_of
from .scenario import JobPlan, Scenario

SEED: Final = 1
PHASES: Final = ("a", "b", "c")


@attrs.frozen(kw_only=True)
class RunsFigure:
    """What one measurement of runs gave."""

    what: str
    """What was run."""

    runs: int
    per_second: float
    """Runs a second of this process's own time on the processor."""

    median_ms: float
    """Milliseconds of one run, in the median."""

    of_bare: float
    """How many runs of trio that do nothing take as long as one of these."""


def measure_runs(runs: int = 300) -> list[RunsFigure]:
    """Measure runs of trio, and scenarios of one and of ten jobs with three phases each.

    A scenario is disturbed by a plan of its own, played to its end and judged by every oracle.
    The kinds take turns, so that all of them meet the same moods of the machine.

    Args:
      runs: how many of each.
    """
    means = Means()
    kinds: Mapping[str, Callable[[int], None]] = {
        "bare trio.run": _bare,
        "1 job of 3 phases": lambda number: _play(means, scenario_of(1), number),
        "10 jobs of 3 phases": lambda number: _play(means, scenario_of(10), number),
    }
    times: dict[str, list[float]] = {what: [] for what in kinds}
    for once in kinds.values():
        once(runs)  # What is imported and cached at the first run is not measured.
    with calm_memory() as after_run:
        for number in range(runs):
            for what, once in kinds.items():
                began = time.process_time()
                once(number)
                times[what].append(time.process_time() - began)
            after_run()
    bare = sum(times["bare trio.run"])
    return [
        RunsFigure(
            what=what,
            runs=runs,
            per_second=runs / sum(taken),
            median_ms=1000 * median(taken),
            of_bare=sum(taken) / bare,
        )
        for what, taken in times.items()
    ]


def scenario_of(jobs: int) -> Scenario:
    """Return so many jobs that are submitted at once and have three phases each."""
    kind = TypeSpec(name="T", phases=tuple(PhaseSpec(name=name) for name in PHASES))
    plans = tuple(JobPlan(name=f"T{number}", type="T") for number in range(jobs))
    return Scenario(suite="bench", types=(kind,), jobs=plans, limits={"default": 4})


def _play(means: Means, scenario: Scenario, number: int) -> None:
    means.observe(scenario, plan_of(scenario, seed_of(SEED, number)))


def _bare(_: int) -> None:
    trio.run(trio.sleep, 1, clock=trio.testing.MockClock(autojump_threshold=0))
