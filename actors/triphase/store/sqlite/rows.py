"""Records as rows and back.

Written out by hand, column by column: this runs for every write and every read, and a
general converter costs more than the database does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from triphase_protocol import (
    CorruptRecord,
    DefinitionError,
    Delivery,
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
    Stop,
    Timeouts,
    Webhook,
)

Row: TypeAlias = tuple[Any, ...]
"""What the database takes and returns: one value for each column."""

JOB_COLUMNS: Final = (
    "n, id, type, queue, state, priority, position, run, version, key, digest, payload, labels, "
    "owner, error, reason, stop, timeouts, deadline, submitted_at, due_at, queued_at, started_at, "
    "claimed_at, finished_at, stale_at, webhooks"
)
"""What `job_of` reads, in this order."""

PHASE_COLUMNS: Final = (
    "job, idx, name, version, state, attempt, spent, result, error, progress, gate, origin, "
    "started_at, finished_at"
)
"""What `phase_of` reads, in this order."""

EVENT_COLUMNS: Final = "seq, version, at, job, run, phase, type, data"
"""What `event_of` reads, in this order."""

_BARE_HOOK_COLUMNS: Final = (
    "n, id, job, run, seq, event, url, delivery, secret, state, attempts, spent, due_at, "
    "created_at, ended_at, status, error"
)

HOOK_COLUMNS: Final = f"{_BARE_HOOK_COLUMNS}, body"
"""What `hook_of` reads, in this order."""

LISTED_HOOK_COLUMNS: Final = f"{_BARE_HOOK_COLUMNS}, NULL"
"""The same for a list, without the body."""

_JOB_STATES: Final = {state.value: state for state in JobState}
_PHASE_STATES: Final = {state.value: state for state in PhaseState}
_EVENT_TYPES: Final = {type_.value: type_ for type_ in EventType}
_HOOK_STATES: Final = {state.value: state for state in HookState}
_DELIVERIES: Final = {delivery.value: delivery for delivery in Delivery}

_value: Final = msgspec.json.Decoder(Any).decode
_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_labels: Final = msgspec.json.Decoder(dict[str, str]).decode
_numbers: Final = msgspec.json.Decoder(dict[str, int]).decode
_error: Final = msgspec.json.Decoder(ErrorRecord).decode
_progress: Final = msgspec.json.Decoder(Progress).decode
_stop: Final = msgspec.json.Decoder(Stop).decode
_gate: Final = msgspec.json.Decoder(Gate).decode
_timeouts: Final = msgspec.json.Decoder(Timeouts).decode
_webhooks: Final = msgspec.json.Decoder(tuple[Webhook, ...]).decode

_NO_TIMEOUTS: Final = Timeouts()

UNREADABLE: Final = (
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
    msgspec.MsgspecError,
    DefinitionError,
)
"""What reading a corrupt row raises."""

_encode: Final = msgspec.json.Encoder().encode


def json_text(value: Json) -> str:
    """Return a JSON value, or a record of the protocol, as JSON text."""
    return _encode(value).decode()


def _mapping(value: Mapping[str, Json]) -> str:
    return json_text(dict(value)) if value else "{}"


def _optional(value: object) -> str | None:
    return None if value is None else json_text(value)


# To the database.


def new_job(job: Job, n: int) -> Row:
    """Return the parameters of `insert_job.sql`."""
    return (
        n,
        job.id,
        job.type,
        job.queue,
        job.state,
        job.priority,
        job.position,
        job.run,
        job.version,
        job.key,
        job.digest,
        json_text(job.payload),
        _mapping(job.labels),
        job.owner,
        _optional(job.error),
        job.reason,
        _optional(job.stop),
        "{}" if job.timeouts == _NO_TIMEOUTS else json_text(job.timeouts),
        job.deadline,
        job.submitted_at,
        job.due_at,
        job.queued_at,
        job.started_at,
        job.claimed_at,
        job.finished_at,
        job.stale_at,
        json_text(job.webhooks) if job.webhooks else "[]",
    )


def place_of(job: Job) -> Row:
    """Return what an index looks at, in the order of `guard.sql` and `step_job.sql`."""
    return (
        job.queue,
        job.state,
        job.priority,
        job.position,
        job.due_at,
        job.deadline,
        job.finished_at,
        job.stale_at,
    )


def advanced_job(job: Job) -> Row:
    """Return the rest of what a step may change: the first parameters of `step_job.sql`."""
    return (
        job.run,
        job.version,
        job.owner,
        _optional(job.error),
        job.reason,
        _optional(job.stop),
        job.queued_at,
        job.started_at,
        job.claimed_at,
    )


def phase_row(phase: PhaseRecord, n: int, index: int) -> Row:
    """Return the parameters of `insert_phase.sql` and `update_phase.sql`."""
    return (
        phase.name,
        phase.version,
        phase.state,
        phase.attempt,
        _mapping(phase.spent),
        _optional(phase.result),
        _optional(phase.error),
        _optional(phase.progress),
        _optional(phase.gate),
        phase.origin,
        phase.started_at,
        phase.finished_at,
        n,
        index,
    )


def event_row(event: Event, n: int) -> Row:
    """Return the parameters of `insert_event.sql`."""
    return (
        event.seq,
        n,
        event.job,
        event.version,
        event.run,
        event.phase,
        event.type,
        event.at,
        _mapping(event.data),
    )


def hook_row(hook: Hook, n: int | None) -> Row:
    """Return the parameters of `insert_hook.sql`; *n* is None if the job is deleted."""
    return (
        n,
        hook.id,
        hook.job,
        hook.run,
        hook.seq,
        hook.event,
        hook.url,
        hook.delivery,
        hook.secret,
        hook.state,
        hook.attempts,
        hook.spent,
        hook.due_at,
        hook.created_at,
        hook.ended_at,
        hook.status,
        hook.error,
        hook.body,
    )


def stepped_hook(hook: Hook) -> Row:
    """Return what a step of a delivery may change: the first parameters of `step_hook.sql`."""
    return (hook.state, hook.attempts, hook.due_at, hook.ended_at, hook.status, hook.error)


# From the database.


def job_of(row: Row, phases: Sequence[Row]) -> Job:
    """Return the record of a row and of its phases' rows, in the order of their `idx`.

    Raises:
      CorruptRecord: if they cannot be read.
    """
    try:
        return _job(row, tuple(map(phase_of, phases, range(len(phases)))))
    except UNREADABLE as exc:
        raise CorruptRecord(f"job {row[1]!r} cannot be read back: {exc!r}") from exc


def _job(row: Row, phases: tuple[PhaseRecord, ...]) -> Job:
    if not phases:
        raise ValueError("its phases are missing")
    # fmt: off
    (
        _, id_, type_, queue, state_word, priority, position, run, version, key, digest, payload,
        labels, owner, error, reason, stop, timeouts, deadline, submitted_at, due_at, queued_at,
        started_at, claimed_at, finished_at, stale_at, webhooks,
    ) = row
    # fmt: on
    state = _JOB_STATES[state_word]
    return Job(
        id=id_,
        type=type_,
        state=state,
        run=run,
        version=version,
        payload=_value(payload),
        phases=phases,
        queue=queue,
        priority=priority,
        position=position,
        key=key,
        digest=digest,
        labels={} if labels == "{}" else _labels(labels),
        webhooks=() if webhooks == "[]" else _webhooks(webhooks),
        owner=owner,
        result=phases[-1].result if state is JobState.COMPLETED else None,
        error=None if error is None else _error(error),
        reason=reason,
        stop=None if stop is None else _stop(stop),
        timeouts=_NO_TIMEOUTS if timeouts == "{}" else _timeouts(timeouts),
        deadline=deadline,
        submitted_at=submitted_at,
        due_at=due_at,
        queued_at=queued_at,
        started_at=started_at,
        claimed_at=claimed_at,
        finished_at=finished_at,
        stale_at=stale_at,
    )


def phase_of(row: Row, index: int) -> PhaseRecord:
    """Return the record of a phase's row, which must be the one of this index.

    Raises:
      Exception: one of `UNREADABLE`, if it cannot be read.
    """
    # fmt: off
    (
        _, idx, name, version, state, attempt, spent, result, error, progress, gate, origin,
        started_at, finished_at,
    ) = row
    # fmt: on
    if idx != index:
        raise ValueError(f"its phase {index} is missing")
    return PhaseRecord(
        name=name,
        version=version,
        state=_PHASE_STATES[state],
        attempt=attempt,
        spent={} if spent == "{}" else _numbers(spent),
        result=None if result is None else _value(result),
        error=None if error is None else _error(error),
        progress=None if progress is None else _progress(progress),
        gate=None if gate is None else _gate(gate),
        origin=origin,
        started_at=started_at,
        finished_at=finished_at,
    )


def event_of(row: Row) -> Event:
    """Return the event of a row.

    Raises:
      CorruptRecord: if it cannot be read.
    """
    seq, version, at, job, run, phase, type_, data = row
    try:
        return Event(
            seq=seq,
            version=version,
            at=at,
            job=job,
            run=run,
            phase=phase,
            type=_EVENT_TYPES[type_],
            data={} if data == "{}" else _object(data),
        )
    except UNREADABLE as exc:
        raise CorruptRecord(f"event {seq} cannot be read back: {exc!r}") from exc


def hook_of(row: Row) -> Hook:
    """Return the delivery of a row.

    Raises:
      CorruptRecord: if it cannot be read.
    """
    # fmt: off
    (
        _, id_, job, run, seq, event, url, delivery, secret, state, attempts, spent, due_at,
        created_at, ended_at, status, error, body,
    ) = row
    # fmt: on
    try:
        return Hook(
            id=id_,
            job=job,
            run=run,
            seq=seq,
            event=_EVENT_TYPES[event],
            url=url,
            delivery=_DELIVERIES[delivery],
            secret=secret,
            state=_HOOK_STATES[state],
            attempts=attempts,
            spent=spent,
            due_at=due_at,
            created_at=created_at,
            ended_at=ended_at,
            status=status,
            error=error,
            body=body,
        )
    except UNREADABLE as exc:
        raise CorruptRecord(f"hook {id_!r} cannot be read back: {exc!r}") from exc
