"""An event: one committed transition, and what folding a log of them gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from .errors import IllegalTransition
from .parts import Json
from .states import EventType, JobState, PhaseState, next_phase_state, next_state


def _no_data() -> Mapping[str, Json]:
    return {}


@attrs.frozen(kw_only=True)
class Event:
    """One committed transition, as subscribers see it."""

    seq: int
    """Its place in the store's log, in commit order; 0 while it is not committed."""

    version: int
    """Its place in the job's own log: 1, 2, 3, … without a gap."""

    at: float
    """When it happened: wall-clock seconds since the Unix epoch."""

    job: str
    """The id of the job it happened to."""

    run: int
    """The run in which it happened; 0 before the first."""

    phase: str | None
    """The name of the phase it is about, or None if it is about the whole job."""

    type: EventType
    """What happened."""

    data: Mapping[str, Json] = attrs.field(factory=_no_data)
    """More about it, as JSON; the reference says what each type carries."""


@attrs.frozen(kw_only=True)
class Summary:
    """What a job's events alone say about it; see `fold`."""

    state: JobState | None = None
    run: int = 0
    version: int = 0
    phases: Mapping[str, PhaseState] = attrs.field(factory=dict[str, PhaseState])


def fold(events: Iterable[Event]) -> Summary:
    """Replay one job's whole log, oldest event first, by the tables in `states`.

    The answer equals the job's row: a test may hold that for any store at any moment.

    Raises:
      IllegalTransition: if the log could not have been written by the tables, has a gap
        in its versions, a run that goes back, or events of another job.
    """
    state: JobState | None = None
    job: str | None = None
    run = version = 0
    phases: dict[str, PhaseState] = {}
    for event in events:
        if job is not None and event.job != job:
            raise IllegalTransition(f"an event of job {event.job!r} in the log of {job!r}")
        if event.version != version + 1:
            raise IllegalTransition(f"version {event.version} follows {version}: a gap")
        if event.run < run:
            raise IllegalTransition(f"run {event.run} follows {run}: runs only grow")
        job, version, run = event.job, event.version, event.run
        state = next_state(state, event.type)
        if "layout" in event.data:
            phases = {name: PhaseState(word) for name, word in event.data["layout"].items()}
        if event.type.value.startswith("phase."):
            if event.phase not in phases:
                raise IllegalTransition(
                    f"{event.type.value} cannot happen to phase {event.phase!r}:"
                    f" the phases are {', '.join(map(repr, phases)) or 'none'}"
                )
            phases[event.phase] = next_phase_state(phases[event.phase], event.type)
        elif event.type is EventType.JOB_SUBMITTED:
            phases = dict.fromkeys(event.data.get("phases", ()), PhaseState.PENDING)
        elif event.type in (EventType.JOB_RETRIED, EventType.JOB_SCHEDULED):
            phases.update(dict.fromkeys(event.data.get("phases", ()), PhaseState.PENDING))
    return Summary(state=state, run=run, version=version, phases=phases)
