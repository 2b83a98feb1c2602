"""Approvals."""

from __future__ import annotations

from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, Op, Scenario

from .parts import BITS_OF_TIME, NAMES, boundary, jobs


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    seconds = (None, None, 0.0, 1.0, 5.0)
    spec = TypeSpec(
        name="T",
        phases=tuple(
            PhaseSpec(name=name, approval=draw.one_of(seconds))
            for name in NAMES[: draw.whole(1, 3)]
        ),
        approval=draw.one_of(seconds),
        on_restart=draw.one_of(("resume", "restart")),
    )
    plans = jobs(draw, spec, draw.whole(1, 2), delay=draw.one_of((None, None, 0.5)))
    ops: list[Op] = []
    for plan in plans:
        for _ in range(draw.whole(1, 4)):
            when = Anchor(
                event=draw.one_of(("job.gated", "job.gated", "job.approved", "phase.completed")),
                job=plan.name,
                nth=draw.one_of((1, 1, 2)),
                offset=draw.one_of((*BITS_OF_TIME, 1.0, 5.0)),
            )
            what = draw.one_of(("approve", "approve", "reject", "cancel", "explain"))
            ops.append(Op(what=what, job=plan.name, when=when))
        if draw.chance(0.3):
            ops.append(
                Op(
                    what="retry",
                    job=plan.name,
                    when=Anchor(
                        event="job.rejected", job=plan.name, offset=draw.one_of(BITS_OF_TIME)
                    ),
                    about=draw.one_of((None, spec.phases[0].name)),
                )
            )
    ops += [op for plan in plans for op in _waits_and_retries(draw, plan.name, spec)]
    if draw.chance(0.4):
        ops.append(Op(what=draw.one_of(("crash", "restart")), when=boundary(draw, plans)[1]))
    return Scenario(
        suite="gates",
        types=(spec,),
        jobs=plans,
        ops=tuple(ops),
        limits={"default": draw.whole(1, 2)},
        kinds=("hold", "stall", "crash"),
    )


def _waits_and_retries(draw: Draw, job: str, spec: TypeSpec) -> list[Op]:
    """Return what those do who want to know how it ends, or want it all over again."""
    ops: list[Op] = []
    if draw.chance(0.4):
        gated = Anchor(event="job.gated", job=job, offset=draw.one_of(BITS_OF_TIME))
        ops.append(Op(what="wait", job=job, when=gated, about=draw.one_of((None, None, 3.0))))
    if draw.chance(0.4):
        ended = draw.one_of(("job.completed", "job.completed", "job.cancelled"))
        when = Anchor(event=ended, job=job, offset=draw.one_of(BITS_OF_TIME))
        # What was approved for later phases rests on what the first one did.
        ops.append(Op(what="retry", job=job, when=when, about=spec.phases[0].name))
    return ops
