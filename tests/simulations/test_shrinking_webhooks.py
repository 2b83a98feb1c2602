"""Shrinking scenarios with webhooks: what is not needed goes, and receivers do well."""

from __future__ import annotations

import attrs
import pytest

from triphase_simulations.receivers import ReceiverPlan
from triphase_simulations.scenario import Scenario, SendingPlan, WebhookPlan

from .conftest import busy_scenario, shrunk_while

R0, R1 = (f"https://r{number}.example/in" for number in range(2))

ENDS = WebhookPlan(url=R0)
SIGNED = WebhookPlan(url=R1, events=("job.started",), signed=True, at_most_once=True)

SCENARIO = attrs.evolve(
    busy_scenario(),
    types=tuple(attrs.evolve(spec, webhooks=(ENDS,)) for spec in busy_scenario().types),
    jobs=tuple(attrs.evolve(job, webhooks=(ENDS, SIGNED)) for job in busy_scenario().jobs),
    webhooks=(SIGNED,),
    receivers=(
        ReceiverPlan(url=R0, answers=("500", "hang", "lost", "slow:3.0")),
        ReceiverPlan(url=R1, answers=("die",)),
    ),
    sending=SendingPlan(limit=2, failures=3, pause=5.0),
    followed=False,
)


def of_jobs(scenario: Scenario) -> list[WebhookPlan]:
    """Return the webhooks of the jobs."""
    return [plan for job in scenario.jobs for plan in job.webhooks]


def of_types(scenario: Scenario) -> list[WebhookPlan]:
    """Return the webhooks of the types."""
    return [plan for spec in scenario.types for plan in spec.webhooks]


def test_what_needs_no_webhook_has_none() -> None:
    small = shrunk_while(SCENARIO, lambda scenario: len(scenario.jobs) == 3)
    assert (small.webhooks, small.receivers, small.sending) == ((), (), None)
    assert (of_jobs(small), of_types(small)) == ([], [])
    assert small.followed


def test_of_a_job_that_is_needed_only_the_webhook_is_left() -> None:
    small = shrunk_while(SCENARIO, lambda scenario: R1 in {plan.url for plan in of_jobs(scenario)})
    assert of_jobs(small) == [WebhookPlan(url=R1)]
    assert [job.script for job in small.jobs] == [{}]


def test_a_webhook_that_must_be_signed_stays_so() -> None:
    small = shrunk_while(SCENARIO, lambda scenario: any(plan.signed for plan in scenario.webhooks))
    assert small.webhooks == (WebhookPlan(url=R1, signed=True),)


def test_a_type_keeps_what_it_needs() -> None:
    small = shrunk_while(SCENARIO, lambda scenario: bool(of_types(scenario)))
    assert (of_types(small), of_jobs(small)) == ([ENDS], [])


@pytest.mark.parametrize("word", ["500", "hang", "lost", "slow:3.0", "die"])
def test_the_one_answer_that_is_needed_is_left(word: str) -> None:
    small = shrunk_while(
        SCENARIO,
        lambda scenario: any(word in receiver.answers for receiver in scenario.receivers),
    )
    assert [receiver.answers for receiver in small.receivers] == [(word,)]


def test_an_answer_that_must_come_later_comes_after_what_is_well() -> None:
    def second(scenario: Scenario) -> bool:
        return any(receiver.answers[2:3] == ("lost",) for receiver in scenario.receivers)

    small = shrunk_while(SCENARIO, second)
    assert [receiver.answers for receiver in small.receivers] == [("ok", "ok", "lost")]


def test_how_they_are_sent_is_left_where_it_matters() -> None:
    def few(scenario: Scenario) -> bool:
        return scenario.sending is not None and scenario.sending.failures <= 3

    small = shrunk_while(SCENARIO, few)
    assert small.sending == SendingPlan(failures=1)
