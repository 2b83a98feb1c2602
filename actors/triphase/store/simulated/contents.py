"""What lies on a simulated disk: jobs and the log of their events, and the settings of queues."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping

import attrs

from triphase.store.backend import QueueSetting
from triphase_protocol import (
    Event,
    EventType,
    Hook,
    HookState,
    Job,
    JobState,
    Json,
    PhaseRecord,
    decode,
    encode,
    states_where,
)

_HOLDING = states_where(holds_slot=True)


@attrs.frozen(eq=False)
class Row:
    """A job as it lies on the disk: what a caller could change is kept as bytes."""

    n: int
    """Its place in the order of submission."""

    job: Job
    """The record without what is beside it, and with dicts that nobody else has."""

    payload: bytes
    results: tuple[bytes | None, ...]

    notes: int = 0
    """How many of its last events tell of its deliveries."""

    def record(self) -> Job:
        """Return a record of its own."""
        phases = tuple(
            attrs.evolve(phase, spent=dict(phase.spent), result=_value(result))
            for phase, result in zip(self.job.phases, self.results, strict=True)
        )
        done = self.job.state is JobState.COMPLETED
        return attrs.evolve(
            self.job,
            payload=decode(self.payload),
            labels=dict(self.job.labels),
            phases=phases,
            result=phases[-1].result if done else None,
        )


@attrs.frozen(eq=False)
class Logged:
    """An event as it lies on the disk."""

    n: int
    """The place of its job."""

    event: Event
    """The event; its data may be the caller's."""

    data: bytes

    def record(self) -> Event:
        """Return an event of its own."""
        return attrs.evolve(self.event, data=decode(self.data))


@attrs.frozen(eq=False)
class HookRow:
    """A delivery as it lies on the disk."""

    n: int | None
    """The place of its job; None once that was deleted."""

    hook: Hook


def row_of(job: Job, n: int) -> Row:
    """Return the row of a new job."""
    return Row(
        n=n,
        job=attrs.evolve(
            job,
            payload=None,
            result=None,
            phases=tuple(map(bare_phase, job.phases)),
            labels=dict(job.labels),
        ),
        payload=encode(job.payload),
        results=tuple(map(result_bytes, job.phases)),
    )


def bare_phase(phase: PhaseRecord) -> PhaseRecord:
    """Return a phase without its result, with a dict that nobody else has."""
    return attrs.evolve(phase, result=None, spent=dict(phase.spent))


def result_bytes(phase: PhaseRecord) -> bytes | None:
    """Return a phase's result as it lies on the disk."""
    return None if phase.result is None else encode(phase.result)


def _value(result: bytes | None) -> Json:
    return None if result is None else decode(result)


class Contents:
    """All of it; only a transaction changes it."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        """The jobs by their id, in the order of submission."""

        self.keys: dict[str, str] = {}
        """The ids of the jobs that have a key, by the key."""

        self.log: list[Logged] = []
        """The events, in the order of their `seq`."""

        self.queues: dict[str, QueueSetting] = {}
        """What was set for queues, by name."""

        self.hooks: dict[str, HookRow] = {}
        """The deliveries by their id."""

        self.disabled: dict[str, float] = {}
        """Since when URLs are gone."""

        self.last_seq = 0
        """The last `seq` that was given, whether its event is still there or not."""

        self.floor = 0
        """The highest `seq` of an event that was pruned."""

        self.last_n = 0
        """The last place that was given, whether its job is still there or not."""

        self._ids: dict[JobState, dict[str, None]] = {state: {} for state in JobState}
        self._waiting: dict[str, None] = {}
        self._hooks_of: dict[str, dict[str, None]] = {}
        self._pending: dict[tuple[str, str], list[tuple[int, str]]] = {}

    def in_state(self, state: JobState) -> Iterator[Row]:
        """Return the jobs in a state, in no particular order."""
        return (self.rows[id] for id in self._ids[state])

    def waiting(self) -> Iterator[Row]:
        """Return the jobs that have a deadline, in no particular order."""
        return (self.rows[id] for id in self._waiting)

    def hooks_of(self, job: str) -> Iterator[HookRow]:
        """Return the deliveries of all jobs that had this id, in no particular order."""
        return (self.hooks[id] for id in self._hooks_of.get(job, ()))

    def first_pending(self) -> Iterator[Hook]:
        """Return the first pending delivery of each job and URL, in no particular order."""
        return (self.hooks[places[0][1]].hook for places in self._pending.values())

    def hook_counts(self) -> Mapping[HookState, int]:
        """Return how many deliveries are in each state that any is in."""
        counts = Counter(row.hook.state for row in self.hooks.values())
        return {state: counts[state] for state in HookState if counts[state]}

    def counts(self) -> Mapping[JobState, int]:
        """Return how many jobs are in each state that any is in."""
        return {state: len(ids) for state, ids in self._ids.items() if ids}

    def slots(self) -> Mapping[str, int]:
        """Return how many jobs hold a slot, by queue."""
        return dict(Counter(row.job.queue for state in _HOLDING for row in self.in_state(state)))

    def backlog(self) -> Mapping[str, int]:
        """Return how many jobs are queued, by queue."""
        return dict(Counter(row.job.queue for row in self.in_state(JobState.QUEUED)))

    def place_of(self, id: str) -> int | None:
        """Return where a job stands, or stood before it was deleted; None if it never did."""
        return self.rows[id].n if id in self.rows else self.grave_of(id)

    def grave_of(self, id: str) -> int | None:
        """Return where the last job of this id stood that was deleted; None if there is none."""
        for logged in reversed(self.log):
            if logged.event.type is EventType.JOB_DELETED and logged.event.job == id:
                return logged.n
        return None

    def put(self, id: str, row: Row | None) -> Row | None:
        """Put a row in the place of a job's present one, which is returned."""
        before = self.rows.get(id)
        if before is not None:
            del self._ids[before.job.state][id]
            self._waiting.pop(id, None)
            if before.job.key is not None:
                del self.keys[before.job.key]
        if row is None:
            del self.rows[id]
            return before
        self.rows[id] = row
        self._ids[row.job.state][id] = None
        if row.job.deadline is not None:
            self._waiting[id] = None
        if row.job.key is not None:
            self.keys[row.job.key] = id
        return before

    def put_hook(self, id: str, row: HookRow | None) -> HookRow | None:
        """Put a row in the place of a delivery's present one, which is returned."""
        before = self.hooks.pop(id, None)
        if before is not None:
            self._forget(before.hook)
        if row is not None:
            self.hooks[id] = row
            self._hooks_of.setdefault(row.hook.job, {})[id] = None
            if row.hook.state is HookState.PENDING:
                places = self._pending.setdefault((row.hook.job, row.hook.url), [])
                bisect.insort(places, row.hook.place)
        return before

    def _forget(self, hook: Hook) -> None:
        """Take a delivery out of the indexes."""
        del self._hooks_of[hook.job][hook.id]
        if not self._hooks_of[hook.job]:
            del self._hooks_of[hook.job]
        if hook.state is HookState.PENDING:
            line = hook.job, hook.url
            self._pending[line].remove(hook.place)
            if not self._pending[line]:
                del self._pending[line]

    def sort(self) -> None:
        """Put the jobs into the order of submission, after some that were away have come back."""
        self.rows = dict(sorted(self.rows.items(), key=lambda item: item[1].n))
