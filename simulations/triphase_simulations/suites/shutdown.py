"""Leaving while handlers run that will not stop, and clients wait."""

from __future__ import annotations

from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, Op, Scenario

from .parts import BITS_OF_TIME, any_restart, boundary, jobs, stubborn, with_script


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    spec = TypeSpec(
        name="T",
        phases=tuple(
            PhaseSpec(
                name=name,
                stop_grace=draw.one_of((0.0, 1.0, 5.0)),
                ask_grace=draw.one_of((0.0, 0.0, 1.0)),
            )
            for name in ("a", "b")
        ),
        on_restart=any_restart(draw),
    )
    plans = list(jobs(draw, spec, draw.whole(1, 4)))
    for place, plan in enumerate(plans):
        if draw.chance(0.5):
            tries = [stubborn(draw), stubborn(draw), [["return", 1]]]
            plans[place] = with_script(plan, draw.one_of(("a", "b")), tries)
    ops = [Op(what="restart", when=boundary(draw, plans)[1]) for _ in range(draw.whole(1, 2))]
    for _ in range(draw.whole(0, 3)):
        job, when = boundary(draw, plans)
        what = draw.one_of(("wait", "cancel", "retry", "drain"))
        about = 1.0 if what == "drain" else None
        ops.append(Op(what=what, job=None if what == "drain" else job, when=when, about=about))
    if draw.chance(0.2):
        # Killed, in the middle of what it was asked to stop.
        job = draw.one_of(plans).name
        running = Anchor(event="phase.started", job=job, offset=draw.one_of(BITS_OF_TIME))
        stopping = Anchor(event="job.stopping", job=job, offset=draw.one_of(BITS_OF_TIME))
        ops += [Op(what="cancel", job=job, when=running), Op(what="crash", when=stopping)]
    return Scenario(
        suite="shutdown",
        types=(spec,),
        jobs=tuple(plans),
        ops=tuple(ops),
        limits={"default": draw.whole(1, 4)},
        drain_timeout=draw.one_of((0.0, 1.0, 10.0)),
        kinds=("hold", "stall"),
    )
