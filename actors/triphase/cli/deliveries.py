"""Deliveries of webhooks: how the commands find them, and what a line says of one."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit

from triphase.store.backend import PAGE_MOST
from triphase_protocol import AmbiguousId, Hook, HookNotFound, HookState, JobNotFound

from .describing import since
from .humane import duration, moment
from .sources import CANDIDATES, Source, job_of

HOOK_STYLES: Final[Mapping[HookState, str]] = {
    HookState.PENDING: "yellow",
    HookState.DELIVERED: "green",
    HookState.DEAD: "red",
}
"""The colour of each state of a delivery, in every table."""


async def every_hook(
    source: Source,
    *,
    job: str | None = None,
    states: Sequence[HookState] = (),
    page: int = PAGE_MOST,
) -> AsyncGenerator[Hook]:
    """Return the deliveries that there are, without what is sent, page by page.

    Args:
      source: where they are.
      job: only those of this job.
      states: only those in one of these states.
      page: how many are read at once.
    """
    after, most = None, min(page, PAGE_MOST)
    while True:
        found = await source.hooks(job=job, states=states, after=after, limit=most)
        for hook in found:
            yield hook
        if len(found) < most:
            return
        after = found[-1].place


async def hooks_of(source: Source, prefixes: Iterable[str]) -> list[str]:
    """Return the ids that are, or begin with, each of some prefixes; each id once.

    What is no id in full costs a look at every delivery.

    Raises:
      HookNotFound: if there is none.
      AmbiguousId: if there are several.
    """
    # An id in full is found even if it is also the beginning of another.
    ids = {each: [each] if await source.hook(each) else [] for each in dict.fromkeys(prefixes)}
    # An empty prefix would fit every one.
    wanted = {prefix: found for prefix, found in ids.items() if prefix and not found}
    if wanted:
        async with aclosing(every_hook(source)) as hooks:
            async for hook in hooks:
                for prefix, found in wanted.items():
                    if hook.id.startswith(prefix) and len(found) <= CANDIDATES:
                        found.append(hook.id)
    return list(dict.fromkeys(_only(prefix, found) for prefix, found in ids.items()))


def _only(prefix: str, found: Sequence[str]) -> str:
    if not found:
        raise HookNotFound(f"there is no delivery {prefix!r}")
    if len(found) > 1:
        shown = ", ".join(found[:CANDIDATES])
        more = ", …" if len(found) > CANDIDATES else ""
        raise AmbiguousId(f"{prefix!r} is the beginning of several ids: {shown}{more}")
    return found[0]


async def hook_of(source: Source, prefix: str) -> Hook:
    """Return the one delivery whose id is, or begins with, *prefix*, with what is sent.

    Raises:
      HookNotFound: if there is none.
      AmbiguousId: if there are several.
    """
    if not prefix.isascii():
        raise HookNotFound(f"there is no delivery {prefix!r}")
    [id] = await hooks_of(source, [prefix])
    hook = await source.hook(id)
    if hook is None:
        raise HookNotFound(f"delivery {id} is no longer in the store")
    return hook


async def job_told_of(source: Source, prefix: str) -> str:
    """Return the id of the one job that a prefix means: also of a deleted one, if it is whole.

    Raises:
      JobNotFound: if there is none.
      AmbiguousId: if there are several.
    """
    try:
        return (await job_of(source, prefix)).id
    except JobNotFound:
        # What is left of a job that was deleted are its deliveries.
        if prefix.isascii() and await source.hooks(job=prefix, states=(), after=None, limit=1):
            return prefix
        raise


def where(hook: Hook) -> str:
    """Return where a delivery goes: the host, and how the path begins.

    The rest may be a secret, and often is.
    """
    parts = urlsplit(hook.url)
    first, slash, rest = parts.path.removeprefix("/").partition("/")
    more = "/…" if slash or rest else ""
    return f"{parts.netloc}/{first}{more}"


def when(hook: Hook) -> float | None:
    """Return when a delivery is tried next, or when it has ended."""
    return hook.due_at if hook.state is HookState.PENDING else hook.ended_at


def when_about(hook: Hook) -> str:
    """Return the same for a person: `due`, `in 20 s`, `5 m ago`."""
    at = when(hook)
    if at is None:
        return ""
    if hook.state is not HookState.PENDING:
        return f"{since(at)} ago"
    wait = at - time.time()
    return f"in {duration(wait)}" if wait > 0 else "due"


def cells_of_hook(hook: Hook) -> list[str]:
    """Return a delivery's cells for a plain line."""
    return [
        hook.id,
        hook.job,
        hook.event,
        where(hook),
        hook.state,
        str(hook.attempts),
        moment(when(hook)),
        "-" if hook.status is None else str(hook.status),
        hook.error or "-",
    ]
