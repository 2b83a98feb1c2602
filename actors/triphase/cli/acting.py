"""What the commands share that ask a gateway for something."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rich.text import Text

from triphase_protocol import Job, TriphaseError, unstructure

from .describing import STATE_STYLES, why
from .exits import Exit, UsageError, exit_for
from .humane import one_line
from .places import Gateway, Remote
from .screen import Screen
from .sources import jobs_of

if TYPE_CHECKING:
    from triphase.client import Client

    from .gateway_source import GatewaySource


@asynccontextmanager
async def asked(gateway: Gateway, screen: Screen) -> AsyncGenerator[GatewaySource]:
    """Connect to a gateway, to ask it something once: a lost connection is an error."""
    # Not at the top: the command line begins without a WebSocket.
    from .gateway_source import open_gateway

    async with open_gateway(gateway, screen.note) as source:
        yield source


async def act_on_all(
    command: str,
    ids: Sequence[str],
    remote: Remote,
    screen: Screen,
    act: Callable[[Client, str], Awaitable[None]],
) -> Exit:
    """Do something with each of some jobs, also if it cannot be done with one of them.

    Args:
      command: the command's name, for errors.
      ids: ids of jobs, or beginnings of them; nothing is done unless there are all of them.
      remote: the gateway.
      screen: where errors go, a line each.
      act: does it, and prints what came of it.

    Returns:
      The code of the first error.

    Raises:
      TriphaseError: if a job does not exist, or the gateway cannot be reached.
    """
    if not ids:
        raise UsageError(f"{command}: which job? give an id")
    async with asked(remote.gateway(command), screen) as source:
        return await act_on_each(source, await jobs_of(source, ids), screen, act)


async def act_on_each(
    source: GatewaySource,
    ids: Iterable[str],
    screen: Screen,
    act: Callable[[Client, str], Awaitable[None]],
) -> Exit:
    """Do something with each of what these ids in full are of; see `act_on_all`.

    Raises:
      TriphaseError: if the gateway cannot be reached any more.
    """
    code = Exit.OK
    for id in ids:
        try:
            await act(source.client, id)
        except TriphaseError as exc:
            if exit_for(exc) is Exit.UNREACHABLE:
                raise
            screen.note(f"triphase: {exc}")
            code = code or exit_for(exc)
    return code


def show_changed(screen: Screen, job: Job) -> None:
    """Write what has become of a job."""
    if screen.json:
        screen.object(unstructure(job))
    elif screen.drawn:
        screen.draw_line(
            Text.assemble(
                (job.id, "bold"),
                "  ",
                (f"{job.state:<9}", STATE_STYLES[job.state]),
                f"  {one_line(job.type)}",
                (f"  {one_line(why(job))}", "bright_black"),
            )
        )
    else:
        screen.line([job.id, job.state, job.type, why(job) or "-"])
