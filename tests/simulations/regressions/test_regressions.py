"""What a simulation found in triphase itself: each plan shows its mistake, and finds it gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from triphase_simulations.mutants import Mutant
from triphase_simulations.saved import load

from .bugs import BUGS

FOLDER = Path(__file__).parent


def test_each_has_its_plan() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(BUGS)


@pytest.mark.parametrize("name", BUGS)
def test_its_plan_finds_it_gone(name: str) -> None:
    failure, _ = load(FOLDER / f"{name}.json").replay()
    assert failure is None


@pytest.mark.parametrize("name", BUGS)
def test_its_plan_would_find_it_again(name: str) -> None:
    saved = load(FOLDER / f"{name}.json")
    bug = Mutant(
        name=name, says="It is back.", shipped="here", oracles=(), suites=(), swaps=BUGS[name]
    )
    with bug.apply():
        failure, _ = saved.replay()
    assert failure is not None
    assert saved.violation.normalised in {each.normalised for each in failure.violations}
