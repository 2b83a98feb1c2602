"""What the suites draw their scenarios from: types, scripts, moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from triphase_protocol import OnRestart
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, JobPlan

NAMES = ("a", "b", "c")

BITS_OF_TIME = (0.0, 0.0, 0.0, 0.001, 0.002, 0.004, 0.008, 0.1, 0.5)
"""Offsets from an event: most of them close, where the races are."""

BOUNDARIES = (
    "job.submitted",
    "job.queued",
    "job.started",
    "phase.started",
    "phase.started",
    "phase.completed",
    "phase.completed",
    "phase.completed",
    "job.completed",
)

QUICK: list[list[Any]] = [["return", 1]]


def phases(draw: Draw, **options: Any) -> tuple[PhaseSpec, ...]:
    """Return one to three phases, all declared alike."""
    return tuple(PhaseSpec(name=name, **options) for name in NAMES[: draw.whole(1, 3)])


def plain_type(draw: Draw, name: str = "T", **options: Any) -> TypeSpec:
    """Return a job type without policies of its own."""
    return TypeSpec(name=name, phases=phases(draw), **options)


def any_restart(draw: Draw) -> str:
    """Return a policy for what becomes of interrupted runs; mostly the default."""
    policy: OnRestart = draw.one_of([OnRestart.RESUME, OnRestart.RESUME, *OnRestart])
    return policy.value


def steps(draw: Draw) -> list[list[Any]]:
    """Return what a handler does that comes to a good end."""
    done: list[list[Any]] = [
        draw.one_of([["sleep", draw.one_of((0.001, 0.01, 0.5, 1.0))], ["progress", number]])
        for number in range(draw.whole(0, 2))
    ]
    return [*done, ["return", draw.whole(1, 9)]]


def stubborn(draw: Draw) -> list[list[Any]]:
    """Return what a handler does that does not simply stop when it should."""
    return draw.one_of(
        [
            [["forever"]],
            [["tidy", 1.0]],
            [["tidy", 9.0]],
            [["shield", 3.0], ["return", 1]],
            [["shield", 30.0], ["return", 1]],
            [["swallow", 5.0], ["return", 2]],
            [["never"]],
        ]
    )


def script(draw: Draw, spec: TypeSpec) -> dict[str, list[list[list[Any]]]]:
    """Return a script in which every phase comes to a good end."""
    return {phase.name: [steps(draw)] for phase in spec.phases}


def jobs(draw: Draw, spec: TypeSpec, count: int, **options: Any) -> tuple[JobPlan, ...]:
    """Return some jobs of a type, submitted one after the other."""
    return tuple(
        JobPlan(
            name=f"{spec.name}{number}",
            type=spec.name,
            script=script(draw, spec),
            at=draw.one_of((0.0, 0.0, 0.1, 0.5)) * number,
            **options,
        )
        for number in range(count)
    )


def boundary(draw: Draw, plans: Sequence[JobPlan]) -> tuple[str, Anchor]:
    """Return a job, and a moment at or just after one of its events."""
    job = draw.one_of(plans).name
    return job, Anchor(
        event=draw.one_of(BOUNDARIES),
        job=job,
        nth=draw.one_of((1, 1, 1, 2)),
        offset=draw.one_of(BITS_OF_TIME),
    )


def with_script(plan: JobPlan, phase: str, tries: list[list[list[Any]]]) -> JobPlan:
    """Return a job that does something else in one phase."""
    return attrs.evolve(plan, script={**plan.script, phase: tries})
