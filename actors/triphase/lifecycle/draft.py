"""A decision, and the draft in which it is made."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from triphase_protocol import (
    Cause,
    ErrorRecord,
    Event,
    EventType,
    Gate,
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

    def emit(
        self,
        event: EventType,
        *,
        phase: str | None = None,
        data: dict[str, Json] | None = None,
        **to: Any,
    ) -> None:
        """Record a `job.*` event; the table says where it leads, *to* what else changes."""
        self.state = next_state(self.state, event)
        self.to.update(to)
        self._note(event, phase, data)

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

    def since(self, begin: float | None) -> float:
        """Return the seconds from then until now; 0 if the clock was set back meanwhile."""
        return 0.0 if begin is None else max(0.0, round(self.now - begin, 6))

    def enqueue(self) -> None:
        """Queue a job that is scheduled, unless it is not due or its next phase has a gate."""
        due = self.to.get("due_at", self.job.due_at)
        if self.is_gated():
            self.ask_for_approval()
        elif due > self.now:
            self.emit(EventType.JOB_SCHEDULED, data={"cause": "delay", "due_at": due})
        else:
            self.emit(EventType.JOB_QUEUED, queued_at=self.now)

    def is_gated(self) -> bool:
        """True if the next phase must not start before somebody approves."""
        index = self.current
        gate = None if index is None else self.phases[index].gate
        return gate is not None and not gate.open

    def ask_for_approval(self, data: dict[str, Json] | None = None) -> None:
        """Let the job wait at the gate of its next phase."""
        index = self.current
        assert index is not None, "what has completed waits at no gate"
        phase = self.phases[index]
        assert phase.gate is not None, "only a phase with a gate is asked about"
        gate = attrs.evolve(Gate(timeout=phase.gate.timeout), asked_at=self.now, asked_in=self.run)
        self.phases[index] = attrs.evolve(phase, gate=gate)
        data = {"deadline": gate.deadline, **(data or {})}
        self.emit(EventType.JOB_GATED, phase=phase.name, data=data, owner=None)

    def decide_gate(self, name: str, *, approved: bool, by: str | None, reason: str | None) -> None:
        """Record the decision about the gate of a phase."""
        for index, phase in enumerate(self.phases):
            if phase.name == name and phase.gate is not None:
                gate = attrs.evolve(
                    phase.gate, decided_at=self.now, approved=approved, by=by, reason=reason
                )
                self.phases[index] = attrs.evolve(phase, gate=gate)

    def reject(self, phase: str, *, cause: str, by: str | None, reason: str | None) -> None:
        """End the job at the gate of a phase."""
        self.decide_gate(phase, approved=False, by=by, reason=reason)
        data: dict[str, Json] = {"cause": cause, "by": by}
        self.end(EventType.JOB_REJECTED, phase=phase, data=data, reason=reason)

    def lay_out(self, phases: tuple[PhaseRecord, ...]) -> dict[str, Json]:
        """Put other phases in the place of those that are there; returns what events say of it."""
        self.phases[:] = phases
        return {"layout": {phase.name: phase.state.value for phase in phases}}

    def renew(self, begin: int) -> list[str]:
        """Let the phases from an index on begin anew, and return their names.

        What was approved for the first of them stands, as it rests on the same results as before;
        the others are asked about again.
        """
        for index, phase in enumerate(list(self.phases[begin:]), begin):
            gate = phase.gate
            if gate is not None and not (gate.open and index == begin):
                gate = Gate(timeout=gate.timeout)
            self.phases[index] = PhaseRecord(name=phase.name, version=phase.version, gate=gate)
        return [phase.name for phase in self.phases[begin:]]

    def reschedule(self, cause: Cause, delay: float, *, phases: list[str] | None = None) -> None:
        """End the run, and let another follow; *phases* begin anew then."""
        due = self.now + delay
        data: dict[str, Json] = {"cause": cause.value, "due_at": due}
        if phases is not None:
            data["phases"] = phases
        self.emit(EventType.JOB_SCHEDULED, data=data, due_at=due, owner=None)
        self.effects.append(EndRun())

    def end(
        self,
        event: EventType,
        *,
        phase: str | None = None,
        data: dict[str, Json] | None = None,
        **to: Any,
    ) -> None:
        """End the job: every phase that has not ended ends with it, then the job itself."""
        ended = {PhaseState.COMPLETED, PhaseState.FAILED, PhaseState.CANCELLED}
        if event is EventType.JOB_INTERRUPTED:
            # Which phase it was is what somebody who decides wants to know.
            ended.add(PhaseState.INTERRUPTED)
        for index, each in enumerate(list(self.phases)):
            if each.state not in ended:
                self.emit_phase(index, EventType.PHASE_CANCELLED, finished_at=self.now)
        data = dict(data or {})
        if isinstance(error := to.get("error"), ErrorRecord):
            data["error"] = brief(error)
        if (reason := to.get("reason")) is not None:
            data["reason"] = reason
        self.emit(event, phase=phase, data=data, owner=None, finished_at=self.now, **to)
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
        return Decision(job, tuple(self.events), tuple(self.effects), self._changed())

    def _changed(self) -> tuple[int, ...]:
        before = self.job.phases
        return tuple(
            index
            for index, phase in enumerate(self.phases)
            if index >= len(before) or phase is not before[index]
        )

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
