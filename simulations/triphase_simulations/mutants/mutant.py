"""A mutant: a mistake that somebody really made, put into the running code for a while.

Nothing in the runtime knows of it. What stands in the place of a function, a method or an entry
of a table is put there when the mistake is switched on, and taken away when it is switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs


@attrs.frozen(eq=False)
class Swap:
    """One thing that stands in the place of another."""

    target: Any
    """A module, a class, or a dictionary."""

    name: Any
    """The name of an attribute, or the key of an entry."""

    value: Any
    """What stands there meanwhile."""

    def present(self) -> Any:
        """Return what stands there now."""
        # Not `getattr`: what a class inherits is to be inherited again afterwards.
        if self._is_table():
            return self.target.get(self.name, MISSING)
        return self.target.__dict__.get(self.name, MISSING)

    def put(self, value: Any) -> None:
        """Put something there; `MISSING` leaves nothing there."""
        if self._is_table():
            if value is MISSING:
                del self.target[self.name]
            else:
                self.target[self.name] = value
        elif value is MISSING:
            delattr(self.target, self.name)
        else:
            setattr(self.target, self.name, value)

    def _is_table(self) -> bool:
        return isinstance(self.target, dict)


MISSING: Any = object()
"""Stands for nothing."""

Swaps = Sequence[Swap]


@attrs.frozen(kw_only=True, eq=False)
class Mutant:
    """A mistake with a switch."""

    name: str
    """What it is called."""

    says: str
    """What is wrong, in one sentence."""

    shipped: str
    """Where it was shipped; or why it is likely at this place."""

    oracles: tuple[str, ...]
    """Which oracles should see it."""

    suites: tuple[str, ...]
    """In the scenarios of which suites."""

    swaps: Callable[[], Swaps]
    """Makes what it puts in the place of what, anew each time: some remember things."""

    @contextmanager
    def apply(self) -> Generator[Swaps]:
        """Switch it on in this block, and off at its end, however that comes."""
        swaps = self.swaps()
        before = [(swap, swap.present()) for swap in swaps]
        try:
            for swap in swaps:
                swap.put(swap.value)
            yield swaps
        finally:
            for swap, value in reversed(before):
                swap.put(value)
