"""The built-in checks of a simulated test: what must hold of any runtime, whatever it runs."""

from __future__ import annotations

from typing import Final

from .oracles import ORACLES, Reading
from .scenario import Scenario
from .sim_play import Play

GENERAL: Final = frozenset({"O1", "O2", "O3", "O5", "O7", "O8", "O9", "O13", "O20", "O28", "fold"})
"""The oracles that need no script to know what handlers were to do."""


class RuntimeBroken(AssertionError):
    """The runtime broke a rule of its own: a bug of triphase, not of the test."""


def broken(play: Play) -> RuntimeBroken | None:
    """Return what the runtime of a finished run did that it must not do."""
    node = play.node
    if node is None:
        return None
    retention = node.options.retention
    scenario = Scenario(
        suite="test",
        types=(),
        jobs=(),
        retention=None if retention is None else retention.delete_after,
    )
    reading = Reading(play.world.history, scenario)
    for oracle in ORACLES:
        if oracle.name in GENERAL:
            for violation in oracle.judge(reading):
                about = f"job {violation.job}: " if violation.job else ""
                return RuntimeBroken(f"{oracle.says} ({oracle.name}) {about}{violation.message}")
    return None
