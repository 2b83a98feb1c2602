"""`triphase simulate`: runs scenarios of the suites, and makes what fails small."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from triphase.cli.exits import Exit, UsageError
from triphase.cli.humane import counted
from triphase.cli.options import AsJson, WholeNumber
from triphase.cli.screen import Screen
from triphase_simulations.coverage import goals
from triphase_simulations.exploring import Exploration, Failure, Result, explore
from triphase_simulations.shrinking import shrink
from triphase_simulations.timeline import report
from triphase_simulations.workers import Workers

from .failures import described, suites_named, write
from .progress import PlainProgress, progress_for

FOLDER: Final = Path("triphase-failures")
"""Where failures go; made when there is one."""


def simulate(
    suite: str | None = None,
    /,
    *,
    scenarios: WholeNumber = 200,
    seed: WholeNumber = 1,
    jobs: WholeNumber = 1,
    out: Path = FOLDER,
    json: AsJson = False,
) -> int:
    """Run simulated scenarios, and show what breaks a rule as small as it can be made.

    The real runtime runs in virtual time on a simulated store. Each scenario is disturbed in its
    own way: tasks are held, the store stalls and refuses, the process dies. The same seed gives
    the same run.

    Args:
      suite: One suite; all of them without it.
      scenarios: Scenarios of each suite.
      seed: Decides which scenarios.
      jobs: Processes that run them; what they find is the same.
      out: The folder for what fails; made when something does.
      json: Write JSON.
    """
    if scenarios < 1 or jobs < 1:
        raise UsageError(f"--scenarios {scenarios} --jobs {jobs}: at least 1")
    chosen = suites_named(suite)
    screen = Screen(json=json)
    explored: list[Exploration] = []
    with progress_for(screen, scenarios * len(chosen)) as progress, Workers(jobs) as pool:

        def on_result(result: Result) -> None:
            progress.count(failed=bool(result.violations))

        for each in chosen:
            progress.begin(each.name, scenarios)
            found = explore(each, scenarios=scenarios, seed=seed, on_result=on_result, pool=pool)
            explored.append(found)
            for failure in found.failures:
                show_small(failure, screen, progress, out)
    _show_sum(screen, explored)
    return Exit.FAILED if any(each.failed for each in explored) else Exit.OK


def show_small(failure: Failure, screen: Screen, progress: PlainProgress, out: Path | None) -> None:
    """Make a failure small, show it, and write it into a folder if there is to be one."""
    small = shrink(failure, on_replay=progress.shrinking)
    progress.shrinking(0)
    files = write(small, out) if out is not None else {}
    text = report(small, files.get("json"))
    if files:
        text += "\nwritten to\n" + "".join(f"  {path}\n" for path in files.values())
    progress.tell(text)
    if screen.json:
        screen.object(described(small, files))


def _show_sum(screen: Screen, explored: Sequence[Exploration]) -> None:
    """Write what came of it all: the last object, or the table of what was covered."""
    met: dict[str, int] = dict.fromkeys(goals(), 0)
    for exploration in explored:
        for goal, count in exploration.goals.items():
            met[goal] = met.get(goal, 0) + count
    scenarios = sum(each.scenarios for each in explored)
    seconds = sum(each.seconds for each in explored)
    failed = sum(each.failed for each in explored)
    per_second = round(scenarios / seconds, 1) if seconds else 0.0
    if screen.json:
        screen.object(
            {
                "scenarios": scenarios,
                "failures": failed,
                "history_hash": _hash_of(explored),
                "per_second": per_second,
                "goals": dict(met),
            }
        )
        return
    _show_goals(screen, met)
    reached = sum(1 for count in met.values() if count)
    screen.note(
        f"{counted(scenarios, 'scenario')}, {counted(failed, 'failure')}, {per_second:g} a second, "
        f"{reached} of {counted(len(met), 'goal')} met, history {_hash_of(explored)}"
    )


def _show_goals(screen: Screen, met: Mapping[str, int]) -> None:
    if not screen.drawn:
        for goal, count in met.items():
            screen.line([goal, str(count)])
        return
    width = max(map(len, met), default=0)
    for goal, count in met.items():
        screen.draw(f"  {goal:<{width}}  {f'{count:,}' if count else 'never':>7}")


def _hash_of(explored: Sequence[Exploration]) -> str:
    """Return one hash for all: that of the only one, or one of all of theirs."""
    hashes = [each.history_hash for each in explored]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:16]
