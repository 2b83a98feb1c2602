"""Errors, snoozes, budgets, and retries by hand."""

from __future__ import annotations

from typing import Any

from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, Op, Scenario

from .parts import BITS_OF_TIME, NAMES, boundary, jobs, with_script

FATES: tuple[list[Any], ...] = (
    ["raise", "ConnectionError"],
    ["raise", "ValueError"],
    ["snooze", 0.0],
    ["snooze", 1.0],
    ["fail"],
    ["cancel"],
    ["huge"],
    ["unstorable"],
)


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    spec = TypeSpec(
        name="T",
        phases=tuple(
            PhaseSpec(
                name=name,
                attempts=draw.whole(1, 3),
                backoff=draw.one_of((0.0, 0.5, 5.0)),
                plain=draw.chance(0.3),
            )
            for name in NAMES[: draw.whole(2, 3)]
        ),
    )
    plans = list(jobs(draw, spec, draw.whole(1, 3)))
    for place, plan in enumerate(plans):
        phase = draw.one_of(spec.phases)
        tries = [[draw.one_of(FATES)] for _ in range(draw.whole(1, 3))]
        plans[place] = with_script(plan, phase.name, [*tries, [["return", 7]]])
        for other in spec.phases:
            if other.plain:
                still = [
                    [step for step in each if step[0] != "sleep"]
                    for each in plans[place].script[other.name]
                ]
                plans[place] = with_script(plans[place], other.name, still)
    ops: list[Op] = []
    for _ in range(draw.whole(1, 4)):
        job, when = boundary(draw, plans)
        about = draw.one_of((None, None, *(phase.name for phase in spec.phases)))
        ops.append(
            Op(what=draw.one_of(("retry", "retry", "cancel")), job=job, when=when, about=about)
        )
    ops += [_retry_at_end(draw, spec, plan.name) for plan in plans if draw.chance(0.6)]
    return Scenario(
        suite="retries",
        types=(spec,),
        jobs=tuple(plans),
        ops=tuple(ops),
        limits={"default": draw.whole(1, 3)},
        kinds=("hold", "stall", "crash"),
    )


def _retry_at_end(draw: Draw, spec: TypeSpec, job: str) -> Op:
    """Return a retry of a job that has just ended."""
    event = draw.one_of(("job.failed", "job.completed", "job.cancelled"))
    # A completed job has no phase to go on from: one is named.
    about = draw.one_of(spec.phases).name if event == "job.completed" else None
    when = Anchor(event=event, job=job, offset=draw.one_of(BITS_OF_TIME))
    return Op(what="retry", job=job, when=when, about=about)
