"""`triphase hooks`: look at the deliveries of webhooks, and have them tried again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from triphase_protocol import Hook, HookState, InvalidValue, decode, unstructure

from .acting import act_on_each, asked
from .deliveries import (
    HOOK_STYLES,
    cells_of_hook,
    every_hook,
    hook_of,
    hooks_of,
    job_told_of,
    when,
    when_about,
    where,
)
from .exits import Exit, UsageError
from .humane import counted, lines, local, moment, one_line
from .options import AsJson, WholeNumber
from .places import ANYWHERE, UNSAID, Place, Remote
from .screen import Screen, grid
from .show import drawn_json, section
from .sources import Source, opened

if TYPE_CHECKING:
    from triphase.client import Client

HookId = Annotated[str, Parameter(help="A delivery's id, or the beginning of it.")]
OfJob = Annotated[
    str | None,
    Parameter(
        name="--job",
        help="Only those of this job: its id, or the beginning of it; in full if it was deleted.",
    ),
]

app: Final = cyclopts.App(
    name="hooks", help="Look at the deliveries of webhooks, and have them tried again."
)


@app.command
async def ls(
    *,
    job: OfJob = None,
    state: Annotated[list[HookState] | None, Parameter(negative="")] = None,
    limit: WholeNumber = 20,
    all: Annotated[bool, Parameter(negative="")] = False,
    place: Place = ANYWHERE,
    json: AsJson = False,
) -> int:
    """List deliveries, in the order of the events that they are about.

    In a pipe each line has: id, job, event, where it goes, state, attempts, when it is tried next
    or has ended, the last answer's status, and what went wrong.

    Args:
      job: Only those of this job.
      state: Only those in this state; may be repeated.
      limit: At most so many.
      all: All of them.
      place: Where the jobs are.
      json: Write JSON.
    """
    if limit < 1:
        raise UsageError(f"--limit {limit}: must be 1 or more")
    screen = Screen(json=json)
    async with opened(place, screen.note) as source:
        id = None if job is None else await job_told_of(source, job)
        shown, more = await _show_all(screen, source, id, state or (), None if all else limit)
    text = counted(shown, "delivery", "deliveries") if shown else "no deliveries"
    if source.name is not None:
        text = f"{text} at {source.name}"
    screen.note(f"{text}, and there are more: --limit N or --all shows them" if more else text)
    return Exit.OK


async def _show_all(
    screen: Screen,
    source: Source,
    job: str | None,
    states: Sequence[HookState],
    limit: int | None,
) -> tuple[int, bool]:
    """Show deliveries as they are read; return how many, and whether there are more."""
    table, shown = _table() if screen.drawn else None, 0
    # One more than wanted, to know if there is one.
    found = (
        every_hook(source, job=job, states=states)
        if limit is None
        else every_hook(source, job=job, states=states, page=limit + 1)
    )
    more = False
    async with aclosing(found) as hooks:
        async for hook in hooks:
            if shown == limit:
                more = True
                break
            _show(screen, hook, table)
            shown += 1
    if table is not None and shown:
        screen.draw(table)
    return shown, more


@app.command
async def show(id: HookId, /, *, place: Place = ANYWHERE, json: AsJson = False) -> int:
    """Show one delivery: what has become of it, and what is sent.

    Args:
      id: The delivery's id, or the beginning of it.
      place: Where the jobs are.
      json: Write JSON.
    """
    screen = Screen(json=json)
    async with opened(place, screen.note) as source:
        hook = await hook_of(source, id)
    if screen.json:
        screen.object(unstructure(hook))
    elif screen.drawn:
        screen.draw(*_drawn(hook))
    else:
        for name, value in _facts(hook):
            screen.line([name, value])
        for name, at in _times(hook):
            screen.line([name, moment(at)])
        screen.line(["body", hook.body or "-"])
    return Exit.OK


@app.command
async def redeliver(
    *ids: HookId,
    dead: Annotated[
        bool, Parameter(negative="", help="All that were given up, instead of these ids.")
    ] = False,
    job: OfJob = None,
    remote: Remote = UNSAID,
    json: AsJson = False,
) -> int:
    """Have deliveries tried now, whatever has become of them, and print what they are now.

    Each is sent with the same id and the same body as before. In a pipe each line is as in `hooks
    ls`.

    Args:
      ids: The deliveries' ids, or the beginnings of them.
      dead: All that were given up.
      job: With --dead: only those of this job.
      remote: Whom to ask.
      json: Write JSON.
    """
    command = "hooks redeliver"
    if dead and ids:
        raise UsageError(f"{command}: these ids, or all that are --dead?")
    if not (dead or ids):
        raise UsageError(f"{command}: which delivery? give an id, or --dead")
    if job is not None and not dead:
        raise UsageError(f"{command}: --job is for --dead: an id says which delivery")
    screen = Screen(json=json)

    async def act(client: Client, id: str) -> None:
        _show(screen, await client.redeliver(id))

    async with asked(remote.gateway(command), screen) as source:
        found = await (_dead(source, job) if dead else hooks_of(source, ids))
        if not found:
            screen.note("no delivery was given up")
        return await act_on_each(source, found, screen, act)


async def _dead(source: Source, job: str | None) -> list[str]:
    id = None if job is None else await job_told_of(source, job)
    # All at first: what is given up meanwhile is not tried for ever.
    return [hook.id async for hook in every_hook(source, job=id, states=[HookState.DEAD])]


def _show(screen: Screen, hook: Hook, table: Table | None = None) -> None:
    """Write a line about a delivery, or add it to a table."""
    if screen.json:
        screen.object(unstructure(hook))
    elif screen.drawn:
        cells = [hook.id, hook.job[:8], hook.event, one_line(where(hook))]
        state = Text(hook.state, style=HOOK_STYLES[hook.state])
        fault = Text(one_line(_fault(hook)), style="bright_black")
        if table is None:
            about = f"  {'  '.join(cells[1:])}  {hook.attempts}  {when_about(hook)}  "
            screen.draw_line(Text.assemble((hook.id, "bold"), "  ", state, about, fault))
        else:
            table.add_row(*cells, state, str(hook.attempts), when_about(hook), fault)
    else:
        screen.line(cells_of_hook(hook))


def _fault(hook: Hook) -> str:
    """Return what went wrong, or the last answer's status."""
    return hook.error or ("" if hook.status is None else f"HTTP {hook.status}")


def _table() -> Table:
    # Where it goes and what was said share the room that the others leave.
    columns = grid()
    columns.add_column("id", style="bold", no_wrap=True, min_width=16)
    columns.add_column("job", no_wrap=True, min_width=8)
    columns.add_column("event", no_wrap=True, min_width=13)
    columns.add_column("where", no_wrap=True, overflow="ellipsis", ratio=2)
    columns.add_column("state", no_wrap=True, min_width=9)
    columns.add_column("try", no_wrap=True, justify="right", min_width=3)
    columns.add_column("when", no_wrap=True, justify="right", min_width=7)
    columns.add_column("last", no_wrap=True, overflow="ellipsis", ratio=1)
    return columns


def _facts(hook: Hook) -> list[tuple[str, str]]:
    """Return the lines about a delivery, the times and the body left out."""
    facts = [
        ("id", hook.id),
        ("job", hook.job),
        ("event", hook.event),
        ("seq", str(hook.seq)),
        ("run", str(hook.run)),
        ("url", hook.url),
        ("delivery", hook.delivery),
        ("secret", hook.secret or ""),
        ("state", hook.state),
        ("attempts", str(hook.attempts)),
        ("spent", str(hook.spent) if hook.spent else ""),
        ("status", "" if hook.status is None else str(hook.status)),
        ("error", hook.error or ""),
    ]
    return [(name, value) for name, value in facts if value]


def _times(hook: Hook) -> list[tuple[str, float]]:
    name = "due" if hook.state is HookState.PENDING else "ended"
    times = [("created", hook.created_at), (name, when(hook))]
    return [(name, at) for name, at in times if at is not None]


def _drawn(hook: Hook) -> list[RenderableType]:
    title = Text.assemble(
        (hook.id, "bold"), "  ", hook.event, "  ", (hook.state, f"bold {HOOK_STYLES[hook.state]}")
    )
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(hook):
        if name not in ("id", "event", "state"):
            facts.add_row(Text(f"  {name}", style="bright_black"), one_line(value))
    for name, at in _times(hook):
        facts.add_row(Text(f"  {name}", style="bright_black"), local(at))
    if hook.body is None:
        return [title, facts]
    return [title, facts, *section("body", _body(hook.body))]


def _body(text: str) -> Text:
    try:
        return drawn_json(decode(text))
    except InvalidValue:
        # Somebody else has written it: shown as it is.
        return Text(lines(text))
