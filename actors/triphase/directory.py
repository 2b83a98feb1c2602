"""Which jobs are active, and the supervisor that their actors live under."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Never

import trio

from triphase_protocol import Job

from .actor import Actor, ActorRef, Mailbox, Supervisor, open_supervisor
from .job_actor import JobActor, JobMessage, Surroundings
from .lifecycle import Effect


class Directory:
    """The active jobs of a runtime: one actor each."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._supervisor: Supervisor | None = None
        self._runs: dict[str, int] = {}
        self._actors: dict[str, ActorRef[JobMessage]] = {}
        self._unborn: dict[str, JobActor] = {}
        """Actors that have been handed their jobs, and have not had a turn."""

        self._claiming: dict[str, trio.Event] = {}
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
        actor = JobActor(self._surroundings, job, effects, lambda: self._forget(job))
        self._actors[job.id] = self._supervisor.start_nowait(
            lambda: self._unborn.pop(job.id),
            name=f"job:{job.id}:{job.run}",
            # A crash puts the job back (`JobActor.stopped`), and its next run gets an actor of
            # its own: a restart here would be a second owner of one run.
            restart="temporary",
        )
        self._unborn[job.id] = actor
        self._runs[job.id] = job.run
        if self._idle.is_set():
            self._idle = trio.Event()

    def actor_of(self, job: str) -> ActorRef[JobMessage] | None:
        """Return the actor of an active job, or None if the job is not active."""
        return self._actors.get(job)

    @contextmanager
    def claiming(self, jobs: Sequence[Job]) -> Generator[None]:
        """Say that these jobs are being claimed: their rows may run before their actors do."""
        settled = trio.Event()
        self._claiming.update(dict.fromkeys((job.id for job in jobs), settled))
        try:
            yield
        finally:
            for job in jobs:
                del self._claiming[job.id]
            settled.set()

    def is_claiming(self, job: str) -> bool:
        """True while the job is being claimed."""
        return job in self._claiming

    async def settled(self, job: str) -> None:
        """Return when the job is not being claimed. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while job in self._claiming:
            await self._claiming[job].wait()

    async def all_settled(self) -> None:
        """Return when none of the jobs is being claimed that are being claimed now. A checkpoint.

        What was decided before this call, by settings that have changed since, has started then.
        """
        await trio.lowlevel.checkpoint()
        # Jobs that are claimed together have one event.
        for settled in dict.fromkeys(self._claiming.values()):
            await settled.wait()

    async def wait_idle(self) -> None:
        """Return when no job is active. A checkpoint."""
        while self._runs:
            await self._idle.wait()
        await trio.lowlevel.checkpoint()

    async def put_back(self) -> None:
        """Put back the jobs whose actors were stopped before their first turn. A checkpoint."""
        while self._unborn:
            _, actor = self._unborn.popitem()
            await actor.stopped()
        await trio.lowlevel.checkpoint()

    def _forget(self, job: Job) -> None:
        if self._runs.get(job.id) == job.run:
            del self._runs[job.id], self._actors[job.id]
        if not self._runs:
            self._idle.set()

    def hurry(self) -> None:
        """Wait for no handler any more. Never waits."""
        self._surroundings.handlers.hurry()

    def attach(self, supervisor: Supervisor | None) -> None:
        """Say where actors are started; None is nowhere."""
        self._supervisor = supervisor


class JobSupervisor(Actor[Never]):
    """Keeps the supervisor of the job actors open while it runs."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def hurry(self) -> None:
        """Have the job actors wait for no handler any more: they put their jobs back."""
        self._directory.hurry()

    async def run(self, mailbox: Mailbox[Never]) -> None:
        """Keep the supervisor open until cancelled; then every job actor puts its job back."""
        async with open_supervisor(name="jobs", ordered=False) as supervisor:
            self._directory.attach(supervisor)
            await mailbox.receive()

    async def stopped(self) -> None:
        """Put back what no job actor has: a supervisor starts nobody that it has stopped."""
        await self._directory.put_back()
