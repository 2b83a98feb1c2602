"""Runs the jobs of a store file in this process, as an application would."""

from __future__ import annotations

from collections.abc import Sequence

import triphase
from triphase.entropy import Entropy


class ChosenIds(Entropy):
    """Gives ids that a test chose, the runtime's own first."""

    def __init__(self, *ids: str) -> None:
        super().__init__(seed=1)
        self._ids = ["owner-of-the-test", *ids]

    def id(self) -> str:
        """Return the next one."""
        return self._ids.pop(0)


async def run_jobs(
    types: Sequence[type], jobs: Sequence[object], *ids: str, store: str = "jobs.db"
) -> list[str]:
    """Submit jobs, run them to their ends, and return their ids."""
    entropy = ChosenIds(*ids) if ids else None
    async with triphase.open_runtime(types, store=store, entropy=entropy) as runtime:
        handles = [await runtime.submit(job) for job in jobs]
        await runtime.wait_all([handle.id for handle in handles])
        return [handle.id for handle in handles]


async def finish(types: Sequence[type], store: str = "jobs.db") -> None:
    """Run what is in a store until nothing is left to do."""
    async with triphase.open_runtime(types, store=store) as runtime:
        page = await runtime.find(limit=1000)
        await runtime.wait_all([job.id for job in page.jobs])
