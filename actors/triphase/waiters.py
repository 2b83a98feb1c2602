"""Who waits for which job to end: woken by its last commit, with its record. Nobody polls."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio

from triphase_protocol import Job


@attrs.define(eq=False)
class Wait:
    """The tasks that wait for one job."""

    woken: trio.Event = attrs.field(factory=trio.Event)
    tasks: int = 0

    job: Job | None = None
    """Its record when it had ended; None if the runtime closed before."""


class Waiters:
    """The waiting tasks of a runtime, by job."""

    def __init__(self) -> None:
        self._waits: dict[str, Wait] = {}
        self._closed = False

    def __len__(self) -> int:
        return sum(wait.tasks for wait in self._waits.values())

    def enter(self, job: str) -> Wait:
        """Begin to wait; read the record only then, so that an end in between is not missed."""
        wait = self._waits.setdefault(job, Wait())
        wait.tasks += 1
        if self._closed:
            wait.woken.set()
        return wait

    def leave(self, job: str, wait: Wait) -> None:
        """Stop waiting. Call it once for every `enter`."""
        wait.tasks -= 1
        # A job that ended meanwhile has left the table, and may have come back with a new run.
        if not wait.tasks and self._waits.get(job) is wait:
            del self._waits[job]

    def publish(self, jobs: Sequence[Job]) -> None:
        """Wake who waits for a job that has just ended. Never waits."""
        for job in jobs:
            if job.terminal and job.id in self._waits:
                wait = self._waits.pop(job.id)
                wait.job = job
                wait.woken.set()

    def close(self) -> None:
        """Wake everybody; nothing more will come."""
        self._closed = True
        for wait in self._waits.values():
            wait.woken.set()
