"""What a failing run tells: what was wrong, what disturbed it, how to see it again."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from triphase_protocol import Event

from .plan import Plan, lines, to_json
from .sim import Sim
from .sim_claims import ClaimBroken
from .sim_oracles import RuntimeBroken
from .sim_play import Unsettled
from .world import Stuck

ROWS: Final = 25
"""Lines of the log that a report shows."""

UNTOLD: Final = frozenset({"heard", "read", "quiet"})
"""What is in the history for the built-in checks, and tells a reader nothing new."""


class SimulationFailed(AssertionError):
    """A simulated test failed; the message says how to see it again. `__cause__` is what failed."""


@attrs.frozen
class Failed:
    """One run that failed."""

    sim: Sim
    error: BaseException

    @property
    def plan(self) -> Plan:
        """What disturbed it, as a plan that does the same again."""
        plan = self.sim.plan
        return Plan(plan.seed, kinds=frozenset(), fixed=dict(plan.used))

    @property
    def claimed(self) -> bool:
        """True if its message says all, and its place in the code nothing."""
        return isinstance(self.error, ClaimBroken | Unsettled | Stuck | RuntimeBroken)

    @property
    def kind(self) -> str:
        """The same for two failures that are the same mistake."""
        text = str(self.error).partition("\n")[0]
        frames = traceback.extract_tb(self.error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        where = "" if self.claimed else place
        return f"{type(self.error).__name__} {where} {re.sub(r'[0-9]+', '#', text)}"


def report(failed: Failed, *, name: str, replay: str, how: str) -> str:
    """Return a failure in words.

    Args:
      failed: the run.
      name: the test's name.
      replay: the command that runs it again.
      how: how its perturbations were found, for people.
    """
    sim = failed.sim
    used = dict(sim.plan.used)
    said = str(failed.error) if failed.claimed else _named(failed.error)
    plan = {"seed": sim.seed, "perturbations": to_json(used)}
    rows = list(_rows(sim))
    return "\n".join(
        [
            f"{name} fails with seed {sim.seed}, after {sim.world.history.seconds:.3f} virtual s",
            "",
            *_indented(said.splitlines()),
            "",
            f"what disturbed it{how}:",
            *_indented(lines(used) or ["nothing"]),
            "",
            "run it again:",
            f"  {replay}",
            "or keep this in a file, for --sim-plan:",
            f"  {json.dumps(plan)}",
            "",
            f"what happened, the last {min(ROWS, len(rows))} of {len(rows)} lines:",
            *rows[-ROWS:],
        ]
    )


def _named(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).rstrip()


def _indented(texts: list[str]) -> list[str]:
    return [f"  {text}" for text in texts]


def _rows(sim: Sim) -> Iterator[str]:
    entries = sim.world.history.entries
    commits = [] if sim.node is None else sim.node.commits
    place = 0
    for number, entry in enumerate([*entries, None]):
        while place < len(commits) and (entry is None or commits[place].entries <= number):
            commit = commits[place]
            yield f"  {commit.time:9.3f}  {'store':<10} {_event(commit.event)}"
            place += 1
        if entry is not None and entry.what not in UNTOLD:
            yield f"  {entry.time:9.3f}  {entry.lane:<10} {entry.what}{_about(entry.data)}"
            if entry.what == "failed":
                # What is left of the processes goes on to its end: of no interest.
                return


def _event(event: Event) -> str:
    phase = f" {event.phase}" if event.phase else ""
    return f"{event.type.value} {event.job}{phase}, run {event.run}"


def _about(data: Mapping[str, Any]) -> str:
    shown = [str(value) for value in data.values() if value not in (None, {})]
    return " ".join(["", *shown])
