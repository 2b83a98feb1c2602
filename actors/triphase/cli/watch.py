"""`triphase watch`: follow one job until it ends."""

from __future__ import annotations

import time

import trio
from rich.console import Group
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from triphase.store.sqlite import Reader, open_reader
from triphase_protocol import Job, PhaseRecord, PhaseState, outcome_of

from .describing import STATE_STYLES, error_text, job_seconds, percentage, phase_seconds, why
from .exits import exit_of
from .humane import duration, one_line
from .options import DEFAULT_STORE, AsJson, JobId, StorePath, store_at
from .reading import LOOK_EVERY, Changes, current, hint, job_of
from .screen import Screen, bar, live, redraw
from .tail import Log, write_event


async def watch(id: JobId, /, *, store: StorePath = DEFAULT_STORE, json: AsJson = False) -> int:
    """Follow a job until it ends; the exit code is 0 if it completed, 1 if not.

    On a terminal each phase has a progress bar; in a pipe each event is a line.

    Args:
      id: The job's id, or the beginning of it.
      store: The store file.
      json: Write JSON.
    """
    screen, path = Screen(json=json), store_at(store).path
    async with open_reader(path) as reader:
        job = await job_of(reader, id)
        if text := hint([job], path):
            screen.note(text)
        if screen.drawn and screen.lively:
            job = await _watch_bars(screen, reader, job)
        else:
            job = await _watch_events(screen, reader, job)
    outcome = outcome_of(job)
    assert outcome is not None, "a job that is no longer watched has ended"
    return exit_of(outcome)


async def _watch_events(screen: Screen, reader: Reader, job: Job) -> Job:
    """Write the job's events, from its first one to the one that ends it."""
    log, version = Log(reader, 0, job.id), 0
    changes = Changes(reader)
    while True:
        await changes.wait()
        while events := await log.read():
            for event in events:
                write_event(screen, event)
                version = event.version
        job = await current(reader, job.id)
        # It may have ended, or been started anew, since its events were read.
        if job.terminal and version >= job.version:
            return job


async def _watch_bars(screen: Screen, reader: Reader, job: Job) -> Job:
    """Draw the job's phases until it has ended."""
    changes, spinner = Changes(reader), Spinner("dots", style="cyan")
    with live(screen.console()) as picture:
        while True:
            if changes.any():
                job = await current(reader, job.id)
            redraw(picture, _picture(job, spinner, time.time()))
            if job.terminal:
                return job
            await trio.sleep(LOOK_EVERY)


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
