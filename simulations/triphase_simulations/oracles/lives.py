"""The words of a reading: a life of a process, a call of a client, a step of a job."""

from __future__ import annotations

import math

import attrs

from triphase_protocol import Event, JobState
from triphase_simulations.history import Entry


@attrs.define
class Life:
    """One life of a process."""

    lane: str
    started: float
    at: int
    """Its place among the entries, as are the next three."""

    leaving_at: int | None = None
    gone_at: int | None = None
    crashed_at: int | None = None
    opened: float | None = None
    """When it was first seen to answer, or to publish."""

    leaving: float | None = None
    gone: float | None = None
    killed: bool = False
    stayed: bool = False
    """It was there until the run was over."""

    left: tuple[str, ...] = ()
    """The names of the tasks that were there when it left."""

    drained: float | None = None
    """When it was told to start nothing more."""

    @property
    def until(self) -> float:
        """Until when it did its work."""
        if self.crashed_at is not None:
            return -math.inf
        times = (self.leaving, self.gone, self.drained)
        return min((time for time in times if time is not None), default=math.inf)


@attrs.frozen
class Call:
    """Something that a client asked of a process."""

    asked: Entry
    at: int
    life: Life | None
    """The life that it was asked of; None if that was over."""

    answer: Entry | None
    answered_at: int | None

    @property
    def op(self) -> str:
        """What was asked."""
        return str(self.asked.data.get("op"))

    @property
    def name(self) -> str | None:
        """The name of the job that it is about."""
        name = self.asked.data.get("name")
        return None if name is None else str(name)


@attrs.frozen
class Step:
    """An event of a job, and the job's state before and after it."""

    event: Event
    before: JobState | None
    after: JobState | None
