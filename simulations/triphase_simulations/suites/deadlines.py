"""Every deadline, with handlers that end just before it, with it, and after it."""

from __future__ import annotations

from collections.abc import Sequence

from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

from .parts import BITS_OF_TIME, QUICK, any_restart, boundary, stubborn

NEAR = (-0.001, 0.0, 0.001, 0.5, 100.0)
"""How much longer than its deadline something takes."""

SLOW: list[list[object]] = [["sleep", 0.9], ["return", 1]]
"""Still runs when a try before it returns that was given up."""

STEPS = (-3600.0, -1.0, 1.0, 3600.0)
"""By how many seconds the wall clock is set."""


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    phase = draw.one_of((None, 1.0, 2.0))
    spec = TypeSpec(
        name="T",
        phases=(
            PhaseSpec(
                name="a",
                timeout=phase,
                progress_timeout=draw.one_of((None, 0.5)) if phase else draw.one_of((None, 1.0)),
                attempts=draw.whole(1, 2),
                timeouts=draw.one_of((None, None, 1, 3)) if phase else None,
                backoff=draw.one_of((0.0, 1.0)),
                ask_grace=draw.one_of((0.0, 0.5)),
                stop_grace=draw.one_of((0.5, 5.0)),
            ),
            PhaseSpec(name="b", approval=draw.one_of((None, None, 2.0, 0.0, 9.0))),
        ),
        timeout=draw.one_of((None, 4.0)),
        run_timeout=draw.one_of((None, 3.0)),
        queue_timeout=draw.one_of((None, 0.5, 3.0)),
        on_restart=any_restart(draw),
    )
    plans = tuple(
        JobPlan(
            name=f"T{number}",
            type="T",
            script={"a": _tries(draw, phase or 2.0), "b": [[["sleep", 0.1], ["return", 1]]]},
        )
        for number in range(draw.whole(1, 3))
    )
    ops: list[Op] = []
    if draw.chance(0.4):
        job, when = boundary(draw, plans)
        ops.append(Op(what=draw.one_of(("cancel", "approve")), job=job, when=when))
    if draw.chance(0.3):
        ops.append(Op(what=draw.one_of(("restart", "crash")), when=boundary(draw, plans)[1]))
    ops += _while_stopping(draw, plans)
    if draw.chance(0.1):
        begun = Anchor(event="phase.started", phase="a", offset=draw.one_of(BITS_OF_TIME))
        ops.append(Op(what="step", about=draw.one_of(STEPS), when=begun))
    return Scenario(
        suite="deadlines",
        types=(spec,),
        jobs=plans,
        ops=tuple(ops),
        limits={"default": draw.whole(1, 2)},
        kinds=draw.one_of((("hold",), ("hold", "stall", "step", "crash"))),
    )


def _while_stopping(draw: Draw, plans: Sequence[JobPlan]) -> list[Op]:
    """Return what comes between a deadline and the end of the handler that is stopped for it."""
    job = draw.one_of(plans).name
    ops: list[Op] = []
    if draw.chance(0.2):
        soon = Anchor(event="job.stopping", job=job, offset=draw.one_of(BITS_OF_TIME))
        ops.append(Op(what="crash", when=soon))
    if draw.chance(0.5):
        later = Anchor(
            event="job.stopping", job=job, offset=draw.one_of((0.0, 0.1, 0.25, 0.5, 1.0))
        )
        ops.append(Op(what="cancel", job=job, when=later))
    return ops


def _tries(draw: Draw, about: float) -> list[list[list[object]]]:
    tries = [_steps(draw, about)]
    if draw.chance(0.5):
        tries = [*tries, draw.one_of((QUICK, SLOW))]
    if draw.chance(0.3):
        tries = [[["sleep", 0.1], ["raise", "ConnectionError"]], *tries]
    return tries


def _steps(draw: Draw, about: float) -> list[list[object]]:
    if draw.chance(0.3):
        return stubborn(draw)
    if draw.chance(0.3):
        return QUICK
    before: list[list[object]] = [["sleep", 0.3], ["progress", 1]] if draw.chance(0.5) else []
    return [*before, ["sleep", max(0.0, about + draw.one_of(NEAR))], ["return", 1]]
