"""How far a simulation is: a bar on a terminal, a line for each suite in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any, Final, Self

import attrs

from triphase.cli.humane import counted, duration, lines
from triphase.cli.screen import Screen, bar, live, redraw

REDRAW_EVERY: Final = 0.1
"""Seconds between two pictures."""


@attrs.define
class Course:
    """How far it is."""

    total: int
    """Scenarios of all suites."""

    began: float = attrs.field(factory=time.monotonic)
    suite: str = ""
    done: int = 0
    failed: int = 0
    replays: int = 0
    """Runs that shrinking a failure has taken so far; 0 if none is shrunk now."""

    def words(self) -> str:
        """Return it as a line."""
        spent = time.monotonic() - self.began
        parts = [f"{self.done:,}/{self.total:,}", self.suite]
        if self.replays:
            parts.append(f"makes a failure small: {counted(self.replays, 'run')}")
        elif spent > 0:
            parts.append(f"{self.done / spent:,.0f}/s")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return "  ".join([*parts, duration(spent)])


@attrs.frozen
class _Picture:
    """The bar and its words, side by side, as rich asks what is drawn."""

    course: Course

    def __rich_console__(self, console: object, options: object) -> Iterator[Any]:
        yield bar(self.course.done / max(self.course.total, 1))
        yield f"  {self.course.words()}"


class PlainProgress:
    """Lines, for a pipe or a log."""

    def __init__(self, screen: Screen, total: int) -> None:
        self._screen = screen
        self.course = Course(total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put in order."""

    def begin(self, suite: str, scenarios: int) -> None:
        """Say which suite is next."""
        self.course.suite = suite
        self._screen.note(f"{suite}: {counted(scenarios, 'scenario')} …")

    def count(self, *, failed: bool) -> None:
        """One more scenario was run."""
        self.course.done += 1
        self.course.failed += failed

    def shrinking(self, replays: int) -> None:
        """A failure is made small; 0 is the end of it."""
        self.course.replays = replays

    def tell(self, text: str) -> None:
        """Write a text of several lines."""
        print(lines(text), file=sys.stderr, flush=True)


class LiveProgress(PlainProgress):
    """A bar, redrawn in place."""

    def __init__(self, screen: Screen, total: int) -> None:
        super().__init__(screen, total)
        self._live = live(screen.console(), transient=True)
        self._drawn_at = -REDRAW_EVERY

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, suite: str, scenarios: int) -> None:
        """Show which suite is next."""
        self.course.suite = suite
        self._draw()

    def count(self, *, failed: bool) -> None:
        """One more scenario was run."""
        super().count(failed=failed)
        self._draw()

    def shrinking(self, replays: int) -> None:
        """A failure is made small; 0 is the end of it."""
        super().shrinking(replays)
        self._draw()

    def tell(self, text: str) -> None:
        """Write a text above the bar; its lines are the terminal's to break."""
        self._live.console.print(lines(text), soft_wrap=True)

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn_at >= REDRAW_EVERY:
            self._drawn_at = now
            redraw(self._live, _Picture(self.course))


def progress_for(screen: Screen, total: int) -> PlainProgress:
    """Return the progress that suits stderr: a context manager."""
    return LiveProgress(screen, total) if screen.lively else PlainProgress(screen, total)
