"""Random lives of a few jobs: which operations come, and what a store holds after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs
from hypothesis import strategies as st

from triphase.store import (
    Applied,
    Limits,
    Operation,
    Query,
    Rejected,
    Result,
    Step,
    Store,
    Submit,
)
from triphase_protocol import Event, Job, JobState, Json

from . import building

S = JobState

RESULTS: Final[Sequence[Json]] = (
    None,
    "in.mp4",
    {"frames": 1200, "é\n\x00": [1.5, None, True, 2**53]},
    "x" * 5000,
    0,
    [],
)
"""What phases return: one of them does not fit into a page of a database."""

QUEUES: Final = ("media", "mail")

Move: TypeAlias = Callable[[Job, int], Operation]
"""Makes an operation of a record and a number."""


def _complete(job: Job, number: int) -> Operation:
    return building.complete(job, RESULTS[number % len(RESULTS)])


def _claim(job: Job, number: int) -> Operation:
    return building.claim(job, Limits(total=1 + number % 3, queue=1 + number % 2))


def _plain(make: Callable[[Job], Operation]) -> Move:
    return lambda job, _: make(job)


_AGAIN: Final = (_plain(building.retry), _plain(building.mark_stale))

MOVES: Final[Mapping[JobState, Sequence[Move]]] = {
    S.SCHEDULED: (_plain(building.enqueue), _plain(building.cancel)),
    S.GATED: (_plain(building.cancel),),
    S.QUEUED: (_plain(building.claim), _claim, _claim, _plain(building.cancel)),
    S.RUNNING: (
        _complete,
        _complete,
        _plain(building.progress),
        _plain(building.fail),
        _plain(building.back_off),
        _plain(building.stop),
        _plain(building.detach),
        _plain(building.cancel),
    ),
    S.STOPPING: (_plain(building.cancel),),
    S.DETACHED: (_plain(building.stop),),
    S.COMPLETED: (_plain(building.mark_stale),),
    S.FAILED: _AGAIN,
    S.CANCELLED: _AGAIN,
    S.REJECTED: _AGAIN,
    S.INTERRUPTED: _AGAIN,
}
"""What may happen to a job in each state."""


@attrs.frozen
class Action:
    """What is tried next: numbers, so that any of them means something for any job."""

    job: int
    number: int
    lag: int
    """How many records back the one lies that the operation is made of."""


actions = st.builds(
    Action,
    job=st.integers(0, 5),
    number=st.integers(0, 23),
    lag=st.sampled_from((0, 0, 0, 0, 0, 1, 3)),
)

walks = st.lists(st.lists(actions, min_size=1, max_size=5), min_size=1, max_size=14)
"""Batches of actions."""


class Walk:
    """Makes operations of actions, from what a store has answered so far.

    No operation is made of a record that was never stored: its guard could hold by chance.
    """

    def __init__(self) -> None:
        self._stored: dict[str, list[Job]] = {}
        self._next: dict[str, Job | None] = {}
        """What a job will be after the group so far; None is not known."""

    def batch(self, actions: Sequence[Action]) -> list[Operation]:
        """Return the operations of one transaction."""
        self._next = {id: records[-1] for id, records in self._stored.items()}
        return [self._operation(str(action.job), action) for action in actions]

    def heard(self, results: Sequence[Result]) -> None:
        """Take in what became of them."""
        for result in results:
            match result:
                case Applied(job=job) | Rejected(current=Job() as job):
                    records = self._stored.setdefault(job.id, [])
                    if not records or records[-1] != job:
                        records.append(job)
                case Rejected():
                    pass

    def _operation(self, id: str, action: Action) -> Operation:
        record, known = self._next.get(id), True
        if record is None or action.lag:
            records = self._stored.get(id)
            record, known = records[max(-len(records), -1 - action.lag)] if records else None, False
        if record is None or action.number == 23:
            made = self._submit(action)
            self._next[id] = made.job if id not in self._next and made.job.key is None else None
            return made
        moves = MOVES[record.state]
        operation = moves[action.number % len(moves)](record, action.number)
        self._next[id] = operation.job if known and isinstance(operation, Step) else None
        return operation

    def _submit(self, action: Action) -> Submit:
        number = action.number
        fields: dict[str, Any] = {
            "queue": QUEUES[number % 2],
            "priority": number % 3 - 1,
            "key": f"key {number % 2}" if number % 5 == 0 else None,
            "labels": {"flavour": str(number % 2)} if number % 3 else {},
        }
        if number % 4 == 3:
            return building.scheduled(str(action.job), due_at=building.AT + number, **fields)
        return building.submit(str(action.job), **fields)


def plain(results: Sequence[Result]) -> list[Any]:
    """Return results as values that can be compared."""
    return [
        (result.job, result.events) if isinstance(result, Applied) else (result.why, result.current)
        for result in results
    ]


@attrs.frozen
class Snapshot:
    """All that a store says when it is asked for everything."""

    jobs: list[Job]
    events: list[Event]
    rest: list[Any]


async def snapshot(store: Store) -> Snapshot:
    """Ask a store for everything."""
    jobs = await store.find(Query(limit=1000, newest_first=False))
    rest: list[Any] = [
        await store.statistics(),
        await store.slots(),
        await store.next_due(),
        await store.due(building.AT + 1000, 1000),
        [await store.queued(queue, ["Transcode"], 1000) for queue in QUEUES],
        [await store.get(job.id) for job in jobs],
    ]
    return Snapshot(jobs, await store.events(), rest)
