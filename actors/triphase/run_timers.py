"""When the actor of a run has to do something by itself: trio's times, or infinity."""

from __future__ import annotations

import math
from typing import Any

import attrs

from triphase_protocol import Deadline, ErrorRecord, Timeouts

from .phases import Phase


@attrs.define(eq=False)
class RunTimers:
    """The times of one run."""

    flush: float = math.inf
    """Record the progress."""

    harder: float = math.inf
    """The handler was asked to stop, and has not: cancel it."""

    abandon: float = math.inf
    """The grace of a handler that was cancelled is over."""

    limits: dict[Deadline, float] = attrs.field(factory=dict[Deadline, float])
    """When each of the deadlines passes that the run is under now."""

    def next(self) -> float:
        """Return the earliest of them."""
        return min(self.flush, self.harder, self.abandon, *self.limits.values())

    def passed(self, now: float) -> Deadline | None:
        """Return the deadline that has passed, the first one if there are several."""
        passed = [(at, deadline) for deadline, at in self.limits.items() if at <= now]
        return min(passed)[1] if passed else None

    def begin_phase(self, phase: Phase[Any], now: float) -> None:
        """A try of a phase starts."""
        self.end_phase()
        if phase.timeout is not None:
            self.limits[Deadline.PHASE] = now + phase.timeout
        if phase.progress_timeout is not None:
            self.limits[Deadline.PROGRESS] = now + phase.progress_timeout

    def progressed(self, phase: Phase[Any], now: float) -> None:
        """The handler has reported progress."""
        if Deadline.PROGRESS in self.limits and phase.progress_timeout is not None:
            self.limits[Deadline.PROGRESS] = now + phase.progress_timeout

    def begin_to_stop(self, harder: float, abandon: float) -> None:
        """The handler is being stopped: no deadline matters any more."""
        self.limits.clear()
        self.harder, self.abandon = harder, abandon

    def end_phase(self) -> None:
        """The try has ended."""
        self.harder = self.abandon = math.inf
        for deadline in (Deadline.PHASE, Deadline.PROGRESS):
            self.limits.pop(deadline, None)


def timeout_error(phase: Phase[Any], deadline: Deadline, timeouts: Timeouts) -> ErrorRecord:
    """Return what a phase fails with that was stopped because a deadline passed."""
    match deadline:
        case Deadline.PHASE:
            what = f"no end after {phase.timeout:g} s"
        case Deadline.PROGRESS:
            what = f"no progress for {phase.progress_timeout:g} s"
        case Deadline.RUN:
            what = f"the run's timeout of {timeouts.run:g} s passed"
        case _:
            what = f"the job's timeout of {timeouts.job:g} s passed"
    return ErrorRecord(type="Timeout", message=f"{phase.name}: {what}")
