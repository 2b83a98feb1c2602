"""`triphase watch`: follow one job until it ends."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Final

import attrs
import trio
from rich.console import Group
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from triphase_protocol import TERMINAL_EVENTS, EventType, Job, PhaseRecord, PhaseState, outcome_of

from .describing import STATE_STYLES, error_text, job_seconds, percentage, phase_seconds, why
from .exits import exit_of
from .humane import duration, one_line
from .options import AsJson, JobId
from .places import ANYWHERE, Place
from .screen import Screen, bar, live, redraw
from .sources import Source, current, job_of, opened
from .tail import write_event
from .tasks import open_tasks

REDRAW_EVERY: Final = 0.1
"""Seconds between two pictures."""

LAST_EVENTS: Final = TERMINAL_EVENTS | {EventType.JOB_STALE, EventType.JOB_DELETED}
"""Events after which nothing more may come."""


async def watch(id: JobId, /, *, place: Place = ANYWHERE, json: AsJson = False) -> int:
    """Follow a job until it ends; the exit code is 0 if it completed, 1 if not.

    On a terminal each phase has a progress bar; in a pipe each event is a line.

    Args:
      id: The job's id, or the beginning of it.
      place: Where the job is.
      json: Write JSON.
    """
    screen = Screen(json=json)
    async with opened(place, screen.note, lasting=True) as source:
        job = await job_of(source, id)
        if text := source.hint([job]):
            screen.note(text)
        if screen.drawn and screen.lively:
            job = await _watch_bars(screen, source, job)
        else:
            job = await _watch_events(screen, source, job)
    outcome = outcome_of(job)
    assert outcome is not None, "a job that is no longer watched has ended"
    return exit_of(outcome)


async def _watch_events(screen: Screen, source: Source, job: Job) -> Job:
    """Write the job's events, from its first one to the one that ends it."""
    async with aclosing(source.follow(0, job.id)) as events:
        async for event in events:
            write_event(screen, event)
            if event.type in LAST_EVENTS:
                job = await current(source, job.id)
            # It may have been started anew, or marked, since this event.
            if job.terminal and event.version >= job.version:
                return job
    raise AssertionError("events come for ever")


async def _watch_bars(screen: Screen, source: Source, job: Job) -> Job:
    """Draw the job's phases until it has ended."""
    seen, spinner = Seen(job), Spinner("dots", style="cyan")
    with live(screen.console()) as picture:
        async with open_tasks() as nursery:
            nursery.start_soon(seen.follow, source)
            while True:
                job = seen.job
                redraw(picture, _picture(job, spinner, time.time()))
                if job.terminal:
                    break
                await trio.sleep(REDRAW_EVERY)
            nursery.cancel_scope.cancel(reason="the job has ended")
    return job


@attrs.define
class Seen:
    """What is known of a job."""

    job: Job

    async def follow(self, source: Source) -> None:
        """Keep it as it is, for ever. A checkpoint."""
        async for job in source.records(self.job.id):
            self.job = job


def _picture(job: Job, spinner: Spinner, now: float) -> Group:
    took = job_seconds(job, now)
    title = Text.assemble(
        (job.id, "bold"),
        "  ",
        one_line(job.type),
        "  ",
        (job.state, f"bold {STATE_STYLES[job.state]}"),
        ("" if took is None else f"  {duration(took)}", "bright_black"),
        (f"  {one_line(why(job))}", "red" if job.error else "bright_black"),
        no_wrap=True,
        overflow="ellipsis",
    )
    grid = Table.grid(padding=(0, 1))
    for column in range(6):
        right = column in (3, 4)
        # A fixed place for the numbers, so that nothing jumps.
        grid.add_column(
            no_wrap=True, justify="right" if right else "left", min_width=6 if right else None
        )
    for phase in job.phases:
        took = phase_seconds(phase, now)
        grid.add_row(
            spinner if phase.state is PhaseState.RUNNING else _sign(phase),
            one_line(phase.name),
            bar(_fraction(phase)),
            "" if took is None else duration(took),
            percentage(phase.progress) if phase.state is PhaseState.RUNNING else "",
            _remark(phase),
        )
    return Group(title, grid)


def _sign(phase: PhaseRecord) -> Text:
    signs = {PhaseState.PENDING: "·", PhaseState.COMPLETED: "✓"}
    return Text(signs.get(phase.state, "✗"), style=STATE_STYLES[phase.state])


def _fraction(phase: PhaseRecord) -> float:
    if phase.state is PhaseState.COMPLETED:
        return 1.0
    progress = phase.progress
    return progress.done / progress.total if progress and progress.total else 0.0


def _remark(phase: PhaseRecord) -> Text:
    text, style = "", "bright_black"
    if phase.error is not None:
        text, style = error_text(phase.error), "red"
    elif phase.state is PhaseState.RUNNING and phase.progress is not None:
        text = phase.progress.message or ""
    if phase.attempt > 1:
        text = f"try {phase.attempt}  {text}"
    return Text(one_line(text), style=style, no_wrap=True, overflow="ellipsis")
