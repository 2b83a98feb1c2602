"""Checks of what a user declares, each with an error that names the value and the place."""

from __future__ import annotations

import math

from triphase_protocol import Approval, DefinitionError


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
