"""`triphase show`: everything about one job."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from rich.console import RenderableType
from rich.highlighter import JSONHighlighter
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from triphase_protocol import Event, Hook, Job, Json, PhaseRecord, Stop, encode, unstructure

from .deliveries import HOOK_STYLES, cells_of_hook, every_hook, where
from .describing import (
    STATE_STYLES,
    error_text,
    job_seconds,
    phase_seconds,
    progress_of,
    since,
    why,
)
from .exits import Exit
from .humane import duration, lines, local, moment, one_line
from .options import AsJson, JobId
from .places import ANYWHERE, Place
from .screen import Screen, grid
from .sources import job_of, opened
from .tail import cells_of, drawn_event


async def show(
    id: JobId,
    /,
    *,
    events: Annotated[bool, Parameter(negative="", help="Add the job's event log.")] = False,
    place: Place = ANYWHERE,
    json: AsJson = False,
) -> int:
    """Show one job: its record, payload, phases, error and result, and where it was told of.

    Args:
      id: The job's id, or the beginning of it.
      events: Add the event log.
      place: Where the job is.
      json: Write JSON.
    """
    screen = Screen(json=json)
    async with opened(place, screen.note) as source:
        job = await job_of(source, id)
        hooks = [hook async for hook in every_hook(source, job=job.id)]
        log = [event async for event in source.log(0, job.id)] if events else []
    if json:
        record = {**unstructure(job), "hooks": unstructure(hooks)}
        screen.object({**record, "events": unstructure(log)} if events else record)
    elif screen.drawn:
        screen.draw(*_drawn(job, time.time()))
        if hooks:
            screen.draw(_deliveries(hooks))
        if log:
            screen.draw(Text("events", style="bold"))
            for event in log:
                screen.draw_line(drawn_event(event))
    else:
        _print(screen, job, hooks, log)
    return Exit.OK


def _facts(job: Job) -> list[tuple[str, str]]:
    """Return the header's lines, the times left out."""
    labels = "  ".join(f"{name}={value}" for name, value in job.labels.items())
    facts = [
        ("queue", job.queue if not job.priority else f"{job.queue}, priority {job.priority}"),
        ("key", job.key or ""),
        ("labels", labels),
        ("run", str(job.run)),
        ("owner", job.owner or ""),
        ("reason", job.reason or ""),
        ("waits", "" if job.gate is None else why(job)),
        ("stop", "" if job.stop is None else _stop_text(job.stop)),
    ]
    return [(name, value) for name, value in facts if value]


def _stop_text(stop: Stop) -> str:
    """Return what a run was stopped for, and how that went."""
    cause = stop.cause if stop.deadline is None else f"{stop.cause} ({stop.deadline})"
    by = "" if stop.by is None else f" by {stop.by}"
    if stop.stopped_at is None or stop.how is None:
        return f"{cause}{by}, {stop.step}"
    return f"{cause}{by}, {stop.how} after {duration(max(0.0, stop.stopped_at - stop.asked_at))}"


def _times(job: Job) -> list[tuple[str, float]]:
    times = [
        ("submitted", job.submitted_at),
        ("due", job.due_at if job.due_at > job.submitted_at else None),
        ("deadline", job.deadline),
        ("queued", job.queued_at),
        ("started", job.started_at),
        ("finished", job.finished_at),
    ]
    return [(name, at) for name, at in times if at is not None]


# In a pipe


def _print(screen: Screen, job: Job, hooks: Sequence[Hook], log: Sequence[Event]) -> None:
    """Write lines of a name, and what it names."""
    screen.line(["id", job.id])
    screen.line(["type", job.type])
    screen.line(["state", job.state])
    for name, value in _facts(job):
        screen.line([name, value])
    for name, at in _times(job):
        screen.line([name, moment(at)])
    screen.line(["payload", _compact(job.payload)])
    now = time.time()
    for phase in job.phases:
        took = phase_seconds(phase, now)
        screen.line(
            [
                "phase",
                phase.name,
                phase.state,
                str(phase.attempt),
                "-" if took is None else f"{took:.3f}",
                progress_of(phase) or "-",
                error_text(phase.error) if phase.error else "-",
            ]
        )
    if job.error is not None:
        screen.line(["error", error_text(job.error)])
        for line in (job.error.traceback or "").splitlines():
            screen.line(["traceback", line])
    if job.result is not None:
        screen.line(["result", _compact(job.result)])
    for hook in hooks:
        id, _, event_type, place, state, attempts, *_, error = cells_of_hook(hook)
        screen.line(["hook", id, event_type, place, state, attempts, error])
    for event in log:
        screen.line(["event", *cells_of(event)])


def _compact(value: Json) -> str:
    return encode(value).decode("utf-8")


# On a terminal


def _drawn(job: Job, now: float) -> list[RenderableType]:
    took = job_seconds(job, now)
    title = Text.assemble(
        (job.id, "bold"),
        "  ",
        one_line(job.type),
        "  ",
        (job.state, f"bold {STATE_STYLES[job.state]}"),
        ("" if took is None else f"  {duration(took)}", "bright_black"),
    )
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(job):
        facts.add_row(Text(f"  {name}", style="bright_black"), one_line(value))
    for name, at in _times(job):
        ago = Text.assemble(local(at), (f"  {since(at)} ago" if at <= now else "", "bright_black"))
        facts.add_row(Text(f"  {name}", style="bright_black"), ago)
    parts: list[RenderableType] = [title, facts, *section("payload", drawn_json(job.payload))]
    parts.append(_phases(job.phases, now))
    error = job.error or next((phase.error for phase in job.phases if phase.error), None)
    if error is not None:
        parts += section("last error", Text(one_line(error_text(error)), style="red"))
        if error.traceback:
            parts.append(_indented(Text(lines(error.traceback), style="bright_black")))
    if job.result is not None:
        parts += section("result", drawn_json(job.result))
    return parts


def section(title: str, content: RenderableType) -> list[RenderableType]:
    """Return a title, and what stands below it."""
    return [Text(title, style="bold"), _indented(content)]


def _indented(content: RenderableType) -> Padding:
    return Padding(content, (0, 0, 0, 2), expand=False)


def drawn_json(value: Json) -> Text:
    """Return JSON with its lines and colours."""
    text = Text(lines(json_module.dumps(value, indent=2, ensure_ascii=False)))
    JSONHighlighter().highlight(text)
    return text


def _phases(phases: Sequence[PhaseRecord], now: float) -> Table:
    table = grid()
    table.add_column("phases", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("try", no_wrap=True, justify="right")
    table.add_column("took", no_wrap=True, justify="right")
    table.add_column("progress", no_wrap=True, justify="right")
    table.add_column("error", overflow="fold", ratio=1)
    for phase in phases:
        took = phase_seconds(phase, now)
        table.add_row(
            f"  {one_line(phase.name)}",
            Text(phase.state, style=STATE_STYLES[phase.state]),
            str(phase.attempt or ""),
            "" if took is None else duration(took),
            progress_of(phase),
            Text(one_line(error_text(phase.error)) if phase.error else "", style="red"),
        )
    return table


def _deliveries(hooks: Sequence[Hook]) -> Table:
    table = grid()
    table.add_column("deliveries", no_wrap=True)
    table.add_column("event", no_wrap=True)
    table.add_column("where", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("tries", no_wrap=True, justify="right")
    table.add_column("error", overflow="fold", ratio=1)
    for hook in hooks:
        table.add_row(
            f"  {hook.id}",
            hook.event,
            one_line(where(hook)),
            Text(hook.state, style=HOOK_STYLES[hook.state]),
            str(hook.attempts),
            Text(one_line(hook.error or ""), style="red"),
        )
    return table
