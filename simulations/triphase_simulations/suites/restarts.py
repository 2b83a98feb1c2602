"""Processes that die or leave, at any moment, and what becomes of what they ran."""

from __future__ import annotations

from triphase_simulations.cast import TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, Op, Scenario

from .parts import BITS_OF_TIME, any_restart, boundary, jobs, phases, stubborn, with_script


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    spec = TypeSpec(
        name="T",
        phases=phases(
            draw,
            attempts=draw.whole(1, 2),
            backoff=draw.one_of((0.0, 1.0)),
            timeout=draw.one_of((None, 0.7)),
        ),
        on_restart=any_restart(draw),
        lost_most=draw.one_of((0, 1, 5, 5)),
    )
    plans = list(jobs(draw, spec, draw.whole(1, 3)))
    if draw.chance(0.3):
        place, phase = draw.whole(0, len(plans) - 1), draw.one_of(spec.phases).name
        plans[place] = with_script(plans[place], phase, [stubborn(draw), [["return", 3]]])
    ops: list[Op] = []
    for _ in range(draw.whole(1, 3)):
        job, when = boundary(draw, plans)
        ops.append(Op(what=draw.one_of(("crash", "crash", "restart")), when=when))
        if draw.chance(0.4):
            what = draw.one_of(("cancel", "retry", "wait"))
            ops.append(Op(what=what, job=job, when=boundary(draw, plans)[1]))
    if draw.chance(0.3):
        # A cancel that is under way when the process dies.
        job = draw.one_of(plans).name
        begun = Anchor(event="phase.started", job=job, offset=draw.one_of(BITS_OF_TIME))
        ops.append(Op(what="cancel", job=job, when=begun))
        ops.append(Op(what="crash", when=Anchor(event="job.stopping", job=job)))
    if draw.chance(0.5):
        job = draw.one_of(plans).name
        ended = draw.one_of(("job.interrupted", "job.failed", "job.cancelled"))
        ops.append(Op(what="retry", job=job, when=Anchor(event=ended, job=job)))
    return Scenario(
        suite="restart",
        types=(spec,),
        jobs=tuple(plans),
        ops=tuple(ops),
        limits={"default": draw.whole(1, 3)},
        drain_timeout=draw.one_of((0.0, 0.0, 1.0)),
        kinds=("hold", "stall", "crash"),
    )
