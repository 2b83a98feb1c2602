"""Jobs with deliveries, for the tests of what every store must do with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triphase.store import Claim, Delete, NewHook, Step, Store, Submit
from triphase_protocol import Hook, HookState, Job, Json, decode

from . import building
from .building import applied, hooked

PENDING, DELIVERED, DEAD = HookState.PENDING, HookState.DELIVERED, HookState.DEAD


def to(id: str, event: int = -1, *, url: str | None = None, **fields: Any) -> NewHook:
    """A delivery of an operation's event, its last one by default, to a URL of its own."""
    return NewHook(id=id, event=event, url=url or f"https://example.org/{id}", **fields)


async def first(store: Store, operation: Submit | Step | Claim | Delete) -> Job:
    """Write an operation that must be applied, and return the job."""
    [result] = await store.write([operation])
    return applied(result).job


async def submitted(store: Store, id: str = "a", *hooks: NewHook) -> tuple[Job, Hook]:
    """Submit a job with deliveries, one by default; return it and the first of them."""
    made = hooks or (to(f"hook of {id}"),)
    job = await first(store, hooked(building.submit(id), *made))
    hook = await store.hook(made[0].id)
    assert hook is not None
    return job, hook


async def row(store: Store, id: str) -> Hook:
    """Return a row that must be there."""
    hook = await store.hook(id)
    assert hook is not None
    return hook


def content(hook: Hook) -> dict[str, Json]:
    """Return what is in a row's body, which must have been read."""
    assert hook.body is not None
    found: dict[str, Json] = decode(hook.body)
    return found


def data_in(hook: Hook) -> Any:
    """Return the `data` in a row's body."""
    return content(hook)["data"]


async def data(store: Store, id: str) -> Any:
    """Return the `data` in the body of a row that must be there."""
    return data_in(await row(store, id))


def ids(hooks: Sequence[Hook]) -> list[str]:
    """Return the ids of rows."""
    return [hook.id for hook in hooks]
