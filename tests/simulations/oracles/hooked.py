"""Histories with webhooks: really played ones, and what somebody made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import attrs

from triphase_protocol import Event, Hook
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.history import History, Post
from triphase_simulations.oracles import judge
from triphase_simulations.plan import Plan
from triphase_simulations.receivers import ReceiverPlan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import (
    Anchor,
    JobPlan,
    Op,
    Scenario,
    SendingPlan,
    WebhookPlan,
)

STEPS = ("job.submitted", "job.started", "job.completed")


def url(name: str) -> str:
    """Return the URL of a receiver."""
    return f"https://{name}.example/in"


def _job(name: str, at: float = 0.0, **webhook: Any) -> JobPlan:
    """Return a job of which its receiver of the same name is told."""
    to = url(name.partition("-")[0])
    return JobPlan(
        name=name,
        type="T",
        at=at,
        script={"a": [[["sleep", 0.2], ["return", 1]]]},
        webhooks=(attrs.evolve(WebhookPlan(url=to), **webhook),),
    )


SENDING = SendingPlan(limit=4, limit_each=2, attempts=3)

HOOKED = Scenario(
    suite="oracles",
    types=(TypeSpec(name="T", phases=(PhaseSpec(name="a"),)),),
    jobs=(
        _job("well", signed=True),
        _job("steps", events=STEPS),
        _job("once", at_most_once=True),
        _job("busy"),
        _job("gone"),
        _job("gone-later", at=2.0),
        _job("broken"),
        _job("slow-one"),
        _job("slow-two"),
        _job("slow-three"),
    ),
    ops=(
        Op(what="redeliver", job="once", when=Anchor(at=10.0), about=0),
        Op(what="redeliver", job="broken", when=Anchor(at=30.0), about=0),
    ),
    receivers=(
        ReceiverPlan(url=url("once"), answers=("lost",)),
        ReceiverPlan(url=url("busy"), answers=("429:2.0",)),
        ReceiverPlan(url=url("gone"), answers=("410",)),
        ReceiverPlan(url=url("broken"), answers=("500", "refuse", "500")),
        ReceiverPlan(url=url("slow"), answers=("slow:3.0", "slow:3.0", "slow:3.0")),
    ),
    sending=SENDING,
    limits={"default": 20},
    kinds=(),
)
"""A bit of everything, and nothing disturbs it."""

LEFT = attrs.evolve(
    HOOKED,
    ops=(*HOOKED.ops, Op(what="restart", when=Anchor(at=1.0))),
    drain_timeout=1.0,
)
"""The same, and the process leaves as the slow ones are under way."""

KINDS = ("hold", "stall", "crash", "refuse")
LOST = attrs.evolve(
    HOOKED,
    ops=(*HOOKED.ops, Op(what="crash", when=Anchor(at=1.0))),
    retention=5.0,
    kinds=KINDS,
)
"""Everything disturbs it, and what has ended is deleted."""


@functools.cache
def hooked() -> History:
    """Return the history of `HOOKED`."""
    return run_scenario(HOOKED, Plan())


@functools.cache
def left() -> History:
    """Return the history of `LEFT`."""
    return run_scenario(LEFT, Plan())


@functools.cache
def lost(seed: int) -> History:
    """Return the history of `LOST`, as a seed disturbs it; 0 disturbs nothing."""
    return run_scenario(LOST, Plan(seed, kinds=frozenset(KINDS)))


def faults(history: History, scenario: Scenario = HOOKED) -> set[str]:
    """Return what the oracle of webhooks says about a history, without its particulars."""
    return {each.normalised for each in judge(history, scenario) if each.oracle == "O10"}


def job_id(name: str) -> str:
    """Return the id of a job."""
    return next(job.id for job in hooked().jobs if job.key == name)


def hook_of(name: str, event: str = "job.completed") -> Hook:
    """Return the delivery of an event of a job."""
    id = job_id(name)
    return next(hook for hook in hooked().hooks if (hook.job, hook.event) == (id, event))


def posts_of(name: str, event: str = "job.completed") -> list[Post]:
    """Return the tries to deliver an event of a job."""
    return [post for post in hooked().posts if post.id == hook_of(name, event).id]


def with_posts(change: Callable[[Post], Post | None], history: History | None = None) -> History:
    """Return a history with other posts; None leaves one out."""
    history = hooked() if history is None else history
    changed = [change(post) for post in history.posts]
    return attrs.evolve(history, posts=[post for post in changed if post is not None])


def with_post(which: Post, /, **changes: Any) -> History:
    """Return `hooked` with one post that was otherwise."""
    return with_posts(lambda post: attrs.evolve(post, **changes) if post is which else post)


def with_more(*posts: Post) -> History:
    """Return `hooked` with more posts, in the order of their times."""
    return attrs.evolve(hooked(), posts=sorted([*hooked().posts, *posts], key=lambda p: p.time))


def with_hook(which: Hook, /, **changes: Any) -> History:
    """Return `hooked` with one delivery that is otherwise."""
    hooks = tuple(
        attrs.evolve(hook, **changes) if hook is which else hook for hook in hooked().hooks
    )
    return attrs.evolve(hooked(), hooks=hooks)


def told(name: str, event_type: str, nth: int = 0) -> Event:
    """Return what the log says of the deliveries of a job."""
    events = hooked().events_of(job_id(name))
    return [event for event in events if event.type.value == event_type][nth]


def with_told(which: Event, /, **data: object) -> History:
    """Return `hooked` with other data of an event."""
    return attrs.evolve(
        hooked(),
        log=tuple(
            attrs.evolve(event, data={**event.data, **data}) if event is which else event
            for event in hooked().log
        ),
    )


def without_told(*which: Event, history: History | None = None) -> History:
    """Return a history without events."""
    history = hooked() if history is None else history
    return attrs.evolve(history, log=tuple(e for e in history.log if e not in which))
