"""What is said of an id that no job has."""

from __future__ import annotations

from triphase_protocol import JobGone, JobNotFound

from .store.backend import Store


async def missing(store: Store, id: str) -> JobNotFound:
    """Return the error for an id that no job has: was there one, or never? A checkpoint."""
    if await store.gone(id):
        return JobGone(f"job {id!r} was deleted, some time after its end")
    return JobNotFound(f"there is no job {id!r}")
