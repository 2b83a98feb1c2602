"""`triphase cancel` and `triphase retry`: end jobs, and start them over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .acting import act_on_all, show_changed
from .options import AsJson, JobId
from .places import UNSAID, Remote
from .screen import Screen

if TYPE_CHECKING:
    from triphase.client import Client


async def cancel(
    *ids: JobId, reason: str | None = None, remote: Remote = UNSAID, json: AsJson = False
) -> int:
    """Cancel jobs, and print what they are now.

    A job that runs is `stopping` at first: `triphase wait` returns when it has stopped. In a pipe
    each line has: id, state, type and why.

    Args:
      ids: The jobs' ids, or the beginnings of them.
      reason: Why, for people.
      remote: Whom to ask.
      json: Write JSON.
    """
    screen = Screen(json=json)

    async def act(client: Client, id: str) -> None:
        show_changed(screen, await client.cancel(id, reason=reason))

    return await act_on_all("cancel", ids, remote, screen, act)


async def retry(
    *ids: JobId,
    from_phase: Annotated[str | None, Parameter(name="--from")] = None,
    remote: Remote = UNSAID,
    json: AsJson = False,
) -> int:
    """Start jobs over that have ended, and print what they are now.

    What the phases before have returned is kept. In a pipe each line has: id, state, type and why.

    Args:
      ids: The jobs' ids, or the beginnings of them.
      from_phase: The phase to start from; without it the first that has not completed.
      remote: Whom to ask.
      json: Write JSON.
    """
    screen = Screen(json=json)

    async def act(client: Client, id: str) -> None:
        show_changed(screen, await client.retry(id, from_phase=from_phase))

    return await act_on_all("retry", ids, remote, screen, act)
