"""Draws from a seed, each a pure function of the seed and of how many came before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from .plan import mix

T = TypeVar("T")


class Draw:
    """A source of choices.

    Args:
      seed: makes the same choices every time.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0

    def bits(self) -> int:
        """Return the next 64 bits."""
        self._drawn += 1
        return mix(self._seed, self._drawn)

    def number(self) -> float:
        """Return a number from 0 to 1."""
        return (self.bits() >> 11) * 2.0**-53

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from *low* to *high*, both included."""
        return low + self.bits() % (high - low + 1)

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of some things."""
        return choices[self.bits() % len(choices)]

    def some_of(self, choices: Sequence[T]) -> tuple[T, ...]:
        """Return some of some things, in their order; all or none of them among the rest."""
        bits = self.bits()
        return tuple(each for place, each in enumerate(choices) if bits >> place & 1)

    def chance(self, odds: float) -> bool:
        """Return True with these odds."""
        return self.number() < odds
