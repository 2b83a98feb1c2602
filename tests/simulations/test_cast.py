"""Scripted handlers: how their ends are noted, and that a death is none."""

from __future__ import annotations

from typing import Any

from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.history import History
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

SCRIPTS: list[list[list[Any]]] = [[["forever"]], [["sleep", 9.0]], [["tidy", 1.0]]]


def ended(history: History, process: str) -> list[tuple[float | None, str | None]]:
    """Return how the handlers of a process ended, in the order of their starts."""
    return [(ran.ended, ran.how) for ran in history.ran if ran.process == process]


def played(op: Op, *scripts: list[list[Any]]) -> History:
    """Return what handlers did when something was done to their process."""
    scenario = Scenario(
        suite="cast",
        types=(TypeSpec(name="T", phases=(PhaseSpec(name="a"),)),),
        jobs=tuple(
            JobPlan(name=f"T{number}", type="T", script={"a": [script, [["return", 1]]]})
            for number, script in enumerate(scripts)
        ),
        ops=(op,),
    )
    return run_scenario(scenario, Plan())


def test_a_handler_whose_process_is_killed_stays_open() -> None:
    history = played(Op(what="crash", when=Anchor(at=2.0)), *SCRIPTS)
    assert ended(history, "node") == [(None, None)] * 3
    assert [how for _, how in ended(history, "node#2")] == ["returned"] * 3


def test_a_handler_that_would_have_gone_on_as_its_process_was_killed_stays_open() -> None:
    busy = [["progress", done] for done in range(50)]
    crash = Op(what="crash", when=Anchor(event="phase.progress"))
    for last in ("forever", "return"):
        history = played(crash, [*busy, [last, 1]])
        assert ended(history, "node") == [(None, None)]


def test_a_handler_that_is_stopped_as_its_process_leaves_was_cancelled() -> None:
    history = played(Op(what="restart", when=Anchor(at=2.0)), *SCRIPTS)
    assert ended(history, "node") == [(2.0, "cancelled"), (2.0, "cancelled"), (3.0, "cancelled")]
    assert [how for _, how in ended(history, "node#2")] == ["returned"] * 3
