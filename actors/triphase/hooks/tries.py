"""What is written about a try of a delivery: decided here, written by the deliverer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from triphase.store.operations import HookStep
from triphase_protocol import NO_RETRY, Delivery, Event, EventType, Hook, HookState, Json, Retry

from .answers import Answer, SendFailed
from .policy import Again, Dead, Decision, Delivered, decide

UNKNOWN: Final = "a try was begun, and nobody knows what became of it"
"""Why a hook is dead that is delivered at most once, and whose sender died."""

DISABLED: Final = "its receiver has said earlier that it is gone (HTTP 410)"
"""Why a hook is dead that was not even tried."""


_END: Final[Mapping[type[Decision], tuple[HookState, EventType]]] = {
    Delivered: (HookState.DELIVERED, EventType.HOOK_DELIVERED),
    Again: (HookState.PENDING, EventType.HOOK_FAILED),
    Dead: (HookState.DEAD, EventType.HOOK_DEAD),
}


def is_spent(hook: Hook) -> bool:
    """Return whether a hook may have been received already, and must not be twice."""
    return hook.delivery is Delivery.AT_MOST_ONCE and hook.attempts > hook.spent


def begun(hook: Hook) -> HookStep:
    """Return what marks a hook before it is sent, so that it is never sent again."""
    return HookStep(
        hook=attrs.evolve(hook, attempts=hook.attempts + 1), attempts=hook.attempts, event=None
    )


def given_up(hook: Hook, why: str, now: float) -> HookStep:
    """Return what ends a hook without a try."""
    return _step(hook, hook.attempts, Dead(why), None, now)


def tried(
    hook: Hook, outcome: Answer | SendFailed, retry: Retry, draw: float, now: float
) -> tuple[HookStep, Decision]:
    """Return what becomes of a hook after a try, and why.

    Args:
      hook: its record before the try, or as `begun` has marked it.
      outcome: what the try ended in.
      retry: how many tries a hook has that is delivered at least once.
      draw: a number from 0 to 1, from the runtime's source of randomness.
      now: wall-clock seconds.
    """
    once = hook.delivery is Delivery.AT_MOST_ONCE
    attempts = hook.attempts if once else hook.attempts + 1
    decision = decide(attempts - hook.spent, outcome, NO_RETRY if once else retry, draw)
    status = outcome.status if isinstance(outcome, Answer) else None
    return _step(hook, attempts, decision, status, now), decision


def _step(
    hook: Hook, attempts: int, decision: Decision, status: int | None, now: float
) -> HookStep:
    state, event_type = _END[type(decision)]
    retry_at = now + decision.after if isinstance(decision, Again) else None
    error = None if isinstance(decision, Delivered) else decision.why
    after = attrs.evolve(
        hook,
        state=state,
        attempts=attempts,
        due_at=retry_at,
        ended_at=now if retry_at is None else None,
        status=status,
        error=error,
    )
    data: dict[str, Json] = {
        "hook": hook.id,
        "event": hook.event.value,
        "seq": hook.seq,
        "attempt": attempts,
        "status": status,
        "error": error,
        "retry_at": retry_at,
    }
    # Its run and version are the store's to give.
    event = Event(
        seq=0, version=0, at=now, job=hook.job, run=0, phase=None, type=event_type, data=data
    )
    return HookStep(
        hook=after,
        attempts=hook.attempts,
        event=event,
        disabled=isinstance(decision, Dead) and decision.disables,
    )
