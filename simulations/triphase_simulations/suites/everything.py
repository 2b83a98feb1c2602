"""Everything at once, or some of it: which features and faults are there at all is drawn first."""

from __future__ import annotations

import attrs

from triphase_simulations.cast import TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

from . import cancels, deadlines, gates, limits, restarts, retries, shutdown

DRAWS = (
    cancels.draw,
    restarts.draw,
    deadlines.draw,
    retries.draw,
    limits.draw,
    gates.draw,
    shutdown.draw,
)

KINDS = ("hold", "stall", "crash", "refuse", "step")


def draw(draw: Draw) -> Scenario:
    """Draw a scenario: two others, in one process."""
    one, other = draw.one_of(DRAWS)(draw), draw.one_of(DRAWS)(draw)
    renamed = _renamed(other)
    ops = [*one.ops, *renamed.ops]
    retention = draw.one_of((None, None, None, 5.0))
    if retention is not None:
        job = draw.one_of(one.jobs).name
        gone = Anchor(event="job.deleted", job=job, offset=draw.one_of((0.0, 0.1)))
        ops.append(Op(what=draw.one_of(("get", "wait", "cancel", "retry")), job=job, when=gone))
    return attrs.evolve(
        one,
        suite="everything",
        types=(*one.types, *renamed.types),
        jobs=(*one.jobs, *renamed.jobs),
        ops=tuple(ops),
        limits={**renamed.limits, **one.limits},
        retention=retention,
        kinds=draw.some_of(KINDS) or ("hold",),
    )


def _renamed(scenario: Scenario) -> Scenario:
    """Return a scenario under other names, so that it can stand beside another."""

    def name(old: str) -> str:
        return f"x{old}"

    types: tuple[TypeSpec, ...] = tuple(
        attrs.evolve(spec, name=name(spec.name)) for spec in scenario.types
    )
    jobs: tuple[JobPlan, ...] = tuple(
        attrs.evolve(job, name=name(job.name), type=name(job.type)) for job in scenario.jobs
    )
    ops: tuple[Op, ...] = tuple(
        attrs.evolve(
            op,
            job=None if op.job is None else name(op.job),
            when=attrs.evolve(op.when, job=None if op.when.job is None else name(op.when.job)),
        )
        for op in scenario.ops
    )
    return attrs.evolve(scenario, types=types, jobs=jobs, ops=ops)
