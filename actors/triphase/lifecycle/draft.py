"""A decision, and the draft in which it is made."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from triphase_protocol import (
    Cause,
    ErrorRecord,
    Event,
    EventType,
    IllegalTransition,
    Job,
    JobState,
    Json,
    PhaseRecord,
    PhaseState,
    Progress,
    next_phase_state,
    next_state,
    unstructure,
)


@attrs.frozen
class StartPhase:
    """Run the handler of this phase; its try has been recorded."""

    index: int


@attrs.frozen
class StopPhase:
    """Ask the handler of the running phase to stop, and abandon it when its grace is over."""


@attrs.frozen
class EndRun:
    """Nothing of this run is left to do."""


Effect: TypeAlias = StartPhase | StopPhase | EndRun
"""Something to do after the decision is durable."""


@attrs.frozen
class Decision:
    """What follows from a command."""

    job: Job
    """The next record."""

    events: tuple[Event, ...]
    """What happened, in order, with `seq` still 0."""

    effects: tuple[Effect, ...] = ()
    """What to do once the events are durable."""

    changed: tuple[int, ...] = ()
    """The indexes of the phases that are no longer what they were."""


class Draft:
    """A decision in the making: a record, and the events that move it."""

    def __init__(self, job: Job, now: float, state: JobState | None) -> None:
        self.job = job
        """As it was before; what is decided about it stands in the fields below."""

        self.now = now
        self.state = state
        self.run = job.run
        self.version = job.version
        self.phases = list(job.phases)
        self.to: dict[str, Any] = {}
        self.events: list[Event] = []
        self.effects: list[Effect] = []

    def emit(self, event: EventType, *, data: dict[str, Json] | None = None, **to: Any) -> None:
        """Record a `job.*` event; the table says where it leads, *to* what else changes."""
        self.state = next_state(self.state, event)
        self.to.update(to)
        self._note(event, None, data)

    def emit_phase(
        self, index: int, event: EventType, *, data: dict[str, Json] | None = None, **to: Any
    ) -> None:
        """Record a `phase.*` event of the phase at *index*."""
        phase = self.phases[index]
        moved = attrs.evolve(phase, state=next_phase_state(phase.state, event), **to)
        self.phases[index] = moved
        self._note(event, phase.name, {"attempt": moved.attempt, **(data or {})})

    @property
    def current(self) -> int | None:
        """The index of the first phase that has not completed, or None if all have."""
        for index, phase in enumerate(self.phases):
            if phase.state is not PhaseState.COMPLETED:
                return index
        return None

    def running(self, state: JobState = JobState.RUNNING) -> int:
        """Return the index of the running phase.

        Raises:
          IllegalTransition: if none is, or the job is not in *state*.
        """
        index = self.current
        if (
            self.state is not state
            or index is None
            or self.phases[index].state is not PhaseState.RUNNING
        ):
            raise IllegalTransition(
                f"no phase of job {self.job.id} is running; it is {self.job.state.value}"
            )
        return index

    def progress(self, index: int, progress: Progress | None) -> None:
        """Record progress that was not recorded yet, if there is some."""
        if progress is not None:
            data: dict[str, Json] = unstructure(progress)
            self.emit_phase(index, EventType.PHASE_PROGRESS, data=data, progress=progress)

    def reschedule(self, cause: Cause, delay: float, *, phases: list[str] | None = None) -> None:
        """End the run, and let another follow; *phases* begin anew then."""
        due = self.now + delay
        data: dict[str, Json] = {"cause": cause.value, "due_at": due}
        if phases is not None:
            data["phases"] = phases
        self.emit(EventType.JOB_SCHEDULED, data=data, due_at=due, owner=None)
        self.effects.append(EndRun())

    def end(self, event: EventType, *, data: dict[str, Json] | None = None, **to: Any) -> None:
        """End the job: every phase that has not ended ends with it, then the job itself."""
        ended = {PhaseState.COMPLETED, PhaseState.FAILED, PhaseState.CANCELLED}
        if event is EventType.JOB_INTERRUPTED:
            # Which phase it was is what somebody who decides wants to know.
            ended.add(PhaseState.INTERRUPTED)
        for index, phase in enumerate(list(self.phases)):
            if phase.state not in ended:
                self.emit_phase(index, EventType.PHASE_CANCELLED, finished_at=self.now)
        data = dict(data or {})
        if isinstance(error := to.get("error"), ErrorRecord):
            data["error"] = brief(error)
        if (reason := to.get("reason")) is not None:
            data["reason"] = reason
        self.emit(event, data=data, owner=None, finished_at=self.now, **to)
        self.effects.append(EndRun())

    def decision(self) -> Decision:
        """Return what has been decided."""
        assert self.state is not None, "a decision has at least one event"
        job = attrs.evolve(
            self.job,
            state=self.state,
            run=self.run,
            version=self.version,
            phases=tuple(self.phases),
            **self.to,
        )
        changed = tuple(
            index for index, phase in enumerate(self.phases) if phase is not self.job.phases[index]
        )
        return Decision(job, tuple(self.events), tuple(self.effects), changed)

    def _note(self, event: EventType, phase: str | None, data: dict[str, Json] | None) -> None:
        self.version += 1
        self.events.append(
            Event(
                seq=0,
                version=self.version,
                at=self.now,
                job=self.job.id,
                run=self.run,
                phase=phase,
                type=event,
                data=data or {},
            )
        )


def charge(phase: PhaseRecord, cause: Cause) -> dict[str, int]:
    """Return a phase's tries that did not complete, with one more of this cause."""
    return {**phase.spent, cause.value: phase.spent.get(cause.value, 0) + 1}


def brief(error: ErrorRecord) -> dict[str, Json]:
    """Return an error for an event: without its traceback, which the record keeps."""
    return {"type": error.type, "message": error.message}
