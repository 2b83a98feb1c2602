"""From what a user passes to `submit` to the command that the lifecycle decides about."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any, cast

import attrs

from triphase_protocol import (
    Approval,
    DefinitionError,
    Gate,
    InvalidValue,
    Job,
    KeyConflict,
    Submit,
    Timeouts,
    Webhook,
)

from .checks import Webhooks, check_approval, check_webhooks
from .definition import Definition
from .registry import Registry

PRIORITY_MOST = 2**31
"""Priorities lie between minus this and this."""

TEXT_MOST = 1000
"""The most characters of a key, of a label's name and of its value."""


def submission(
    registry: Registry,
    job: object,
    *,
    id: str,
    now: float,
    key: str | None,
    delay: float | None,
    at: float | datetime.datetime | None,
    priority: int,
    queue: str | None,
    labels: Mapping[str, str] | None,
    queue_timeout: float | None,
    approval: Approval | bool | None,
    webhook: Webhooks | None = None,
) -> Submit:
    """Return the command for a submit, after every check that needs no store.

    Raises:
      UnknownJobType: if the job's class is not registered.
      UnknownQueue: if the queue is not.
      InvalidPayload: if a field of the job has the wrong type.
      InvalidValue: if an option is wrong.
    """
    definition = registry.of(job)
    payload = definition.payload_of(job)
    return Submit(
        id=id,
        type=definition.name,
        phases=tuple(phase.name for phase in definition.phases),
        versions={phase.name: phase.version for phase in definition.phases},
        payload=payload,
        digest=definition.digest(payload),
        queue=registry.check_queue(definition.queue if queue is None else queue),
        priority=_checked_priority(priority),
        key=None if key is None else _checked_text("key", key),
        labels=_checked_labels(labels),
        due_at=_due(now, delay, at),
        timeouts=_timeouts(definition, queue_timeout),
        gates=_gates(definition, approval),
        webhooks=given_webhooks(webhook),
    )


def given_webhooks(webhook: object) -> tuple[Webhook, ...]:
    """Return the webhooks that a submit is given.

    Raises:
      InvalidValue: if it is given something else.
    """
    try:
        return check_webhooks("webhook", webhook)
    except DefinitionError as exc:
        raise InvalidValue(str(exc)) from exc


def _timeouts(definition: Definition, queue: float | None) -> Timeouts:
    if queue is None:
        return definition.timeouts
    if not _is_number(queue) or queue <= 0:
        raise InvalidValue(f"queue_timeout={queue!r}: must be a finite number of seconds above 0")
    return attrs.evolve(definition.timeouts, queue=float(queue))


def _gates(definition: Definition, approval: object) -> dict[str, Gate]:
    """Return the gates of a new job: those of its phases, and its own before the first."""
    gates = {phase.name: phase.gate for phase in definition.phases if phase.gate is not None}
    first = definition.phases[0].name
    try:
        own = check_approval("submit", approval) or definition.approval
    except DefinitionError as exc:
        raise InvalidValue(str(exc)) from exc
    if own is not None:
        gates[first] = Gate(timeout=own.timeout)
    return gates


def check_same(existing: Job, command: Submit) -> None:
    """Check that the job which has the key is the one that is submitted again.

    Raises:
      KeyConflict: if its type or payload differs.
    """
    if existing.digest != command.digest:
        what = "type" if existing.type != command.type else "payload"
        raise KeyConflict(
            f"key {command.key!r} belongs to job {existing.id} ({existing.type}), "
            f"which has another {what}"
        )


def _due(now: float, delay: float | None, at: float | datetime.datetime | None) -> float | None:
    if delay is not None and at is not None:
        raise InvalidValue(f"delay={delay!r} and at={at!r}: give one of them")
    if delay is not None:
        if not _is_number(delay) or delay < 0:
            raise InvalidValue(f"delay={delay!r}: must be a finite number of seconds, at least 0")
        return now + delay
    if isinstance(at, datetime.datetime):
        if at.tzinfo is None:
            raise InvalidValue(f"at={at!r}: a datetime needs a time zone")
        return at.timestamp()
    if at is not None and not _is_number(at):
        raise InvalidValue(f"at={at!r}: must be an aware datetime, or seconds since the epoch")
    return at


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _checked_priority(priority: object) -> int:
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise InvalidValue(f"priority={priority!r}: must be a whole number")
    if abs(priority) > PRIORITY_MOST:
        raise InvalidValue(
            f"priority={priority!r}: must be from -{PRIORITY_MOST} to {PRIORITY_MOST}"
        )
    return priority


def _checked_labels(labels: object) -> dict[str, str]:
    if labels is None:
        return {}
    if not isinstance(labels, Mapping):
        raise InvalidValue(f"labels={labels!r}: must be a dict of names to values")
    given = cast("Mapping[Any, Any]", labels)
    return {
        _checked_text("label name", name): _checked_text(f"label {name!r}", value, empty=True)
        for name, value in given.items()
    }


def _checked_text(what: str, value: object, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"{what} {value!r}: must be a str")
    if not (value or empty) or len(value) > TEXT_MOST:
        raise InvalidValue(f"{what} {value[:40]!r}: must have 1 to {TEXT_MOST} characters")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidValue(f"{what} {value!r}: a lone surrogate is not valid UTF-8")
    return value
