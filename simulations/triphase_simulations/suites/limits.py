"""More jobs than slots."""

from __future__ import annotations

from triphase_simulations.cast import TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

from .parts import boundary, phases, script


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    types = tuple(
        TypeSpec(name=name, phases=phases(draw), queue=queue)
        for name, queue in (("T", "default"), ("U", "other"))[: draw.whole(1, 2)]
    )
    plans = tuple(
        JobPlan(
            name=f"job{number}",
            type=spec.name,
            script=script(draw, spec),
            at=draw.one_of((0.0, 0.0, 0.2)),
            priority=draw.one_of((0, 0, 5)),
            delay=draw.one_of((None, None, None, 0.5)),
        )
        for number in range(draw.whole(3, 8))
        for spec in [draw.one_of(types)]
    )
    ops: list[Op] = []
    for _ in range(draw.whole(0, 3)):
        job, when = boundary(draw, plans)
        what = draw.one_of(("cancel", "retry", "explain", "explain", "crash"))
        ops.append(Op(what=what, job=None if what == "crash" else job, when=when))
    if draw.chance(0.4):
        ops += _changes(draw)
    return Scenario(
        suite="limits",
        types=types,
        jobs=plans,
        ops=tuple(ops),
        limits={spec.queue: draw.whole(1, 3) for spec in types},
        limit=draw.one_of((1, 2, 100)),
        kinds=("hold", "stall", "crash"),
    )


def _changes(draw: Draw) -> list[Op]:
    at = draw.one_of((0.1, 0.5, 1.0))
    if draw.chance(0.5):
        return [
            Op(what="pause", about="default", when=Anchor(at=at)),
            Op(what="resume", about="default", when=Anchor(at=at + 1.0)),
        ]
    return [Op(what="limit", about=["default", draw.whole(1, 4)], when=Anchor(at=at))]
