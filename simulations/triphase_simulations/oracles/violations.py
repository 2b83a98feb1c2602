"""What an oracle is, and what it says when something must not have happened."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol

import attrs

from .reading import Reading

_PARTICULARS: Final = (
    (re.compile(r"#\d+"), ""),
    (re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"), "N"),
)
"""What differs between two that are the same mistake: lives, ids, counts and times."""


@attrs.frozen
class Violation:
    """Something that must not have happened."""

    oracle: str
    """The name of the oracle that says so."""

    job: str | None
    """The id of the job that it happened to, if it is about one."""

    seq: int | None
    """The event at which it shows, if there is one."""

    time: float | None
    """Virtual seconds, if it is known when."""

    message: str

    @property
    def normalised(self) -> str:
        """The same for two violations that are the same mistake."""
        text = self.message
        for pattern, word in _PARTICULARS:
            text = pattern.sub(word, text)
        return f"{self.oracle}: {text}"


class Oracle(Protocol):
    """Judges finished histories by one rule. Pure."""

    @property
    def name(self) -> str:
        """What it is called in the catalogue."""
        ...

    @property
    def says(self) -> str:
        """The rule, in one sentence."""
        ...

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return what breaks the rule."""
        ...
