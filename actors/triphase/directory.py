"""Which jobs are active, and the supervisor that their actors live under."""

from __future__ import annotations

from typing import Never

import trio

from triphase_protocol import Job

from .actor import Actor, Mailbox, Supervisor, open_supervisor
from .job_actor import JobActor, Surroundings
from .lifecycle import Effect


class Directory:
    """The active jobs of a runtime: one actor each."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._supervisor: Supervisor | None = None
        self._runs: dict[str, int] = {}
        self._idle = trio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, job: str) -> bool:
        return job in self._runs

    def start(self, job: Job, effects: tuple[Effect, ...]) -> None:
        """Start the actor of a job that has just been claimed. Never waits.

        Raises:
          ActorStopped: if the supervisor is closing. The row stays as it is, and the
            reconciler, or the next open, finds it.
        """
        assert self._supervisor is not None, "the job supervisor has not been started"
        self._supervisor.start_nowait(
            lambda: JobActor(self._surroundings, job, effects, lambda: self._forget(job)),
            name=f"job:{job.id}:{job.run}",
            # A crash puts the job back (`JobActor.stopped`), and its next run gets an actor of
            # its own: a restart here would be a second owner of one run.
            restart="temporary",
        )
        self._runs[job.id] = job.run
        self._idle = trio.Event()

    async def wait_idle(self) -> None:
        """Return when no job is active. A checkpoint."""
        while self._runs:
            await self._idle.wait()
        await trio.lowlevel.checkpoint()

    def _forget(self, job: Job) -> None:
        if self._runs.get(job.id) == job.run:
            del self._runs[job.id]
        if not self._runs:
            self._idle.set()

    def attach(self, supervisor: Supervisor | None) -> None:
        """Say where actors are started; None is nowhere."""
        self._supervisor = supervisor


class JobSupervisor(Actor[Never]):
    """Keeps the supervisor of the job actors open while it runs."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def run(self, mailbox: Mailbox[Never]) -> None:
        """Keep the supervisor open until cancelled; then every job actor puts its job back."""
        async with open_supervisor(name="jobs", ordered=False) as supervisor:
            self._directory.attach(supervisor)
            await mailbox.receive()
