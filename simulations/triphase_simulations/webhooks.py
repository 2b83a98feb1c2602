"""The webhooks of a scenario, and how they are sent: data, and what it stands for."""

from __future__ import annotations

import attrs

import triphase
from triphase.hooks import Sending, Tripping
from triphase_protocol import Delivery, Retry

from .receivers import SECRET_NAME


@attrs.frozen(kw_only=True)
class WebhookPlan:
    """Where events of jobs are POSTed."""

    url: str
    """That of a receiver of the scenario."""

    events: tuple[str, ...] = ()
    """The types of the events; empty is those that end a run."""

    at_most_once: bool = False
    signed: bool = False
    """With the one secret that there is."""


@attrs.frozen(kw_only=True)
class SendingPlan:
    """How webhooks are sent."""

    limit: int = 50
    """How many at once."""

    limit_each: int = 8
    """How many at once to one receiver."""

    attempts: int = 20
    """How many tries each has."""

    backoff: float = 0.5
    """Seconds: the longest wait after the first try; at most eight times as long later."""

    failures: int = 20
    """So many in a row, and a receiver is left alone for a while."""

    pause: float = 1.0
    """Seconds of that; at most four times as long later."""


def webhooks_of(plans: tuple[WebhookPlan, ...]) -> tuple[triphase.Webhook, ...]:
    """Return the webhooks that plans stand for.

    Raises:
      DefinitionError: if one is none.
    """
    return tuple(
        triphase.Webhook(
            url=plan.url,
            events=plan.events,
            delivery=Delivery.AT_MOST_ONCE if plan.at_most_once else Delivery.AT_LEAST_ONCE,
            secret=SECRET_NAME if plan.signed else None,
        )
        for plan in plans
    )


def sending_of(plan: SendingPlan) -> Sending:
    """Return how webhooks are sent, but for what sends them.

    Raises:
      DefinitionError: if a number is out of its range.
    """
    return Sending(
        limit=plan.limit,
        limit_each=plan.limit_each,
        retry=Retry(attempts=plan.attempts, backoff=plan.backoff, limit=8 * plan.backoff),
        tripping=Tripping(failures=plan.failures, pause=plan.pause, limit=4 * plan.pause),
    )
