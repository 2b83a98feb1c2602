"""Ids and random draws, as something that can be given.

Only this file asks the system for randomness.
"""

from __future__ import annotations

import random
from typing import Final

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no letter that reads as another."""

ID_LENGTH: Final = 16
"""Characters of an id: 80 random bits. Among a billion, two are equal with odds of 1 in 2 million.

Random from the first character, so that a prefix of a few characters tells a store's jobs apart.
"""


class Entropy:
    """A source of ids and random draws.

    Args:
      seed: makes the same ids and draws every time. None takes the system's randomness.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)

    def id(self) -> str:
        """Return a new id."""
        bits = self._random.getrandbits(5 * ID_LENGTH)
        return "".join(ALPHABET[bits >> 5 * place & 31] for place in range(ID_LENGTH))

    def draw(self) -> float:
        """Return a number from 0 to 1."""
        return self._random.random()
