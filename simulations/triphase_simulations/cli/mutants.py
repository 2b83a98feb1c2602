"""`triphase simulate mutants`: plants known mistakes into the runtime, and sees each one found."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import closing
from statistics import median
from typing import Any

from triphase.cli.exits import Exit, UsageError
from triphase.cli.humane import counted, duration
from triphase.cli.options import AsJson, WholeNumber
from triphase.cli.screen import Screen
from triphase_protocol import Json


def mutants(
    mutant: str | None = None,
    /,
    *,
    scenarios: WholeNumber = 400,
    seed: WholeNumber = 1,
    jobs: WholeNumber = 1,
    json: AsJson = False,
) -> int:
    """Plant mistakes into the runtime, one at a time, and run scenarios until each is found.

    A simulation that finds nothing may be looking in the wrong places. It ends with 1 if a
    mistake is not found.

    Args:
      mutant: One mistake; all of them without it.
      scenarios: Scenarios that finding one may take.
      seed: Decides which scenarios.
      jobs: Processes that hunt; what they find is the same.
      json: Write JSON.
    """
    if scenarios < 1 or jobs < 1:
        raise UsageError(f"--scenarios {scenarios} --jobs {jobs}: at least 1")
    # Only here: what it plants is nothing that another command should have loaded.
    module = importlib.import_module("triphase_simulations.mutants")
    if mutant is not None and mutant not in module.MUTANTS:
        raise UsageError(f"there is no mutant {mutant!r}: it is one of {', '.join(module.MUTANTS)}")
    planted: list[Any] = [module.MUTANTS[mutant]] if mutant else list(module.MUTANTS.values())
    screen, hunts = Screen(json=json), list[Any]()
    with closing(module.hunt_all(planted, jobs=jobs, scenarios=scenarios, seed=seed)) as found:
        for hunt in found:
            hunts.append(hunt)
            _show(screen, hunt)
    missed = sum(not hunt.killed for hunt in hunts)
    screen.note(f"{counted(len(hunts), 'mistake')} planted, {missed} not found{_middle(hunts)}")
    return Exit.FAILED if missed else Exit.OK


def _middle(hunts: Sequence[Any]) -> str:
    """Return how much it took in the median, if anything was found."""
    found = [hunt for hunt in hunts if hunt.killed]
    if not found:
        return ""
    scenarios = median(hunt.scenarios for hunt in found)
    runs = median(hunt.shrunk.replays for hunt in found)
    return f"; in the median after {scenarios:g} scenarios, and made small in {runs:g} runs"


def _show(screen: Screen, hunt: Any) -> None:
    if screen.json:
        found: dict[str, Json] = {
            "mutant": hunt.mutant,
            "killed": hunt.killed,
            "shipped": hunt.shipped,
            "oracle": hunt.oracle,
            "suite": hunt.suite,
            "scenarios": hunt.scenarios,
            "seconds": round(hunt.seconds, 3),
            "seed": hunt.seed,
            "message": hunt.message,
            "replays": hunt.shrunk.replays if hunt.shrunk else 0,
            "smallest": list(hunt.smallest),
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
            hunt.shipped,
            "; ".join(hunt.smallest) or "-",
        ]
    )
