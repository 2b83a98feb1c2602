"""Checks of what a user declares, each with an error that names the value and the place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, TypeAlias, cast

from triphase_protocol import Approval, DefinitionError, Webhook

WEBHOOKS_MOST: Final = 20
"""The most webhooks of one job, of one type, or of one runtime."""

Webhooks: TypeAlias = Webhook | str | Iterable[Webhook | str]
"""What is given as a webhook: one or several, each of them a `Webhook` or its URL."""


def check_seconds(what: str, seconds: object, *, least: float | None = None) -> None:
    """Check a number of seconds that a user gave: above 0, or at least *least*.

    Raises:
      DefinitionError: if it is not one.
    """
    if (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
        and (seconds > 0 or seconds == least)
    ):
        return
    bound = "above 0" if least is None else f"of at least {least:g}"
    raise DefinitionError(f"{what}={seconds!r}: must be a finite number of seconds {bound}")


def check_whole(what: str, number: object, *, least: int) -> None:
    """Check a whole number that a user gave.

    Raises:
      DefinitionError: if it is not one, or below *least*.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise DefinitionError(f"{what}={number!r}: must be a whole number from {least}")


def check_version(what: str, version: object) -> None:
    """Check the version of a declaration.

    Raises:
      DefinitionError: if it is not a whole number from 1.
    """
    check_whole(f"{what}: version", version, least=1)


def check_approval(what: str, approval: object) -> Approval | None:
    """Return what `approval=` means: True is an `Approval` without a timeout.

    Raises:
      DefinitionError: if it is something else.
    """
    if approval is None or approval is False:
        return None
    if approval is True:
        return Approval()
    if isinstance(approval, Approval):
        return approval
    raise DefinitionError(f"{what}: approval={approval!r}: must be True or a triphase.Approval")


def check_webhooks(what: str, webhooks: object) -> tuple[Webhook, ...]:
    """Return what `webhook=` or `webhooks=` means: a str is the URL of a `Webhook`.

    Raises:
      DefinitionError: if it is something else, or there are too many.
    """
    if webhooks is None:
        return ()
    given: object = (webhooks,) if isinstance(webhooks, str | Webhook) else webhooks
    if not isinstance(given, Iterable):
        raise DefinitionError(f"{what}={webhooks!r}: must be a URL or a triphase.Webhook")
    checked = [_webhook(what, each) for each in cast("Iterable[object]", given)]
    if len(checked) > WEBHOOKS_MOST:
        raise DefinitionError(f"{what}: {len(checked)} webhooks; at most {WEBHOOKS_MOST}")
    return tuple(checked)


def _webhook(what: str, webhook: object) -> Webhook:
    if isinstance(webhook, Webhook):
        return webhook
    if not isinstance(webhook, str):
        raise DefinitionError(f"{what}: {webhook!r}: must be a URL or a triphase.Webhook")
    try:
        return Webhook(url=webhook)
    except DefinitionError as exc:
        raise DefinitionError(f"{what}: {exc}") from exc
