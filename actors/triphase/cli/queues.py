"""`triphase queue`: look at the queues of a runtime, pause them, and set their limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

import cyclopts
from cyclopts import Parameter
from rich.text import Text

from triphase_protocol import QueueState, unstructure

from .acting import asked
from .exits import Exit
from .humane import one_line
from .options import AsJson, WholeNumber
from .places import UNSAID, Remote
from .screen import Screen

if TYPE_CHECKING:
    from triphase.client import Client

QueueName = Annotated[str, Parameter(help="The queue's name.")]

app: Final = cyclopts.App(
    name="queue", help="Look at the queues of a gateway's runtime, pause them, set their limits."
)


@app.command
async def ls(*, remote: Remote = UNSAID, json: AsJson = False) -> int:
    """List the queues as they are now.

    In a pipe each line has: name, limit, `open` or `paused`, how many of its jobs are queued, and
    how many run.

    Args:
      remote: Whom to ask.
      json: Write JSON.
    """
    screen = Screen(json=json)
    async with asked(remote.gateway("queue ls"), screen) as source:
        _show(screen, await source.client.queue_states())
    return Exit.OK


@app.command
async def pause(name: QueueName, /, *, remote: Remote = UNSAID, json: AsJson = False) -> int:
    """Start none of a queue's jobs until it is resumed; what runs goes on.

    Args:
      name: The queue's name.
      remote: Whom to ask.
      json: Write JSON.
    """
    return await _change("queue pause", name, remote, json, lambda client: client.pause(name))


@app.command
async def resume(name: QueueName, /, *, remote: Remote = UNSAID, json: AsJson = False) -> int:
    """Start a queue's jobs again.

    Args:
      name: The queue's name.
      remote: Whom to ask.
      json: Write JSON.
    """
    return await _change("queue resume", name, remote, json, lambda client: client.resume(name))


@app.command
async def limit(
    name: QueueName,
    n: WholeNumber | None = None,
    /,
    *,
    remote: Remote = UNSAID,
    json: AsJson = False,
) -> int:
    """Set how many of a queue's jobs may run at once; what runs goes on.

    Args:
      name: The queue's name.
      n: How many; without it, what the program declares that runs the jobs.
      remote: Whom to ask.
      json: Write JSON.
    """
    return await _change(
        "queue limit", name, remote, json, lambda client: client.set_limit(name, n)
    )


async def _change(
    command: str,
    name: str,
    remote: Remote,
    json: bool,
    change: Callable[[Client], Awaitable[None]],
) -> int:
    """Change a queue, and write what it is now."""
    screen = Screen(json=json)
    async with asked(remote.gateway(command), screen) as source:
        await change(source.client)
        _show(screen, {name: (await source.client.queue_states())[name]})
    return Exit.OK


def _show(screen: Screen, queues: Mapping[str, QueueState]) -> None:
    for name, queue in sorted(queues.items()):
        state = "paused" if queue.paused else "open"
        if screen.json:
            screen.object({"name": name, **unstructure(queue)})
        elif screen.drawn:
            style = "yellow" if queue.paused else "green"
            limit = (f"/{queue.limit:<6}", "bright_black")
            counts = f"{queue.running:>6}", limit, f"{queue.queued:>8,} queued  "
            screen.draw_line(Text.assemble(*counts, (f"{state:<6}", style), f"  {one_line(name)}"))
        else:
            cells = [name, str(queue.limit), state, str(queue.queued), str(queue.running)]
            screen.line(cells)
