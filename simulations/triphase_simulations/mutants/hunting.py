"""Hunting a mutant: scenario after scenario, until one shows the mistake."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import attrs

from triphase_simulations.exploring import Means, calm_memory, plan_of, seed_of
from triphase_simulations.oracles import Violation
from triphase_simulations.suites import SUITES

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


_CLEAN: Final[dict[tuple[str, int], frozenset[str]]] = {}
"""What the code shows without any mutant, by suite and seed: many hunts meet the same one."""


def hunt(
    mutant: Mutant, *, scenarios: int = 400, seed: int = 1, means: Means | None = None
) -> Hunt:
    """Run scenarios of a mutant's suites, in turns, until one shows the mistake.

    What the code shows without the mutant does not count.

    Args:
      mutant: which.
      scenarios: the most.
      seed: decides which.
      means: how each is run and judged.
    """
    means = means or Means()
    began = time.perf_counter()
    with calm_memory() as after_run:
        for number in range(scenarios):
            suite = mutant.suites[number % len(mutant.suites)]
            own = seed_of(seed, number)
            found = _new(mutant, suite, own, means)
            after_run()
            if found:
                return Hunt(
                    mutant=mutant.name,
                    killed=True,
                    oracle=found[0].oracle,
                    suite=suite,
                    scenarios=number + 1,
                    seconds=round(time.perf_counter() - began, 2),
                    seed=own,
                    shipped=mutant.shipped,
                    message=found[0].message,
                    also=tuple(sorted({each.oracle for each in found} - {found[0].oracle})),
                )
    return Hunt(
        mutant=mutant.name,
        killed=False,
        oracle=None,
        suite=None,
        scenarios=scenarios,
        seconds=round(time.perf_counter() - began, 2),
        seed=None,
        shipped=mutant.shipped,
    )


def clean(suite: str, seed: int, means: Means) -> frozenset[str]:
    """Return what the code shows in a scenario without any mutant: nothing, if all is well."""
    if (suite, seed) not in _CLEAN:
        found = _observed(suite, seed, means)
        _CLEAN[suite, seed] = frozenset(each.normalised for each in found)
    return _CLEAN[suite, seed]


def _new(mutant: Mutant, suite: str, seed: int, means: Means) -> list[Violation]:
    """Return what is wrong with the mutant, and not without it."""
    with mutant.apply():
        found = _observed(suite, seed, means)
    if not found:
        return []
    known = clean(suite, seed, means)
    return [each for each in found if each.normalised not in known]


def _observed(suite: str, seed: int, means: Means) -> Sequence[Violation]:
    scenario = SUITES[suite].scenario(seed)
    return means.observe(scenario, plan_of(scenario, seed)).violations
