"""Random lives of a few jobs: which operations come, and what a store holds after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

import attrs
from hypothesis import strategies as st

from triphase.store import (
    Applied,
    Claim,
    Delete,
    Done,
    HookStep,
    Limits,
    NewHook,
    Operation,
    Prune,
    Query,
    Redeliver,
    Rejected,
    Result,
    SetQueue,
    Step,
    Store,
    Submit,
)
from triphase_protocol import (
    Event,
    EventType,
    Hook,
    HookState,
    Job,
    JobState,
    Json,
    Timeouts,
    decode,
    encode,
    states_where,
)

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

URLS: Final = ("https://example.org/0", "https://example.org/1")
"""Where jobs are told of."""

LAYOUTS: Final = (
    ("fetch", "encode"),
    ("fetch",),
    ("fetch", "check", "encode"),
    ("encode", "fetch"),
)
"""Which phases a job may have after a retry."""

Move: TypeAlias = Callable[[Job, int], Operation]
"""Makes an operation of a record and a number."""


def _complete(job: Job, number: int) -> Operation:
    return building.complete(job, RESULTS[number % len(RESULTS)])


def _claim(job: Job, number: int) -> Operation:
    return building.claim(job, Limits(total=1 + number % 3, queue=1 + number % 2))


def _plain(make: Callable[[Job], Operation]) -> Move:
    return lambda job, _: make(job)


def _translate(job: Job, number: int) -> Operation:
    return building.translate(job, LAYOUTS[number % len(LAYOUTS)])


_DELETE: Final = _plain(building.delete)
_ENDED: Final = (_plain(building.mark_stale), _translate, _DELETE, _DELETE)
_AGAIN: Final = (_plain(building.retry), *_ENDED)

MOVES: Final[Mapping[JobState, Sequence[Move]]] = {
    S.SCHEDULED: (_plain(building.enqueue), _plain(building.cancel)),
    S.GATED: (_plain(building.approve), _plain(building.cancel)),
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
    S.COMPLETED: _ENDED,
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


class Bookkeeping:
    """The rows of the outbox, as the operations that were applied say it."""

    def __init__(self) -> None:
        self.rows: dict[str, Hook] = {}
        """The rows by their id, without their bodies."""

        self.bodies: dict[str, Json] = {}
        """What the `data` in their bodies must be, by the id of the row."""

        self.disabled: dict[str, float] = {}
        """Since when URLs are gone."""

        self._left = set[str]()
        """Those whose job was deleted."""

    def keep(self, operation: Operation, result: Result) -> None:
        """Take in what became of an operation."""
        match operation, result:
            case _, Rejected():
                pass
            case HookStep(hook=after, disabled=disabled), _:
                self.rows[after.id] = attrs.evolve(after, spent=self.rows[after.id].spent)
                if disabled:
                    assert after.ended_at is not None
                    self.disabled[after.url] = after.ended_at
            case Redeliver(hook=id, due_at=due_at), _:
                self.rows[id] = redelivered(self.rows[id], due_at)
                self.disabled.pop(self.rows[id].url, None)
            case Prune(before=before), _:
                kept = {url: at for url, at in self.disabled.items() if at >= before}
                self.disabled = kept
                for id in self._left & self.rows.keys():
                    ended_at = self.rows[id].ended_at
                    if ended_at is not None and ended_at < before:
                        del self.rows[id]
            case _, Applied(job=job):
                if is_delete(result):
                    self._leave(job.id)
                for hook in hooks_in(operation):
                    self._add(hook, result)
            case _:
                pass

    def waiting(
        self, taken: Collection[str], resting: Collection[str]
    ) -> list[tuple[float, tuple[int, str], Hook]]:
        """Return what may be tried, in the order in which it is, with the time from which on."""
        first: dict[tuple[str, str], Hook] = {}
        for hook in sorted(self.rows.values(), key=lambda hook: hook.place):
            if hook.state is HookState.PENDING:
                first.setdefault((hook.job, hook.url), hook)
        allowed = [
            (hook.due_at, hook.place, hook)
            for hook in first.values()
            if hook.due_at is not None and hook.id not in taken and hook.url not in resting
        ]
        return sorted(allowed, key=itemgetter(0, 1))

    def _leave(self, job: str) -> None:
        mine = [row for row in self.rows.values() if row.job == job and row.id not in self._left]
        for row in mine:
            self._left.add(row.id)
            if row.state is not HookState.PENDING:
                del self.rows[row.id]

    def _add(self, hook: NewHook, result: Applied) -> None:
        event = result.events[hook.event]
        self.rows[hook.id] = Hook(
            id=hook.id,
            job=event.job,
            run=event.run,
            seq=event.seq,
            event=event.type,
            url=hook.url,
            due_at=event.at,
            created_at=event.at,
        )
        self.bodies[hook.id] = {"event": decode(encode(event)), "job": decode(encode(result.job))}
        if is_delete(result):
            self._left.add(hook.id)


def redelivered(hook: Hook, due_at: float) -> Hook:
    """Return a row as it is once it is to be delivered again at a time, or sooner."""
    if hook.state is HookState.PENDING and hook.due_at is not None:
        return attrs.evolve(hook, due_at=min(hook.due_at, due_at))
    return attrs.evolve(
        hook, state=HookState.PENDING, due_at=due_at, ended_at=None, spent=hook.attempts
    )


def hooks_in(operation: Operation) -> tuple[NewHook, ...]:
    """Return the deliveries that an operation makes."""
    match operation:
        case Submit(hooks=hooks) | Step(hooks=hooks) | Delete(hooks=hooks):
            return hooks
        case Claim(step=Step(hooks=hooks)):
            return hooks
        case _:
            return ()


class Walk:
    """Makes operations of actions, from what a store has answered so far.

    No operation is made of a record that was never stored: its guard could hold by chance. For
    the same reason, a job that comes after one that was deleted has another id.
    """

    def __init__(self) -> None:
        self._deleted: Counter[int] = Counter()
        """How often a job of each number was to be deleted."""

        self._stored: dict[str, list[Job]] = {}
        self.bookkeeping = Bookkeeping()
        """The outbox as it must be after what was heard."""

        self._made = 0
        self._batch: list[Operation] = []
        self._next: dict[str, Job | None] = {}
        """What a job will be after the group so far; None is not known."""

    def batch(self, actions: Sequence[Action]) -> list[Operation]:
        """Return the operations of one transaction."""
        self._next = {id: records[-1] for id, records in self._stored.items()}
        self._batch = [self._with_hooks(self._operation(each), each) for each in actions]
        return self._batch

    def heard(self, results: Sequence[Result]) -> None:
        """Take in what became of them."""
        for operation, result in zip(self._batch, results, strict=True):
            self.bookkeeping.keep(operation, result)
            match result:
                case Applied(job=job) | Rejected(current=Job() as job):
                    records = self._stored.setdefault(job.id, [])
                    if not records or records[-1] != job:
                        records.append(job)
                case Rejected() | Done():
                    pass

    def _operation(self, action: Action) -> Operation:
        if action.number == 22:
            return _about_no_job(action)
        if action.number > 17 and self.bookkeeping.rows:
            return self._about_a_hook(action)
        newest = f"{action.job}" + "'" * self._deleted[action.job]
        # Now and then the one before it, which was deleted.
        id = newest if action.lag < 3 else newest.removesuffix("'")
        record, known = self._next.get(id), True
        if record is None or action.lag:
            records = self._stored.get(id)
            record, known = records[max(-len(records), -1 - action.lag)] if records else None, False
        if record is None or action.number == 23:
            made = _submit(newest, action)
            sure = newest not in self._next and made.job.key is None
            self._next[newest] = made.job if sure else None
            return made
        moves = MOVES[record.state]
        operation = moves[action.number % len(moves)](record, action.number)
        if isinstance(operation, Delete) and id == newest:
            self._deleted[action.job] += 1
        self._next[id] = operation.job if known and isinstance(operation, Step) else None
        return operation

    def _about_a_hook(self, action: Action) -> Operation:
        rows = list(self.bookkeeping.rows.values())
        hook = rows[-1 - action.job % len(rows)]
        if action.number == 19:
            return Redeliver(hook=hook.id, due_at=building.AT + action.lag)
        # A step that comes after it in this group may find the job at another version than it
        # would have without: it is not made.
        self._next[hook.job] = None
        state = list(HookState)[(action.number + action.lag) % 3]
        step = building.tried(
            hook,
            state,
            at=building.AT + 4 * action.job,
            tell=action.lag < 3,
            disabled=state is HookState.DEAD and action.job % 2 == 1,
        )
        return attrs.evolve(step, attempts=hook.attempts + (action.number == 21))

    def _with_hooks(self, operation: Operation, action: Action) -> Operation:
        """Let one in three operations about jobs make one or two deliveries."""
        if action.number % 3 != 1 or not isinstance(operation, Submit | Step | Claim | Delete):
            return operation
        made = list[NewHook]()
        for event in range(action.job % 2 + 1):
            self._made += 1
            # One in two of them with both to one place, in the other order of their ids.
            url = URLS[event if action.lag else 0]
            id = f"hook {1000 + 10 * self._made - 15 * event}"
            made.append(NewHook(id=id, event=action.lag + event, url=url))
        return building.hooked(operation, *made)


def _submit(id: str, action: Action) -> Submit:
    number = action.number
    fields: dict[str, Any] = {
        "queue": QUEUES[number % 2],
        "priority": number % 3 - 1,
        "key": f"key {number % 2}" if number % 5 == 0 else None,
        "labels": {"flavour": str(number % 2)} if number % 3 else {},
    }
    if number % 7 == 5:
        return building.gated(id, timeout=30.0 if number % 2 else None, **fields)
    if number % 3 == 1:
        fields |= {"timeouts": Timeouts(queue=9.0), "deadline": building.AT + number}
    if number % 4 == 3:
        return building.scheduled(id, due_at=building.AT + number, **fields)
    return building.submit(id, **fields)


def _about_no_job(action: Action) -> Operation:
    if action.job < 4:
        name, slots = QUEUES[action.job % 2], action.job or None
        return SetQueue(name=name, paused=bool(action.lag), slots=slots)
    return Prune(before=building.AT + action.job + action.lag)


def is_delete(result: Applied) -> bool:
    """True if this is what became of a `Delete`."""
    return result.events[-1].type is EventType.JOB_DELETED


def left(told: Sequence[Event], operation: Operation, result: Result) -> list[Event]:
    """Return what is left in the log of the events that were told, and those of a result."""
    match operation, result:
        case Prune(before=before), Done():
            return [e for e in told if e.type is not EventType.JOB_DELETED or e.at >= before]
        case _, Applied(job=job, events=events):
            kept = [e for e in told if e.job != job.id] if is_delete(result) else told
            return [*kept, *events]
        case _:
            return [*told]


def plain(results: Sequence[Result]) -> list[Any]:
    """Return results as values that can be compared."""
    found: list[Any] = []
    for result in results:
        match result:
            case Applied(job=job, events=events):
                found.append((job, events))
            case Rejected(why=why, current=current):
                found.append((why, current))
            case Done():
                found.append(None)
    return found


@attrs.frozen
class Snapshot:
    """All that a store says when it is asked for everything."""

    jobs: list[Job]
    events: list[Event]
    rest: list[Any]


async def snapshot(store: Store) -> Snapshot:
    """Ask a store for everything."""
    jobs = await store.find(Query(limit=1000, newest_first=False))
    events = await store.events()
    ids = dict.fromkeys([job.id for job in jobs] + [event.job for event in events])
    hooks = await store.hooks()
    rest: list[Any] = [
        await store.statistics(),
        await store.slots(),
        await store.backlog(),
        await store.next_due(),
        await store.due(building.AT + 1000, 1000),
        [await store.queued(queue, ["Transcode"], 1000) for queue in QUEUES],
        await store.next_deadline(),
        await store.overdue(building.AT + 1000, 1000),
        [
            await store.ended(state, building.AT + 1000, 1000, fresh=fresh)
            for state in states_where(terminal=True)
            for fresh in (False, True)
        ],
        await store.queue_settings(),
        [await store.hook(hook.id) for hook in hooks],
        hooks,
        await store.hooks(states=[HookState.DELIVERED, HookState.PENDING]),
        await store.due_hooks(building.AT + 20, 1000),
        await store.next_hook(),
        await store.due_hooks(building.AT + 20, 1000, resting=URLS[:1]),
        await store.next_hook(taken=[hook.id for hook in hooks[::2]]),
        await store.disabled({*URLS, *(hook.url for hook in hooks)}),
        [await store.hooks(job=id, states=[HookState.DEAD, HookState.PENDING]) for id in ids],
        [await store.get(id) for id in ids],
        [await store.gone(id) for id in ids],
        [await store.events(job=id) for id in ids],
        [await store.find(Query(after=id, newest_first=bool(n % 2))) for n, id in enumerate(ids)],
    ]
    return Snapshot(jobs, events, rest)
