"""Cancels around phase boundaries."""

from __future__ import annotations

from triphase_simulations.cast import TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, Op, Scenario

from .parts import BITS_OF_TIME, boundary, jobs, plain_type, stubborn, with_script


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    spec = plain_type(draw)
    plans = list(jobs(draw, spec, draw.whole(1, 3)))
    if draw.chance(0.4):
        place, phase = draw.whole(0, len(plans) - 1), draw.one_of(spec.phases).name
        plans[place] = with_script(plans[place], phase, [stubborn(draw)])
    ops: list[Op] = []
    for _ in range(draw.whole(1, 3)):
        job, when = boundary(draw, plans)
        ops.append(Op(what="cancel", job=job, when=when))
        if draw.chance(0.3):
            ops.append(Op(what="cancel", job=job, when=when))
        if draw.chance(0.3):
            ops.append(Op(what="retry", job=job, when=when))
        if draw.chance(0.3):
            ops.append(Op(what="wait", job=job, when=when))
    if draw.chance(0.3):
        ops += _over_again(draw, spec, draw.one_of(plans).name)
    return Scenario(
        suite="cancel_at_phase_boundary",
        types=(spec,),
        jobs=tuple(plans),
        ops=tuple(ops),
        limits={"default": draw.whole(1, 3)},
    )


def _over_again(draw: Draw, spec: TypeSpec, job: str) -> list[Op]:
    """Return a retry of a job that has just ended, and a wait for the run that it begins."""
    ended = draw.one_of(("job.cancelled", "job.completed"))
    when = Anchor(event=ended, job=job, offset=draw.one_of(BITS_OF_TIME))
    retried = Anchor(event="job.retried", job=job, offset=draw.one_of(BITS_OF_TIME))
    return [
        Op(what="retry", job=job, when=when, about=spec.phases[0].name),
        Op(what="wait", job=job, when=retried),
    ]
