"""`triphase simulate mutants`: plants known mistakes into the runtime, and sees each one found."""

from __future__ import annotations

import importlib
from typing import Any

from triphase.cli.exits import Exit, UsageError
from triphase.cli.humane import counted, duration
from triphase.cli.options import AsJson, WholeNumber
from triphase.cli.screen import Screen
from triphase_protocol import Json


def mutants(*, scenarios: WholeNumber = 400, seed: WholeNumber = 1, json: AsJson = False) -> int:
    """Plant mistakes into the runtime, one at a time, and run scenarios until each is found.

    A simulation that finds nothing may be looking in the wrong places. It ends with 1 if a
    mistake is not found.

    Args:
      scenarios: Scenarios that finding one may take.
      seed: Decides which scenarios.
      json: Write JSON.
    """
    if scenarios < 1:
        raise UsageError(f"--scenarios {scenarios}: at least 1")
    screen, missed = Screen(json=json), 0
    # Only here: what it plants is nothing that another command should have loaded.
    module = importlib.import_module("triphase_simulations.mutants")
    planted: list[Any] = list(module.MUTANTS.values())
    for mutant in planted:
        hunt = module.hunt(mutant, scenarios=scenarios, seed=seed)
        missed += not hunt.killed
        _show(screen, hunt)
    screen.note(f"{counted(len(planted), 'mistake')} planted, {missed} not found")
    return Exit.FAILED if missed else Exit.OK


def _show(screen: Screen, hunt: Any) -> None:
    if screen.json:
        found: dict[str, Json] = {
            "mutant": hunt.mutant,
            "killed": hunt.killed,
            "oracle": hunt.oracle,
            "suite": hunt.suite,
            "scenarios": hunt.scenarios,
            "seconds": round(hunt.seconds, 3),
            "seed": hunt.seed,
            "shipped": hunt.shipped,
        }
        screen.object(found)
        return
    screen.line(
        [
            hunt.mutant,
            f"found by {hunt.oracle}" if hunt.killed else "not found",
            counted(hunt.scenarios, "scenario"),
            duration(hunt.seconds),
            "-" if hunt.seed is None else f"{hunt.suite} {hunt.seed}",
        ]
    )
