"""How the demo shows what its jobs do: told by their events, drawn on stderr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import attrs
import trio
from rich.console import Group
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from triphase_protocol import TERMINAL_EVENTS, Event, EventType, Progress, structure

from .demo_page import PHASES
from .describing import percentage
from .humane import duration, one_line
from .screen import Screen, bar, live, redraw

REDRAW_EVERY = 0.1
"""Seconds between two pictures."""


@attrs.define
class Activity:
    """What one running job does."""

    phase: str
    progress: Progress | None = None

    @property
    def fraction(self) -> float:
        """How much of the phase is done."""
        if self.progress is None or not self.progress.total:
            return 0.0
        return self.progress.done / self.progress.total


@attrs.define
class Board:
    """The demo's jobs at one moment, as the events so far tell it."""

    names: Mapping[str, str]
    """The packages by their job's id."""

    owner: str
    """Who runs jobs in this process: what others did is not counted."""

    pending: set[str]
    """The ids of the jobs that have not ended."""

    began: float
    """When the demo began, by trio's clock."""

    running: dict[str, Activity] = attrs.field(factory=dict[str, Activity])
    """What runs in this process, by id."""

    phases_started: int = 0
    """Phases that this process started, repeats included."""

    phases_completed: int = 0
    """Phases that this process completed."""

    phases_done: int = 0
    """Phases that are completed, whoever did it."""

    _mine: dict[str, int] = attrs.field(factory=dict[str, int])
    _interrupted: set[str] = attrs.field(factory=set[str])

    def apply(self, event: Event) -> str | None:
        """Take in an event; return what to tell about it, if anything."""
        if event.job not in self.names:
            return None
        if event.type is EventType.JOB_STARTED and event.data.get("owner") == self.owner:
            self._mine[event.job] = event.run
        if event.type is EventType.PHASE_INTERRUPTED:
            self._interrupted.add(event.job)
        if event.type is EventType.PHASE_COMPLETED:
            self.phases_done += 1
        if event.type in TERMINAL_EVENTS:
            self.pending.discard(event.job)
        return self._apply_mine(event) if self._mine.get(event.job) == event.run else None

    def _apply_mine(self, event: Event) -> str | None:
        name = self.names[event.job]
        match event.type:
            case EventType.PHASE_STARTED if event.phase is not None:
                self.phases_started += 1
                self.running[event.job] = Activity(event.phase)
                if event.job in self._interrupted:
                    self._interrupted.discard(event.job)
                    return f"{name}: goes on with {event.phase}, where it was interrupted"
            case EventType.PHASE_PROGRESS if event.job in self.running:
                data = {**event.data}
                data.pop("attempt", None)
                self.running[event.job].progress = structure(data, Progress)
            case EventType.PHASE_COMPLETED:
                self.phases_completed += 1
                self.running[event.job].progress = None
            case EventType.PHASE_FAILED:
                error = event.data["error"]
                return (
                    f"{name}: {event.phase} failed on try {event.data['attempt']}: "
                    f"{error['type']}: {error['message']}"
                )
            case EventType.JOB_SCHEDULED:
                self.running.pop(event.job, None)
                wait = float(event.data["due_at"]) - event.at
                return f"{name}: tried again in {duration(wait)}"
            case each if each in TERMINAL_EVENTS:
                self.running.pop(event.job, None)
                ended = len(self.names) - len(self.pending)
                what = event.type.value.removeprefix("job.")
                return f"{ended:>3}/{len(self.names)}  {name} {what}"
            case _:
                pass
        return None


class PlainDisplay:
    """Lines, for a pipe or a log."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put in order."""

    def tell(self, event: Event, text: str) -> None:
        """Write the line."""
        self._screen.note(text)

    def draw(self) -> None:
        """Nothing: only lines are shown."""


class LiveDisplay:
    """A line for each running job and one for all, redrawn in place."""

    def __init__(self, screen: Screen, board: Board) -> None:
        self._board = board
        self._live = live(screen.console(), transient=True)
        self._spinner = Spinner("dots", style="cyan")
        self._drawn_at = -1.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, event: Event, text: str) -> None:
        """Write the line above the picture, unless the picture says it anyway."""
        if event.type is not EventType.JOB_COMPLETED:
            self._live.console.print(Text(one_line(text), style="yellow"))

    def draw(self) -> None:
        """Draw a picture, unless the last one is hardly old."""
        now = trio.current_time()
        if now - self._drawn_at >= REDRAW_EVERY:
            self._drawn_at = now
            redraw(self._live, self._picture(now))

    def _picture(self, now: float) -> Group:
        board = self._board
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=1)
        # Of one width for all the time, so that nothing jumps.
        grid.add_column(width=max(len("all packages"), *map(len, board.names.values())))
        grid.add_column(width=8)
        grid.add_column(width=24)
        grid.add_column(width=5, justify="right")
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for id, activity in sorted(board.running.items(), key=lambda each: board.names[each[0]]):
            message = activity.progress.message if activity.progress else None
            grid.add_row(
                self._spinner,
                Text(one_line(board.names[id]), style="bold"),
                Text(activity.phase, style="cyan"),
                bar(activity.fraction),
                percentage(activity.progress),
                Text(one_line(message or ""), style="bright_black"),
            )
        count = len(board.names)
        ended = count - len(board.pending)
        done = board.phases_done + sum(each.fraction for each in board.running.values())
        grid.add_row(
            "",
            Text("all packages", style="bold"),
            "",
            bar(done / (count * len(PHASES))),
            f"{ended}/{count}",
            Text(duration(now - board.began), style="bright_black"),
        )
        return Group(grid)


def display_for(screen: Screen, board: Board) -> LiveDisplay | PlainDisplay:
    """Return the display that suits stderr: a context manager."""
    return LiveDisplay(screen, board) if screen.lively else PlainDisplay(screen)
