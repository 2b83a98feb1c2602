"""Operations for the tests of the stores, made from the protocol's tables alone.

Each function takes the record as it is and returns the operation that moves it on. What a
state becomes is what `TRANSITIONS` says, so every log that these make can be folded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count as numbers
from typing import Any, Final, TypeVar, cast

import attrs

from triphase.store import (
    Applied,
    Claim,
    Delete,
    HookStep,
    Limits,
    NewHook,
    Rejected,
    Result,
    Step,
    Submit,
)
from triphase_protocol import (
    ErrorRecord,
    Event,
    EventType,
    Gate,
    Hook,
    HookState,
    Job,
    JobState,
    Json,
    PhaseRecord,
    PhaseState,
    Progress,
    next_phase_state,
    next_state,
)

E = EventType

AT = 1_700_000_000.0
"""When everything happens that says no time."""

PLENTY = Limits(total=1000, queue=1000)
"""Limits that leave a slot."""

JobOperation = Submit | Step | Claim | Delete

T = TypeVar("T", bound=JobOperation)

_NUMBERS: Final = numbers(1)

StepOf = Callable[[Job], Step]
"""Makes a step of a record."""

Happening = EventType | tuple[EventType, int]
"""Something that happens to the job, or to its phase of this index."""


def submit(
    id: str = "job",
    *happenings: EventType,
    phases: Sequence[str] = ("fetch", "encode"),
    type: str = "Transcode",
    payload: Json = None,
    **fields: Any,
) -> Submit:
    """Submit a job, to which these things happen at once: it is queued, unless they say other."""
    bare = Job(
        id=id,
        type=type,
        state=JobState.SCHEDULED,
        payload={"url": f"https://example.org/{id}"} if payload is None else payload,
        phases=tuple(PhaseRecord(name=name) for name in phases),
        digest=f"digest of {id}",
        submitted_at=AT,
        due_at=AT,
    )
    job = attrs.evolve(bare, **fields)
    event = _event(job, E.JOB_SUBMITTED, data={"type": type, "phases": list(phases)})
    rest = _step(attrs.evolve(job, version=1), happenings or (E.JOB_QUEUED,))
    return Submit(job=rest.job, events=(event, *rest.events))


def scheduled(id: str = "job", *, due_at: float = AT, **fields: Any) -> Submit:
    """Submit a job that waits until it is due."""
    made = submit(id, E.JOB_SCHEDULED, **fields)
    return attrs.evolve(made, job=attrs.evolve(made.job, due_at=due_at))


def gated(id: str = "job", *, timeout: float | None = None, **fields: Any) -> Submit:
    """Submit a job that waits for somebody's approval."""
    made = submit(id, E.JOB_GATED, **fields)
    gate = Gate(timeout=timeout, asked_at=AT)
    first, *rest = made.job.phases
    phases = (attrs.evolve(first, gate=gate), *rest)
    return attrs.evolve(made, job=attrs.evolve(made.job, phases=phases, deadline=gate.deadline))


def approve(job: Job) -> Step:
    """Approve the first phase of a job that waits for that, and queue it."""
    made = _step(job, [E.JOB_APPROVED, E.JOB_QUEUED], queued_at=AT + 1, deadline=None)
    gate = Gate(asked_at=AT, decided_at=AT + 1, approved=True, by="me")
    return attrs.evolve(_with_phase(made, 0, gate=gate), changed=(0,))


def enqueue(job: Job) -> Step:
    """Queue a scheduled job."""
    return _step(job, [E.JOB_QUEUED], queued_at=AT + 1, position=0)


def start(job: Job, *, owner: str = "me") -> Step:
    """Begin a new run with the first unfinished phase."""
    index = _current(job)
    happened = (E.JOB_STARTED, (E.PHASE_STARTED, index))
    run, at = job.run + 1, AT + 2
    made = _step(job, happened, run=run, owner=owner, started_at=at, claimed_at=at, deadline=None)
    return _with_phase(made, index, origin=run)


def claim(job: Job, limits: Limits = PLENTY, *, owner: str = "me") -> Claim:
    """Begin a new run, if the limits leave a slot."""
    return Claim(step=start(job, owner=owner), limits=limits)


def progress(job: Job, done: float = 1.0, **fields: Any) -> Step:
    """Report how far the running phase has come."""
    index = _current(job)
    made = _step(job, [(E.PHASE_PROGRESS, index)], **fields)
    return _with_phase(made, index, progress=Progress(done=done, total=10.0, message="on it"))


def complete(job: Job, result: Json = None) -> Step:
    """Complete the running phase, and start the next one or complete the job."""
    index = _current(job)
    happened: list[Happening] = [(E.PHASE_COMPLETED, index)]
    last = index + 1 == len(job.phases)
    happened.append(E.JOB_COMPLETED if last else (E.PHASE_STARTED, index + 1))
    fields: dict[str, Any] = {"owner": None, "finished_at": AT + 9} if last else {}
    made = _with_phase(_step(job, happened, **fields), index, result=result, finished_at=AT + 8)
    return attrs.evolve(made, job=attrs.evolve(made.job, result=result)) if last else made


def complete_too_late(job: Job, result: Json) -> Step:
    """Complete the running phase of a job that is cancelled all the same."""
    index = _current(job)
    made = _step(job, [(E.PHASE_COMPLETED, index), E.JOB_CANCELLED], owner=None)
    return _with_phase(made, index, result=result)


def postpone(job: Job, due_at: float, **fields: Any) -> Step:
    """Schedule a scheduled job for another time."""
    return _step(job, [E.JOB_SCHEDULED], due_at=due_at, **fields)


def fail(job: Job, message: str = "no") -> Step:
    """Fail the running phase, and with it the job."""
    index = _current(job)
    error = ErrorRecord(type="ValueError", message=message, traceback="line 1\nline 2")
    happened = ((E.PHASE_FAILED, index), E.JOB_FAILED)
    made = _step(job, happened, owner=None, error=error, finished_at=AT + 9)
    return _with_phase(made, index, error=error, spent={"error": 1}, finished_at=AT + 8)


def back_off(job: Job, due_at: float = AT + 60) -> Step:
    """Fail the running phase, which is tried again later."""
    index = _current(job)
    made = _step(job, ((E.PHASE_FAILED, index), E.JOB_SCHEDULED), owner=None, due_at=due_at)
    return _with_phase(made, index, spent={"error": 1})


def stop(job: Job) -> Step:
    """Ask a running job to stop."""
    return _step(job, [E.JOB_STOPPING], reason="asked")


def detach(job: Job) -> Step:
    """Lose the worker of a running job."""
    return _step(job, [E.JOB_DETACHED])


def cancel(job: Job, *, at: float = AT + 9) -> Step:
    """End the job as cancelled, with all its unfinished phases."""
    unfinished: list[Happening] = [
        (E.PHASE_CANCELLED, index)
        for index, phase in enumerate(job.phases)
        if phase.state not in (PhaseState.COMPLETED, PhaseState.CANCELLED)
    ]
    happened = (*unfinished, E.JOB_CANCELLED)
    return _step(job, happened, owner=None, reason="enough", finished_at=at)


def retry(job: Job) -> Step:
    """Begin again after the end: phases that completed keep their results."""
    again = [i for i, phase in enumerate(job.phases) if phase.state is not PhaseState.COMPLETED]
    names = [job.phases[index].name for index in again]
    made = _step(job, [E.JOB_RETRIED], data={"phases": names}, **_AFRESH)
    for index in again:
        made = _with_phase(made, index, state=PhaseState.PENDING, error=None, spent={})
    return _queued(made, tuple(again))


def translate(job: Job, names: Sequence[str]) -> Step:
    """Begin again after the end, with other phases: those that completed keep their results."""
    there = {phase.name: phase for phase in job.phases}
    phases: list[PhaseRecord] = []
    for name in names[:-1]:
        done = name in there and there[name].state is PhaseState.COMPLETED
        phases.append(there[name] if done else PhaseRecord(name=name))
    phases.append(PhaseRecord(name=names[-1]))
    layout: dict[str, Json] = {phase.name: phase.state.value for phase in phases}
    made = _step(job, [E.JOB_RETRIED], data={"layout": layout}, phases=tuple(phases), **_AFRESH)
    changed = tuple(
        index
        for index, phase in enumerate(phases)
        if index >= len(job.phases) or phase is not job.phases[index]
    )
    return attrs.evolve(_queued(made, changed), phases=len(phases))


def note(job: Job, **fields: Any) -> Step:
    """Let something happen that does not move the job, whatever state it is in."""
    return _step(job, [E.HOOK_DELIVERED], **fields)


def mark_stale(job: Job) -> Step:
    """Mark a job that has ended."""
    return _step(job, [E.JOB_STALE], stale_at=AT + 20)


def hooked(operation: T, *hooks: NewHook) -> T:
    """Let an operation make these deliveries, or one of its last event."""
    made = hooks or (NewHook(id=f"hook {next(_NUMBERS)}", event=-1, url="https://example.org/"),)
    given: JobOperation = operation
    evolve: Any = attrs.evolve
    if isinstance(given, Claim):
        return cast("T", evolve(given, step=hooked(given.step, *made)))
    count = len(given.events)
    counted = tuple(attrs.evolve(hook, event=hook.event % count) for hook in made)
    return cast("T", evolve(given, hooks=counted))


def tried(
    hook: Hook,
    state: HookState,
    *,
    at: float = AT + 30,
    tell: bool = True,
    disabled: bool = False,
) -> HookStep:
    """Try a delivery once, with this end; one that stays pending is due a while later."""
    ended = state is not HookState.PENDING
    after = attrs.evolve(
        hook,
        state=state,
        attempts=hook.attempts + 1,
        due_at=None if ended else at + 10,
        ended_at=at if ended else None,
        status=200 if state is HookState.DELIVERED else 503,
        error=None if state is HookState.DELIVERED else "HTTP 503",
    )
    event = Event(
        seq=0,
        version=0,
        at=at,
        job=hook.job,
        run=0,
        phase=None,
        type=_TOLD[state],
        data={"hook": hook.id},
    )
    told = event if tell else None
    return HookStep(hook=after, attempts=hook.attempts, event=told, disabled=disabled)


_TOLD: Final[Mapping[HookState, EventType]] = {
    HookState.PENDING: E.HOOK_FAILED,
    HookState.DELIVERED: E.HOOK_DELIVERED,
    HookState.DEAD: E.HOOK_DEAD,
}
"""The event that tells of a try."""


def delete(job: Job) -> Delete:
    """Remove a job."""
    step = _step(job, [E.JOB_DELETED])
    return Delete(job=job.id, run=job.run, version=job.version, events=step.events)


_AFRESH: Mapping[str, Any] = {
    "error": None,
    "reason": None,
    "result": None,
    "finished_at": None,
    "stale_at": None,
}
"""What a retry forgets."""


def applied(result: Result) -> Applied:
    """Return a result that must be an `Applied`."""
    assert isinstance(result, Applied), result
    return result


def rejected(result: Result) -> Rejected:
    """Return a result that must be a `Rejected`."""
    assert isinstance(result, Rejected), result
    return result


def _step(
    job: Job,
    happenings: Sequence[Happening],
    *,
    data: Mapping[str, Json] | None = None,
    **fields: Any,
) -> Step:
    """Let these things happen to a job; *fields* are what else changes in its record."""
    now, events, changed = attrs.evolve(job, **fields), list[Event](), list[int]()
    for happening in happenings:
        type_, index = happening if isinstance(happening, tuple) else (happening, None)
        now = attrs.evolve(now, version=now.version + 1)
        if index is None:
            state = next_state(now.state, type_)
            assert state is not None
            now = attrs.evolve(now, state=state)
        else:
            now = _moved(now, index, type_)
            changed.append(index)
        name = None if index is None else now.phases[index].name
        events.append(_event(now, type_, phase=name, data=data or {}))
    return Step(
        job=now,
        run=job.run,
        version=job.version,
        events=tuple(events),
        changed=tuple(dict.fromkeys(changed)),
    )


def _queued(step: Step, changed: tuple[int, ...]) -> Step:
    """Queue the job after a step, which has changed these phases."""
    queued = enqueue(step.job)
    return attrs.evolve(step, job=queued.job, events=step.events + queued.events, changed=changed)


def _moved(job: Job, index: int, type_: EventType) -> Job:
    phase = job.phases[index]
    after = attrs.evolve(phase, state=next_phase_state(phase.state, type_))
    if type_ is E.PHASE_STARTED:
        after = attrs.evolve(after, attempt=phase.attempt + 1, started_at=AT + 3)
    return attrs.evolve(job, phases=(*job.phases[:index], after, *job.phases[index + 1 :]))


def _with_phase(step: Step, index: int, **fields: Any) -> Step:
    phases = list(step.job.phases)
    phases[index] = attrs.evolve(phases[index], **fields)
    return attrs.evolve(step, job=attrs.evolve(step.job, phases=tuple(phases)))


def _event(
    job: Job, type_: EventType, *, phase: str | None = None, data: Mapping[str, Json]
) -> Event:
    return Event(
        seq=0,
        version=max(job.version, 1),
        at=AT + job.version,
        job=job.id,
        run=job.run,
        phase=phase,
        type=type_,
        data=data,
    )


def _current(job: Job) -> int:
    index = job.current
    assert index is not None
    return index
