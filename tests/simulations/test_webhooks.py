"""The suite of webhooks: it draws what it says, a seed is a run, and a run goes on to the end."""

from __future__ import annotations

import functools
from typing import Any, cast

import attrs
import pytest

from triphase_protocol import Delivery, EventType, HookState, Json, TriphaseError, decode, encode
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.exploring import explore, plan_of, play
from triphase_simulations.history import History
from triphase_simulations.hook_goals import HOOK_GOALS
from triphase_simulations.plan import Plan
from triphase_simulations.receivers import WORDS, ReceiverPlan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario, SendingPlan, WebhookPlan
from triphase_simulations.suites import SUITES
from triphase_simulations.suites.webhooks import KINDS, OPS

WEBHOOKS = SUITES["webhooks"]
SEEDS = range(1, 201)
URL = "https://r0.example/in"

ONE = Scenario(
    suite="webhooks",
    types=(TypeSpec(name="T", phases=(PhaseSpec(name="a"),)),),
    jobs=(JobPlan(name="T0", type="T", webhooks=(WebhookPlan(url=URL),)),),
    receivers=(ReceiverPlan(url=URL),),
    followed=False,
    kinds=(),
)
"""A job that tells of its end, and nobody who follows it."""


@functools.cache
def drawn() -> tuple[Scenario, ...]:
    """Return the scenarios of some seeds."""
    return tuple(WEBHOOKS.scenario(seed) for seed in SEEDS)


def answering(*answers: str, ops: tuple[Op, ...] = (), **changes: Any) -> History:
    """Run `ONE` with a receiver that does something else."""
    receivers = (ReceiverPlan(url=URL, answers=answers),)
    return run_scenario(attrs.evolve(ONE, receivers=receivers, ops=ops, **changes), Plan())


# What it draws


def test_it_draws_receivers_that_do_everything() -> None:
    assert {len(scenario.receivers) for scenario in drawn()} == {1, 2, 3}
    answers = [
        answer.partition(":")[0]
        for scenario in drawn()
        for receiver in scenario.receivers
        for answer in receiver.answers
    ]
    assert set(answers) == set(WORDS)
    assert any(not receiver.answers for scenario in drawn() for receiver in scenario.receivers)


def test_it_draws_webhooks_of_types_of_jobs_and_of_all() -> None:
    places = (
        [plan for scenario in drawn() for spec in scenario.types for plan in spec.webhooks],
        [plan for scenario in drawn() for job in scenario.jobs for plan in job.webhooks],
        [plan for scenario in drawn() for plan in scenario.webhooks],
    )
    for plans in places:
        assert len(plans) > 20
        for field in ("at_most_once", "signed"):
            assert {getattr(plan, field) for plan in plans} == {True, False}
        events = {event for plan in plans for event in plan.events}
        assert {"phase.progress", "job.deleted", "job.started"} <= events
        assert any(not plan.events for plan in plans)


def test_it_draws_what_is_done_and_what_disturbs() -> None:
    assert {op.what for scenario in drawn() for op in scenario.ops} == set(OPS)
    assert {kind for scenario in drawn() for kind in scenario.kinds} == set(KINDS)
    assert () in {scenario.kinds for scenario in drawn()}
    assert {scenario.followed for scenario in drawn()} == {True, False}
    assert {scenario.retention for scenario in drawn()} == {None, 1.0, 5.0}


def test_it_names_nobody_who_is_not_there() -> None:
    for scenario in drawn():
        urls = {receiver.url for receiver in scenario.receivers}
        jobs = {None, *(job.name for job in scenario.jobs)}
        plans = [
            *scenario.webhooks,
            *(plan for spec in scenario.types for plan in spec.webhooks),
            *(plan for job in scenario.jobs for plan in job.webhooks),
        ]
        assert {plan.url for plan in plans} <= urls
        assert {op.job for op in scenario.ops} <= jobs


def test_a_scenario_with_receivers_is_the_same_when_it_was_saved() -> None:
    for scenario in drawn()[:40]:
        assert Scenario.from_json(decode(encode(scenario.to_json()))) == scenario


def test_a_scenario_of_an_earlier_version_has_none() -> None:
    saved = attrs.evolve(ONE, jobs=(JobPlan(name="T0", type="T"),), receivers=(), followed=True)
    value = cast("dict[str, Json]", saved.to_json())
    for field in ("receivers", "webhooks", "sending", "followed"):
        del value[field]
    assert Scenario.from_json(value) == saved


# A seed is a run


def test_a_seed_is_a_run() -> None:
    hashes = [
        [play(scenario, plan_of(scenario, seed)).history.hash() for _ in range(2)]
        for seed, scenario in zip(SEEDS[:20], drawn(), strict=False)
    ]
    assert all(first == second for first, second in hashes)
    assert len({first for first, _ in hashes}) == len(hashes)


def test_a_recorded_plan_does_the_same_again() -> None:
    kinds: set[str] = set()
    for seed, scenario in zip(SEEDS[:40], drawn(), strict=False):
        plan = plan_of(scenario, seed)
        first = run_scenario(scenario, plan)
        again = Plan(plan.seed, kinds=frozenset(), fixed=dict(plan.used))
        assert run_scenario(scenario, again).hash() == first.hash()
        kinds |= {kind for kind, _, _ in plan.used}
    assert kinds == set(KINDS)


@pytest.mark.slow
def test_it_meets_what_it_is_for_and_nothing_is_wrong() -> None:
    found = explore(WEBHOOKS, scenarios=300, seed=1)
    assert [failure.violation.message for failure in found.failures] == []
    assert [goal for goal in HOOK_GOALS if not found.goals.get(goal)] == []


# A run goes on to the end


def test_a_webhook_needs_nobody_who_follows() -> None:
    history = answering()
    [post], [hook] = history.posts, history.hooks
    assert not list(history.all("heard"))
    assert (post.id, post.body, post.url) == (hook.id, hook.body, hook.url)
    assert (hook.event, hook.state) == (EventType.JOB_COMPLETED, HookState.DELIVERED)
    assert post.durable >= hook.seq


def test_a_run_goes_on_until_all_is_delivered_or_given_up() -> None:
    tries = answering("500", "refuse", "hang", "lost", "429:30")
    assert tries.settled
    assert [post.status for post in tries.posts] == [500, None, None, None, 429, 200]
    assert len({post.id for post in tries.posts}) == 1
    given_up = answering("500", "500", "500", sending=SendingPlan(attempts=2))
    assert [hook.state for hook in given_up.hooks] == [HookState.DEAD]
    assert len(given_up.posts) == 2


def test_a_run_with_a_drain_goes_on_in_another_life() -> None:
    drain = Op(what="drain", when=Anchor(event="job.completed"), about=0.0)
    history = answering("500", ops=(drain,))
    assert [post.process for post in history.posts] == ["node", "node#2"]
    assert [hook.state for hook in history.hooks] == [HookState.DELIVERED]


def test_a_sender_that_dies_is_started_again() -> None:
    history = answering("die")
    assert [post.process for post in history.posts] == ["node", "node#2"]
    assert history.settled


def test_at_most_once_is_that() -> None:
    job = attrs.evolve(ONE.jobs[0], webhooks=(WebhookPlan(url=URL, at_most_once=True),))
    history = answering("die", jobs=(job,))
    [hook] = history.hooks
    assert (hook.delivery, hook.state) == (Delivery.AT_MOST_ONCE, HookState.DEAD)
    assert len(history.posts) == 1


def test_what_is_signed_says_so() -> None:
    job = attrs.evolve(ONE.jobs[0], webhooks=(WebhookPlan(url=URL, signed=True),))
    [signed], [plain] = answering(jobs=(job,)).posts, answering().posts
    assert "webhook-signature" in signed.headers
    assert "webhook-signature" not in plain.headers


def test_a_type_and_a_runtime_have_webhooks_too() -> None:
    spec = attrs.evolve(ONE.types[0], webhooks=(WebhookPlan(url=URL, events=("job.started",)),))
    everywhere = (WebhookPlan(url=URL, events=("job.queued",)),)
    history = answering(types=(spec,), webhooks=everywhere)
    assert {hook.event.value for hook in history.hooks} == {
        "job.queued",
        "job.started",
        "job.completed",
    }


def test_a_redelivery_is_noted_as_it_is_committed() -> None:
    again = Op(what="redeliver", job="T0", about=0, when=Anchor(event="hook.delivered", offset=5.0))
    history = answering(ops=(again,))
    [(time, id)] = history.redelivered
    first, second = history.posts
    assert {first.id, second.id} == {id}
    assert first.time < time <= second.time
    [answered] = [entry for entry in history.all("answered") if entry.data["op"] == "redeliver"]
    assert answered.data["answer"]["state"] == "pending"


def test_what_is_not_there_is_not_delivered_again() -> None:
    again = Op(what="redeliver", job="T0", about=1, when=Anchor(event="hook.delivered"))
    history = answering(ops=(again,))
    assert [entry.data["error"] for entry in history.all("denied")] == ["hook_not_found"]
    assert not history.redelivered


def test_who_is_gone_stands_on_the_disk() -> None:
    history = answering("410")
    assert set(history.disabled) == {URL}
    assert [hook.status for hook in history.hooks] == [410]


def test_what_was_deleted_is_kept_as_it_was() -> None:
    late = Op(what="get", job="T0", when=Anchor(at=30.0))
    history = answering(ops=(late,), retention=1.0)
    assert [event.type.value for event in history.log][-1] == "job.deleted"
    [dropped] = history.dropped_hooks
    assert (dropped.event, dropped.state) == (EventType.JOB_COMPLETED, HookState.DELIVERED)
    assert history.hooks == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"receivers": (ReceiverPlan(url=URL, answers=("well",)),)},
        {"webhooks": (WebhookPlan(url="nowhere"),)},
        {"webhooks": (WebhookPlan(url=URL, events=("job.done",)),)},
        {"sending": SendingPlan(attempts=0)},
    ],
)
def test_a_scenario_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    scenario = attrs.evolve(ONE, **changes)
    played = play(scenario, Plan())
    assert isinstance(played.error, TriphaseError)
    assert not played.history.entries, "it is refused before anything begins"


def test_where_the_code_lies_makes_no_difference() -> None:
    script: dict[str, list[list[list[object]]]] = {"a": [[["raise", "ValueError"]]]}
    job = attrs.evolve(ONE.jobs[0], script=script)
    history = answering(jobs=(job,))
    [hook], [post] = history.hooks, history.posts
    assert hook.body is not None
    assert "Traceback" in hook.body
    moved = hook.body.replace("cast.py", "elsewhere.py")
    assert moved != hook.body
    other = attrs.evolve(
        history,
        hooks=(attrs.evolve(hook, body=moved),),
        posts=[attrs.evolve(post, body=moved)],
    )
    assert other.hash() == history.hash()
    changed = attrs.evolve(history, posts=[attrs.evolve(post, body=post.body + " ")])
    assert changed.hash() != history.hash()
