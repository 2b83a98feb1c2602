"""What a handler is given: who it is, what came before, and how to tell how far it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import trio

from triphase_protocol import InvalidValue, Job, PhaseState, Progress, UnknownPhase, structure

from .definition import Definition
from .phases import Phase

R = TypeVar("R")


class Context:
    """Passed to every handler; belongs to one try of one phase."""

    def __init__(
        self,
        definition: Definition,
        job: Job,
        index: int,
        report: Callable[[Progress], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._definition = definition
        self._job = job
        self._record = job.phases[index]
        self._report = report
        self._stopping = stopping

    def __repr__(self) -> str:
        return f"<Context of {self._job.type} {self.job_id}: {self.phase}, attempt {self.attempt}>"

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.id

    @property
    def run(self) -> int:
        """The number of this run: with `job_id`, a fencing token for outside systems."""
        return self._job.run

    @property
    def phase(self) -> str:
        """The name of the phase."""
        return self._record.name

    @property
    def attempt(self) -> int:
        """The number of this try of the phase: 1 for the first."""
        return self._record.attempt

    @property
    def stop_requested(self) -> bool:
        """True once this try should stop: it was cancelled, or its time has passed.

        A plain `def` phase runs in a thread, which cannot be stopped from outside: look at this
        now and then, and return. What is returned then is dropped. An `async def` phase need
        not look: it is cancelled.
        """
        return self._stopping()

    @property
    def idempotency_key(self) -> str:
        """A key that is the same for every try of this phase of this job.

        A phase starts at least once; give this to an outside system that can tell a repeat.
        """
        return f"{self._job.id}:{self._record.name}"

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that the job was submitted with."""
        return dict(self._job.labels)

    def result_of(self, phase: Phase[R]) -> R:
        """Return the result of an earlier phase of this job, in its declared type.

        Args:
          phase: read from the class: `ctx.result_of(Transcode.fetch)`.

        Raises:
          UnknownPhase: if the phase is not of this job type, or has not completed.
          InvalidValue: if the stored result no longer has the declared type.
        """
        # By name, so that a phase read from a subclass or a reloaded class is still found.
        self._definition.phase(phase.name)
        for record in self._job.phases:
            if record.name == phase.name and record.state is PhaseState.COMPLETED:
                declared: Any = self._definition.result_type(phase.name)
                value: R = structure(record.result, declared)
                return value
        raise UnknownPhase(f"phase {phase.name!r} of job {self._job.id} has not completed")

    async def progress(
        self, done: float, *, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell how far the phase has come. The latest wins: not every call becomes an event.

        A checkpoint. It does not wait until the progress is durable.

        Args:
          done: how much is done, in a unit of your own.
          total: how much there is in all, or None if nobody knows.
          message: what is going on, for people.

        Raises:
          InvalidValue: if a number is not finite, or *total* is negative.
        """
        self._report(_checked(done, total, message))
        await trio.lowlevel.checkpoint()

    def progress_nowait(
        self, done: float, *, total: float | None = None, message: str | None = None
    ) -> None:
        """Like `progress`, for a plain `def` phase in its thread; never waits."""
        self._report(_checked(done, total, message))


def _checked(done: float, total: float | None, message: str | None) -> Progress:
    for name, value in (("done", done), ("total", total)):
        if value is not None and not math.isfinite(value):
            raise InvalidValue(f"progress: {name}={value!r} is not a finite number")
    if total is not None and total < 0:
        raise InvalidValue(f"progress: total={total!r} is negative")
    if message is not None and not message.isascii():
        message = message.encode("utf-8", "backslashreplace").decode("utf-8")
    return Progress(
        done=float(done), total=None if total is None else float(total), message=message
    )
