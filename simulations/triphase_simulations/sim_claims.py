"""What a test claims about its runs: always, sometimes, in the end."""

from __future__ import annotations

from collections.abc import Callable

import attrs


class ClaimBroken(AssertionError):
    """Something that a test claims does not hold."""


@attrs.define
class Claims:
    """The claims of one run."""

    always: dict[str, Callable[[], object]] = attrs.field(factory=dict[str, Callable[[], object]])
    sometimes: dict[str, Callable[[], object]] = attrs.field(
        factory=dict[str, Callable[[], object]]
    )
    eventually: dict[str, Callable[[], object]] = attrs.field(
        factory=dict[str, Callable[[], object]]
    )
    met: dict[str, bool] = attrs.field(factory=dict[str, bool])
    """Of each that is sometimes true, whether it was."""

    def note(self, claim: str, holds: Callable[[], object] | object) -> None:
        """Add one that is sometimes true, or true right now."""
        self.met.setdefault(claim, False)
        if callable(holds):
            self.sometimes[claim] = holds
        elif holds:
            self.met[claim] = True

    def check(self) -> None:
        """Look at each as things are now.

        Raises:
          ClaimBroken: if one that always holds does not.
        """
        for claim, holds in self.sometimes.items():
            if not self.met[claim] and holds():
                self.met[claim] = True
        for claim, holds in self.always.items():
            if not holds():
                raise ClaimBroken(f"not always: {claim}")

    def missing(self) -> list[str]:
        """Return what was to be true eventually, and is not."""
        return [claim for claim, holds in self.eventually.items() if not holds()]
