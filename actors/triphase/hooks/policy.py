"""What becomes of a hook after a try: decided here, and nowhere else."""

from __future__ import annotations

from typing import Final

import attrs

from triphase_protocol import Retry

from .answers import Answer, SendFailed

HOOK_RETRY: Final = Retry(attempts=20, backoff=10.0, factor=3.0, limit=6 * 3600.0)
"""How often a hook is tried: within minutes at first, then every few hours, for a day or three."""

GONE: Final = 410
"""The status by which a receiver says that it wants no more, ever."""


@attrs.frozen
class Delivered:
    """The receiver has it."""


@attrs.frozen
class Again:
    """The try failed, and another follows."""

    after: float
    """Seconds until then."""

    why: str


@attrs.frozen
class Dead:
    """The try failed, and it was the last one."""

    why: str

    disables: bool = False
    """Nothing more is to be sent to this URL: the receiver says that it is gone."""


Decision = Delivered | Again | Dead


def decide(attempts: int, outcome: Answer | SendFailed, retry: Retry, draw: float) -> Decision:
    """Decide what becomes of a hook.

    As Standard Webhooks recommends, every status but 2xx is tried again, for days: a 404 or a
    401 is more often a receiver that is being deployed than one that will never be there. Only
    410 says that it is over. A redirect is a failure: who follows it sends a job's data to where
    nobody has allowed it to go.

    Pure.

    Args:
      attempts: the tries that have begun, this one included.
      outcome: what the try ended in.
      retry: how many tries there are, and how they are spread. One for a hook that is delivered
        at most once.
      draw: a number from 0 to 1, from the runtime's source of randomness.
    """
    if isinstance(outcome, Answer) and 200 <= outcome.status < 300:
        return Delivered()
    why = why_failed(outcome)
    if isinstance(outcome, Answer) and outcome.status == GONE:
        return Dead(why, disables=True)
    if isinstance(outcome, SendFailed) and not outcome.retry:
        return Dead(why)
    if attempts >= retry.attempts:
        return Dead(why)
    least = outcome.retry_after if isinstance(outcome, Answer) else None
    return Again(max(retry.delay(attempts, draw), least or 0.0), why)


def why_failed(outcome: Answer | SendFailed) -> str:
    """Return what is said of a try that failed: one line."""
    if isinstance(outcome, SendFailed):
        return str(outcome)
    if 300 <= outcome.status < 400:
        return f"HTTP {outcome.status}: a redirect, which is not followed"
    return f"HTTP {outcome.status}: {outcome.excerpt}".removesuffix(": ")
