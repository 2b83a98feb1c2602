"""Hunting a mutant: scenario after scenario, until one shows the mistake."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any, Final

import attrs

from triphase_simulations.exploring import (
    Failure,
    Means,
    Shrunk,
    calm_memory,
    failure_of,
    plan_of,
    seed_of,
)
from triphase_simulations.plan import lines
from triphase_simulations.shrinking import shrink
from triphase_simulations.suites import SUITES
from triphase_simulations.telling import workload
from triphase_simulations.workers import Workers

from .mutant import Mutant


@attrs.frozen(kw_only=True)
class Hunt:
    """What came of a hunt."""

    mutant: str
    """The mutant's name."""

    killed: bool
    """A scenario has shown the mistake."""

    oracle: str | None
    """Who saw it first; `stuck` and `crash` are the run itself. None if nobody did."""

    suite: str | None
    """The suite of the scenario that showed it."""

    scenarios: int
    """How many scenarios it took; all of them if it lives."""

    seconds: float
    """How long that took."""

    seed: int | None
    """The seed of the scenario that showed it."""

    shipped: str
    """Where the mistake was shipped."""

    message: str | None = None
    """What the oracle said."""

    also: tuple[str, ...] = ()
    """The other oracles that saw it in the same run."""

    shrunk: Shrunk | None = None
    """What shrinking made of the scenario; None if it was not asked for."""

    smallest: tuple[str, ...] = ()
    """The smallest case, in words: its workload and what disturbed it, one thing a line."""


_CLEAN: Final[dict[tuple[str, int], frozenset[str]]] = {}
"""What the code shows without any mutant, by suite and seed: many hunts meet the same one."""


def hunt(
    mutant: Mutant,
    *,
    scenarios: int = 400,
    seed: int = 1,
    smallest: bool = False,
    means: Means | None = None,
) -> Hunt:
    """Run scenarios of a mutant's suites, in turns, until one shows the mistake.

    What the code shows without the mutant does not count.

    Args:
      mutant: which.
      scenarios: the most.
      seed: decides which.
      smallest: make what shows it as small as it can be.
      means: how each is run and judged.
    """
    means = means or Means()
    began = time.perf_counter()
    number, failure = _first(mutant, scenarios, seed, means)
    took = round(time.perf_counter() - began, 2)
    if failure is None:
        return Hunt(
            mutant=mutant.name,
            killed=False,
            oracle=None,
            suite=None,
            scenarios=scenarios,
            seconds=took,
            seed=None,
            shipped=mutant.shipped,
        )
    violation = failure.violation
    return Hunt(
        mutant=mutant.name,
        killed=True,
        oracle=violation.oracle,
        suite=failure.suite,
        scenarios=number + 1,
        seconds=took,
        seed=failure.seed,
        shipped=mutant.shipped,
        message=violation.message,
        also=tuple(sorted({each.oracle for each in failure.violations} - {violation.oracle})),
        **(_smallest(mutant, failure, means) if smallest else {}),
    )


def hunt_all(
    mutants: Iterable[Mutant], *, jobs: int = 1, scenarios: int = 400, seed: int = 1
) -> Generator[Hunt, None, None]:
    """Hunt one mutant after the other, and make what shows each small; yield in their order.

    Args:
      mutants: which.
      jobs: processes that hunt; what they find is the same.
      scenarios: the most for each.
      seed: decides which scenarios.
    """
    if jobs == 1:
        for mutant in mutants:
            yield hunt(mutant, scenarios=scenarios, seed=seed, smallest=True)
        return
    calls = [(mutant.name, scenarios, seed) for mutant in mutants]
    with Workers(jobs) as pool, closing(pool.map(_hunt_named, calls)) as found:
        yield from found


def _hunt_named(name: str, scenarios: int, seed: int) -> Hunt:
    from . import MUTANTS

    return hunt(MUTANTS[name], scenarios=scenarios, seed=seed, smallest=True)


def _first(mutant: Mutant, scenarios: int, seed: int, means: Means) -> tuple[int, Failure | None]:
    """Return the number of the first scenario that shows the mistake, and the failure it is."""
    with calm_memory() as after_run:
        for number in range(scenarios):
            suite = mutant.suites[number % len(mutant.suites)]
            failure = _new(mutant, suite, seed_of(seed, number), means)
            after_run()
            if failure is not None:
                return number, failure
    return scenarios, None


def _smallest(mutant: Mutant, failure: Failure, means: Means) -> dict[str, Any]:
    """Return what a hunt says about the smallest case."""
    with mutant.apply():
        small = shrink(failure, means=means)
    told = (*workload(small.scenario), *lines(small.perturbations))
    return {"shrunk": small.shrunk, "smallest": told}


def clean(suite: str, seed: int, means: Means) -> frozenset[str]:
    """Return what the code shows in a scenario without any mutant: nothing, if all is well."""
    if (suite, seed) not in _CLEAN:
        found = _observed(suite, seed, means).violations
        _CLEAN[suite, seed] = frozenset(each.normalised for each in found)
    return _CLEAN[suite, seed]


def _new(mutant: Mutant, suite: str, seed: int, means: Means) -> Failure | None:
    """Return what is wrong with the mutant, and not without it; None if nothing is."""
    with mutant.apply():
        failure = _observed(suite, seed, means)
    if not failure.violations:
        return None
    known = clean(suite, seed, means)
    new = tuple(each for each in failure.violations if each.normalised not in known)
    return attrs.evolve(failure, violations=new) if new else None


def _observed(suite: str, seed: int, means: Means) -> Failure:
    """Return a run as a failure, whether or not anything was wrong with it."""
    scenario = SUITES[suite].scenario(seed)
    plan = plan_of(scenario, seed)
    return failure_of(suite, seed, scenario, plan, means.observe(scenario, plan))
