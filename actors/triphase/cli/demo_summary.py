"""What `triphase demo` says at its end: as a table, as lines, or as an object."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import attrs
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from triphase_protocol import JobState, Json, PhaseRecord, unstructure

from .demo_jobs import FAILS_ONCE
from .demo_rows import Row, Totals
from .describing import why
from .humane import counted, duration, size
from .screen import Screen

SHORTEST_ID = 4
"""The fewest characters of an id in a hint."""

SHOWN = 3
"""How many names of something the summary shows before it counts the rest."""


@attrs.frozen(kw_only=True)
class Work:
    """What this process did, and what it found done."""

    submitted: int
    """Jobs that are new."""

    recognised: int
    """Jobs that were there, found by their key."""

    finished_before: int
    """Jobs among those that had ended already."""

    phases_executed: int
    """Phases that this process started, repeats included."""

    phases_kept: int
    """Phases whose result was there: they were not run again."""

    elapsed: float
    """Seconds."""


@attrs.frozen(kw_only=True)
class Summary:
    """The demo's outcome."""

    python: str
    rows: Sequence[Row]
    totals: Totals
    work: Work
    index: Path
    """The page with all packages."""

    store: str
    """The store as the user may name it."""

    @property
    def completed(self) -> bool:
        """Did every job complete?"""
        return self.totals.completed == self.totals.packages


def show_summary(screen: Screen, summary: Summary) -> None:
    """Write the summary to stdout."""
    if screen.json:
        screen.object(_object(summary))
        return
    title = (
        f"Python {summary.python}'s standard library: "
        f"{counted(summary.totals.packages, 'package')}, one job of four phases each"
    )
    facts, places, hints = _facts(summary), _places(summary), _hints(summary)
    if screen.drawn:
        screen.draw(_drawn(title, facts, places, hints))
        return
    screen.line([title])
    for name, value in facts + places:
        screen.line([name, value])
    for hint in hints:
        screen.line(["next", hint])


def _facts(summary: Summary) -> list[tuple[str, str]]:
    totals, work = summary.totals, summary.work
    facts = [("jobs", _jobs(summary)), ("phases", _phases(work))]
    facts += [("retried", text) for text in _retried(summary.rows)]
    facts += [
        ("failed", f"{row.name}: {row.job.state.value}, {why(row.job)}")
        for row in summary.rows
        if row.job.state is not JobState.COMPLETED
    ]
    ratio = totals.packed_bytes / totals.bytes if totals.bytes else 1.0
    facts += [
        ("read", f"{counted(totals.files, 'file')}, {counted(totals.lines, 'line')}"),
        (
            "found",
            f"{totals.classes:,} classes, {totals.functions:,} functions "
            f"({totals.async_functions:,} async)",
        ),
    ]
    if totals.longest is not None:
        longest = totals.longest
        place = f"{longest.file}:{longest.line}"
        facts.append(("longest", f"{longest.name}, {longest.lines:,} lines, at {place}"))
    if totals.unparsable:
        names = totals.unparsable[:SHOWN]
        more = len(totals.unparsable) - len(names)
        facts.append(("not Python", ", ".join(names) + (f" and {more} more" if more else "")))
    facts.append(("packed", f"{size(totals.bytes)} to {size(totals.packed_bytes)}, {ratio:.0%}"))
    facts.append(("elapsed", duration(work.elapsed)))
    return facts


def _jobs(summary: Summary) -> str:
    work, totals = summary.work, summary.totals
    parts = [f"{totals.completed - _done_before(summary)} completed now"]
    if work.recognised:
        went_on = work.recognised - work.finished_before
        parts.append(f"{work.recognised} recognised by key from before")
        if went_on:
            parts.append(f"{went_on} of them unfinished then")
    return ", ".join(parts)


def _done_before(summary: Summary) -> int:
    return min(summary.work.finished_before, summary.totals.completed)


def _phases(work: Work) -> str:
    executed = f"{counted(work.phases_executed, 'phase')} executed by this process"
    if not work.phases_kept:
        return executed
    return f"{executed}, {work.phases_kept:,} kept from before and not done again"


def _retried(rows: Sequence[Row]) -> list[str]:
    return [
        f"{row.name}: {phase.name} failed{_planned(row, phase)}, completed on try {phase.attempt}"
        for row in rows
        for phase in row.retried
    ]


def _planned(row: Row, phase: PhaseRecord) -> str:
    return " as planned" if (row.name, phase.name) == (FAILS_ONCE, "compress") else ""


def _places(summary: Summary) -> list[tuple[str, str]]:
    return [("report", _near(summary.index)), ("store", summary.store)]


def _hints(summary: Summary) -> list[str]:
    store = f"--store {shlex.quote(summary.store)}"
    hints = [f"triphase ls {store}"]
    # The job with a retry has most to show.
    shown = next((row for row in summary.rows if row.retried), None) or summary.rows[0]
    others = [row.job.id for row in summary.rows if row is not shown]
    hints.append(f"triphase show {_short(shown.job.id, others)} --events {store}")
    hints.append(f"triphase tail --after 0 --no-follow {store}")
    return hints


def _short(id: str, others: Sequence[str]) -> str:
    """Return the shortest beginning of an id that no other has."""
    for length in range(SHORTEST_ID, len(id)):
        if not any(other.startswith(id[:length]) for other in others):
            return id[:length]
    return id


def _near(path: Path) -> str:
    """Return a path as seen from here, if it is below here."""
    here = Path.cwd()
    return os.fspath(path.relative_to(here) if path.is_relative_to(here) else path)


def _drawn(
    title: str,
    facts: Sequence[tuple[str, str]],
    places: Sequence[tuple[str, str]],
    hints: Sequence[str],
) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        style = {"failed": "red", "retried": "yellow"}.get(name, "")
        grid.add_row(Text(name, style="bright_black"), Text(value, style=style))
    for name, value in places:
        grid.add_row(Text(name, style="bright_black"), Text(value, style="cyan"))
    steps = [Padding(Text(hint, style="bold"), (0, 0, 0, 2), expand=False) for hint in hints]
    return Group(
        Text(title, style="bold"),
        "",
        Padding(grid, (0, 0, 0, 2), expand=False),
        "",
        Text("Look at it:", style="bright_black"),
        *steps,
    )


def _object(summary: Summary) -> Json:
    totals = unstructure(summary.totals)
    return {
        "python": summary.python,
        **totals,
        **unstructure(summary.work),
        "retried": [
            {"package": row.name, "phase": phase.name, "attempts": phase.attempt}
            for row in summary.rows
            for phase in row.retried
        ],
        "report": str(summary.index),
        "store": summary.store,
    }
