"""`triphase ls`: jobs, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import attrs
from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from triphase.store.backend import PAGE_MOST, Query
from triphase_protocol import Job, JobState, unstructure

from .describing import STATE_STYLES, place_of, since, why
from .exits import Exit, UsageError
from .humane import counted, moment, one_line
from .options import AsJson, Labels, WholeNumber, labels_from
from .places import ANYWHERE, Place
from .screen import Screen, grid
from .sources import Source, opened


async def ls(
    *,
    state: Annotated[list[JobState] | None, Parameter(negative="")] = None,
    type: Annotated[list[str] | None, Parameter(negative="")] = None,
    queue: Annotated[list[str] | None, Parameter(negative="")] = None,
    label: Labels = None,
    limit: WholeNumber = 20,
    all: Annotated[bool, Parameter(negative="")] = False,
    place: Place = ANYWHERE,
    json: AsJson = False,
) -> int:
    """List jobs, the last submitted first.

    In a pipe each line has: id, type, state, how far, when it was submitted, and why.

    Args:
      state: Only jobs in this state; may be repeated.
      type: Only jobs of this type; may be repeated.
      queue: Only jobs in this queue; may be repeated.
      label: Only jobs with this label.
      limit: At most so many.
      all: All of them.
      place: Where the jobs are.
      json: Write JSON.
    """
    if limit < 1:
        raise UsageError(f"--limit {limit}: must be 1 or more")
    screen = Screen(json=json)
    query = Query(
        states=tuple(state or ()),
        types=tuple(type or ()),
        queues=tuple(queue or ()),
        labels=labels_from(label),
    )
    async with opened(place, screen.note) as source:
        shown, more = await _show_all(screen, source, query, None if all else limit)
        corrupt = await source.corrupt() if shown else 0
    if corrupt:
        screen.note(f"{counted(corrupt, 'row')} of the store cannot be read back")
    screen.note(_summary(shown, more, source.name))
    return Exit.OK


async def _show_all(
    screen: Screen, source: Source, query: Query, limit: int | None
) -> tuple[int, bool]:
    """Show what a query finds, page by page; return how many, and whether there are more."""
    table = _table() if screen.drawn else None
    shown = 0
    while True:
        # One more than wanted, to know if there is one.
        wanted = PAGE_MOST if limit is None else min(limit - shown + 1, PAGE_MOST)
        page = await source.find(attrs.evolve(query, limit=wanted))
        more = limit is not None and shown + len(page) > limit
        jobs = page[:-1] if more else page
        _show(screen, table, jobs)
        shown += len(jobs)
        if more or len(page) < wanted:
            break
        query = attrs.evolve(query, after=page[-1].id)
    if table is not None and shown:
        screen.draw(table)
    return shown, more


def _show(screen: Screen, table: Table | None, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if screen.json:
            screen.object(unstructure(job))
        elif table is not None:
            table.add_row(
                job.id,
                one_line(job.type),
                Text(job.state, style=STATE_STYLES[job.state]),
                one_line(place_of(job)),
                since(job.submitted_at),
                Text(one_line(why(job)), style="red" if job.error else "bright_black"),
            )
        else:
            submitted = moment(job.submitted_at)
            screen.line([job.id, job.type, job.state, place_of(job), submitted, why(job)])


def _table() -> Table:
    # The last column gets the room that the others leave.
    columns = grid()
    columns.add_column("id", style="bold", no_wrap=True, min_width=16)
    columns.add_column("type", no_wrap=True)
    columns.add_column("state", no_wrap=True, min_width=9)
    columns.add_column("phases", no_wrap=True)
    columns.add_column("age", no_wrap=True, justify="right", min_width=4)
    columns.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    return columns


def _summary(shown: int, more: bool, where: str | None) -> str:
    text = counted(shown, "job") if shown else "no jobs"
    if where is not None:
        text = f"{text} at {where}"
    return f"{text}, and there are more: --limit N or --all shows them" if more else text
