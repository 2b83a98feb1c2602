"""Webhooks to receivers that are slow, refuse, hang, lose answers or are gone."""

from __future__ import annotations

from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.drawing import Draw
from triphase_simulations.receivers import ReceiverPlan
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario, SendingPlan, WebhookPlan

from .parts import BITS_OF_TIME, any_restart, boundary, jobs, stubborn, with_script

KINDS = ("hold", "stall", "crash", "refuse")

ANSWERS = (
    "ok",
    "ok",
    "slow:0.3",
    "slow:3.0",
    "slow:15.0",
    "refuse",
    "lost",
    "lost",
    "hang",
    "500",
    "500",
    "429:2.0",
    "410",
    "die",
)

EVENTS = (
    (),
    (),
    (),
    ("job.submitted", "job.started", "job.completed"),
    ("phase.progress", "phase.completed"),
    ("job.completed", "job.failed", "job.cancelled", "job.deleted"),
)

OPS = (
    "redeliver",
    "redeliver",
    "redeliver",
    "cancel",
    "retry",
    "approve",
    "reject",
    "crash",
    "crash",
    "restart",
    "restart",
    "drain",
)

DONE = ("job.completed", "job.completed", "job.completed", "job.failed", "job.cancelled")
"""What most webhooks are of."""

TOLD = ("hook.delivered", "hook.delivered", "hook.failed", "hook.dead")
"""When a delivery is asked for again: mostly at the end of a try, where the races are."""


def draw(draw: Draw) -> Scenario:
    """Draw a scenario."""
    receivers = tuple(_receiver(draw, number) for number in range(draw.whole(1, 3)))
    urls = [receiver.url for receiver in receivers]
    spec = TypeSpec(
        name="T",
        phases=tuple(PhaseSpec(name=name, attempts=draw.one_of((1, 1, 2))) for name in ("a", "b")),
        approval=draw.one_of((None, None, None, 0.0)),
        on_restart=any_restart(draw),
        webhooks=_some(draw, urls, 0.3),
    )
    plans = list(jobs(draw, spec, draw.whole(1, 4)))
    for place, plan in enumerate(plans):
        plans[place] = _job(draw, plan, urls)
    ops = [_op(draw, plans) for _ in range(draw.whole(1, 5))]
    return Scenario(
        suite="webhooks",
        types=(spec,),
        jobs=tuple(plans),
        ops=tuple(ops),
        limits={"default": draw.whole(1, 4)},
        retention=draw.one_of((None, None, 1.0, 5.0)),
        drain_timeout=draw.one_of((0.0, 1.0, 10.0, 30.0)),
        receivers=receivers,
        webhooks=_some(draw, urls, 0.5),
        sending=_sending(draw),
        followed=draw.chance(0.4),
        kinds=draw.some_of(KINDS),
    )


def _receiver(draw: Draw, number: int) -> ReceiverPlan:
    answers = [draw.one_of(ANSWERS) for _ in range(draw.whole(0, 6))]
    if draw.chance(0.15):
        # Often enough in a row that it is left alone for a while.
        answers = [draw.one_of(("500", "refuse"))] * draw.whole(3, 8)
    return ReceiverPlan(url=f"https://r{number}.example/in", answers=tuple(answers))


def _webhook(draw: Draw, urls: list[str]) -> WebhookPlan:
    return WebhookPlan(
        url=draw.one_of(urls),
        events=draw.one_of(EVENTS),
        at_most_once=draw.chance(0.25),
        signed=draw.chance(0.5),
    )


def _some(draw: Draw, urls: list[str], odds: float) -> tuple[WebhookPlan, ...]:
    return (_webhook(draw, urls),) if draw.chance(odds) else ()


def _sending(draw: Draw) -> SendingPlan:
    return SendingPlan(
        limit=draw.one_of((1, 2, 50)),
        limit_each=draw.one_of((1, 2, 8)),
        attempts=draw.one_of((1, 3, 20, 20)),
        backoff=draw.one_of((0.0, 0.5, 2.0)),
        failures=draw.one_of((1, 2, 3, 20)),
        pause=draw.one_of((0.5, 5.0)),
    )


def _job(draw: Draw, plan: JobPlan, urls: list[str]) -> JobPlan:
    match draw.one_of(("well", "well", "well", "fails", "retries", "stubborn")):
        case "fails":
            plan = with_script(plan, "b", [[["fail"]]])
        case "retries":
            plan = with_script(plan, "b", [[["raise", "ValueError"]], [["return", 1]]])
        case "stubborn":
            plan = with_script(plan, "a", [stubborn(draw), [["return", 1]]])
        case _:
            pass
    webhooks = tuple(_webhook(draw, urls) for _ in range(draw.whole(0, 2)))
    return JobPlan(
        name=plan.name, type=plan.type, script=plan.script, at=plan.at, webhooks=webhooks
    )


def _op(draw: Draw, plans: list[JobPlan]) -> Op:
    job, when = boundary(draw, plans)
    told = Anchor(event=draw.one_of(TOLD), job=job, offset=draw.one_of(BITS_OF_TIME))
    any_told = Anchor(event=draw.one_of(TOLD), offset=draw.one_of(BITS_OF_TIME))
    done = Anchor(event=draw.one_of(DONE), job=job, offset=draw.one_of(BITS_OF_TIME))
    soon = Anchor(event="job.started", job=job, offset=draw.one_of((1.0, 2.0, 4.0, 12.0)))
    match draw.one_of(OPS):
        case "redeliver":
            nth = draw.one_of((0, 0, 0, 1, 2))
            when = draw.one_of((told, told, done, soon))
            return Op(what="redeliver", job=job, when=when, about=nth)
        case "drain":
            seconds = draw.one_of((0.0, 1.0, 30.0))
            return Op(what="drain", when=draw.one_of((any_told, done, soon)), about=seconds)
        case "crash" | "restart" as what:
            return Op(what=what, when=draw.one_of((when, any_told, done, soon)))
        case what:
            return Op(what=what, job=job, when=draw.one_of((when, when, soon)))
