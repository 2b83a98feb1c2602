"""Clients that follow, ask and wait over a network that delays, breaks and goes deaf."""

from __future__ import annotations

from triphase_simulations.cast import TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Anchor, ClientPlan, JobPlan, Op, PicturePlan, Scenario

from .parts import BITS_OF_TIME, boundary, jobs, phases, stubborn, with_script

KINDS = ("hold", "stall", "crash", "delay", "cut", "vanish")

DEAF = (0.3, 5.0, 40.0, 70.0)
"""Seconds for which a client reads nothing: the gateway gives it up after thirty."""


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    specs = [TypeSpec(name=name, phases=phases(draw)) for name in ("T", "U")]
    plans = [*jobs(draw, specs[0], draw.whole(1, 4)), *jobs(draw, specs[1], draw.whole(0, 3))]
    clients = [_client(draw, f"c{number}", plans) for number in range(draw.whole(1, 3))]
    names = [client.name for client in clients]
    for place, plan in enumerate(plans):
        if draw.chance(0.15):
            plan = with_script(plan, "a", [stubborn(draw), [["return", 1]]])
        if draw.chance(0.3):
            plan = _via(plan, draw.one_of(names))
        plans[place] = plan
    ops = [_op(draw, plans, names) for _ in range(draw.whole(1, 6))]
    calm = draw.chance(0.2)
    if calm:
        # Nothing but clients that take nothing for a while: those must not be felt by others.
        ops = [op for op in ops if op.what != "crash"]
        ops.append(_deaf(draw, names[0]))
    elif draw.chance(0.3):
        ops.append(Op(what=draw.one_of(("crash", "restart")), when=boundary(draw, plans)[1]))
    return Scenario(
        suite="streams",
        types=tuple(specs),
        jobs=tuple(plans),
        ops=tuple(ops),
        clients=tuple(clients),
        pictures=(PicturePlan(name="p0", begins=draw.one_of((0.0, 0.1, 0.5))),) * draw.whole(0, 1),
        limits={"default": draw.whole(1, 4)},
        ring=draw.one_of((None, 2, 4, 16)),
        capacity=draw.one_of((65536, 65536, 2000, 700)),
        retention=draw.one_of((None, None, None, 2.0)),
        drain_timeout=draw.one_of((0.0, 1.0)),
        kinds=("hold",) if calm else draw.some_of(KINDS),
    )


def _client(draw: Draw, name: str, plans: list[JobPlan]) -> ClientPlan:
    one = draw.one_of(("all", "all", "all", "type", "job", "ends"))
    ends = ("job.completed", "job.failed", "job.cancelled", "job.interrupted")
    return ClientPlan(
        name=name,
        job=draw.one_of(plans).name if one == "job" else None,
        types=("T",) if one == "type" else (),
        events=ends if one == "ends" else (),
        begins=draw.one_of((0.0, 0.0, 0.5, 2.0)),
        reads=draw.chance(0.5),
        pause=draw.one_of((0.0, 0.0, 0.0, 0.01, 0.5)),
    )


def _via(plan: JobPlan, name: str) -> JobPlan:
    return JobPlan(name=plan.name, type=plan.type, script=plan.script, at=plan.at, via=name)


def _op(draw: Draw, plans: list[JobPlan], names: list[str]) -> Op:
    job, when = boundary(draw, plans)
    via = draw.one_of(names)
    match draw.one_of(("wait", "wait", "wait", "wait", "cancel", "retry", "get", "crash", "deaf")):
        case "wait":
            about = draw.one_of((None, None, None, 0.5, 5.0))
            # Also of a job that nobody has submitted yet, or that has ended long ago.
            at = draw.one_of((when, when, Anchor(at=draw.one_of((0.0, 1.0, 30.0)))))
            return Op(what="wait", job=job, when=at, about=about, via=via)
        case "deaf":
            return _deaf(draw, via)
        case "crash":
            return Op(what="crash", when=when, via=via)
        case what:
            return Op(what=what, job=job, when=when, via=via)


def _deaf(draw: Draw, name: str) -> Op:
    begin = Anchor(at=draw.one_of((0.0, 0.2, 1.0)), offset=draw.one_of(BITS_OF_TIME))
    return Op(what="deaf", when=begin, about=draw.one_of(DEAF), via=name)
