"""What has ended is deleted, while somebody still wants something of it."""

from __future__ import annotations

from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, Op, Scenario

from .parts import jobs, plain_type

LOOKS = (10.0, 20.0)
"""When the reconciler looks for what is old enough, if nothing has kept it."""

NEAR = (-0.2, -0.02, -0.005, -0.001, 0.0, 0.001)
"""Offsets from a look: most of them before it, so that they are under way as it begins."""


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    spec = plain_type(draw)
    plans = jobs(draw, spec, draw.whole(2, 4))
    ops: list[Op] = []
    for plan in plans:
        what = draw.one_of(("retry", "retry", "get", "wait"))
        # A completed job has no phase to go on from: one is named.
        about = draw.one_of(spec.phases).name if what == "retry" else None
        when = Anchor(at=draw.one_of(LOOKS) + draw.one_of(NEAR))
        ops.append(Op(what=what, job=plan.name, when=when, about=about))
    # Something that comes later, so that the looks come at all, and that finds nothing any more.
    last = Anchor(at=LOOKS[-1] + 10.5)
    ops.append(Op(what=draw.one_of(("get", "cancel", "wait")), job=plans[0].name, when=last))
    return Scenario(
        suite="retention",
        types=(spec,),
        jobs=plans,
        ops=tuple(ops),
        limits={"default": 3},
        retention=draw.one_of((1.0, 5.0, 9.0)),
        kinds=("hold", "stall", "crash"),
    )
