"""`triphase tail`: events, one a line, from the log and as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from triphase_protocol import Event, EventType, unstructure

from .describing import detail_of
from .exits import Exit, UsageError
from .humane import clock, moment, one_line
from .options import AsJson, WholeNumber
from .places import ANYWHERE, Place
from .screen import Screen
from .sources import job_of, opened

RECENT = 20
"""How many of the last events are shown when nothing is followed."""

STYLES = {
    "completed": "green",
    "failed": "red",
    "started": "cyan",
    "progress": "bright_black",
    "cancelled": "magenta",
    "interrupted": "magenta",
    "rejected": "magenta",
    "scheduled": "yellow",
    "delivered": "green",
    "dead": "red",
}
"""The colour of an event, by the last word of its type."""


async def tail(
    *,
    after: WholeNumber | None = None,
    job: str | None = None,
    type: Annotated[list[str] | None, Parameter(negative="")] = None,
    follow: bool = True,
    place: Place = ANYWHERE,
    json: AsJson = False,
) -> int:
    """Show events, and go on showing them as they come until Ctrl-C.

    In a pipe each line has: seq, time, job, type, phase and detail.

    Args:
      after: Begin after the event of this number; 0 begins with the first. Without it, begin
        with the next event, or with the last 20 if nothing is followed.
      job: Only events of this job.
      type: Only events of this type, such as phase.failed; may be repeated.
      follow: Go on as events come.
      place: Where the events are.
      json: Write JSON.
    """
    if after is not None and after < 0:
        raise UsageError(f"--after {after}: must be 0 or more")
    types = _event_types(type or ())
    screen = Screen(json=json)
    async with opened(place, screen.note, lasting=follow) as source:
        id = None if job is None else (await job_of(source, job)).id
        if not follow:
            begin = max(0, await source.head() - RECENT) if after is None else after
            async for event in source.log(begin, id, types):
                write_event(screen, event)
            return Exit.OK
        async for event in source.follow(after, id, types):
            write_event(screen, event)
    raise AssertionError("events come for ever")


def write_event(screen: Screen, event: Event) -> None:
    """Write one event as a line."""
    if screen.json:
        screen.object(unstructure(event))
    elif screen.drawn:
        screen.draw_line(drawn_event(event))
    else:
        screen.line(cells_of(event))


def cells_of(event: Event) -> list[str]:
    """Return an event's cells for a plain line."""
    return [
        str(event.seq),
        moment(event.at),
        event.job,
        event.type,
        event.phase or "-",
        detail_of(event) or "-",
    ]


def drawn_event(event: Event) -> Text:
    """Return an event as a line for a terminal; what does not fit is cut off."""
    return Text.assemble(
        (f"{event.seq:>6}  ", "bright_black"),
        f"{clock(event.at)}  ",
        (f"{event.job[:8]}  ", "bright_black"),
        (f"{event.type:<17}  ", STYLES.get(event.type.rpartition(".")[2], "")),
        f"{one_line(event.phase or ''):<10}  ",
        (one_line(detail_of(event)), "bright_black"),
    )


def _event_types(names: Sequence[str]) -> frozenset[EventType]:
    try:
        return frozenset(EventType(name) for name in names)
    except ValueError as exc:
        known = ", ".join(EventType)
        raise UsageError(f"--type: {exc}; there are: {known}") from exc
