"""Mutants: mistakes that job systems have really shipped, made again in the running runtime.

If the simulations are any good, they find each of them. One that is not found says that an oracle
does not look there, or that no scenario goes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from . import (
    deadlines,
    endings,
    fencing,
    gates,
    hooks,
    receivers,
    recovery,
    retries,
    shutdowns,
    slots,
    stores,
    streams,
    waits,
)
from .hunting import Hunt, hunt, hunt_all
from .mutant import Mutant, Swap

__all__ = ["MUTANTS", "Hunt", "Mutant", "Swap", "hunt", "hunt_all"]

_SUBJECTS = (
    endings,
    fencing,
    recovery,
    retries,
    slots,
    deadlines,
    gates,
    waits,
    streams,
    hooks,
    receivers,
    stores,
    shutdowns,
)

MUTANTS: Final[Mapping[str, Mutant]] = {
    mutant.name: mutant for subject in _SUBJECTS for mutant in subject.MUTANTS
}
"""The mutants by name, in the order of their subjects."""
