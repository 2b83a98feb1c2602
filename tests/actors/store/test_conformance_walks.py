"""What every store must do, whatever it is made of: over random lives of a few jobs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triphase.store import Claim, Limits, Operation, Query, Store, Why
from triphase.store.sqlite import outbox
from triphase_protocol import Event, EventType, Job, JobState, fold, states_where

from . import building
from .homes import HOMES, fresh
from .outbox import content, ids, row
from .walks import URLS, Action, Walk, left, plain, snapshot, walks

SOME = settings(deadline=None, max_examples=20)

KINDS = list(HOMES)
OTHERS = [kind for kind in KINDS if kind != "simulated"]


def log_of(events: Sequence[Event], job: str) -> list[Event]:
    return [event for event in events if event.job == job]


def check_rows_equal_logs(jobs: Sequence[Job], events: Sequence[Event]) -> None:
    """Every row is the fold of its events, and the events are in order.

    Of a job that was deleted there is one event at most.
    """
    for before, after in itertools.pairwise(events):
        assert before.seq < after.seq
    gone = [event.job for event in events if event.type is EventType.JOB_DELETED]
    assert Counter(gone).keys().isdisjoint(job.id for job in jobs)
    assert [event.job for event in events if event.job in gone] == gone
    assert {event.job for event in events}.difference(gone) == {job.id for job in jobs}
    for job in jobs:
        summary = fold(log_of(events, job.id))
        assert (summary.state, summary.run, summary.version) == (job.state, job.run, job.version)
        assert summary.phases == {phase.name: phase.state for phase in job.phases}


async def walked(store: Store, batches: Sequence[Sequence[Action]]) -> list[Operation]:
    """Take a walk in a store, and return the operations."""
    walk, taken = Walk(), list[Operation]()
    for actions in batches:
        operations = walk.batch(actions)
        walk.heard(await store.write(operations))
        taken += operations
    return taken


@pytest.mark.parametrize("kind", OTHERS)
@SOME
@given(batches=walks)
async def test_a_store_answers_as_the_simulated_one_does(
    kind: str, batches: list[list[Action]]
) -> None:
    walk = Walk()
    async with fresh("simulated") as model, fresh(kind) as store:
        for actions in batches:
            operations = walk.batch(actions)
            expected, results = await model.write(operations), await store.write(operations)
            assert plain(results) == plain(expected)
            walk.heard(results)
        assert await snapshot(store) == await snapshot(model)


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(batches=walks, sizes=st.lists(st.integers(1, 7), min_size=1))
async def test_how_operations_are_grouped_does_not_show(
    kind: str, batches: list[list[Action]], sizes: list[int]
) -> None:
    async with fresh(kind) as store, fresh(kind) as regrouped:
        rest = await walked(store, batches)
        for size in itertools.cycle(sizes):
            if not rest:
                break
            await regrouped.write(rest[:size])
            rest = rest[size:]
        assert await snapshot(store) == await snapshot(regrouped)


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(batches=walks, places=st.sets(st.integers(0, 30)))
async def test_a_rejected_operation_harms_nobody(
    kind: str, batches: list[list[Action]], places: set[int]
) -> None:
    refused = building.start(building.submit("nobody").job)
    async with fresh(kind) as store, fresh(kind) as other:
        operations = await walked(store, batches)
        results = plain(await store.write([]))
        for place, operation in enumerate(operations):
            group = [operation, refused] if place in places else [operation]
            results += plain(await other.write(group))
        assert results.count((Why.GONE, None)) >= len(places & set(range(len(operations))))
        assert await snapshot(store) == await snapshot(other)


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(batches=walks)
async def test_at_every_moment_a_row_is_the_fold_of_its_events(
    kind: str, batches: list[list[Action]]
) -> None:
    walk, told = Walk(), list[Event]()
    async with fresh(kind) as store:
        for actions in batches:
            operations = walk.batch(actions)
            results = await store.write(operations)
            walk.heard(results)
            for operation, result in zip(operations, results, strict=True):
                told = left(told, operation, result)
            seen = await snapshot(store)
            check_rows_equal_logs(seen.jobs, seen.events)
            assert seen.events == told


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(batches=walks)
async def test_at_every_moment_the_outbox_is_what_its_bookkeeping_says(
    kind: str, batches: list[list[Action]]
) -> None:
    walk = Walk()
    async with fresh(kind) as store:
        for actions in batches:
            walk.heard(await store.write(walk.batch(actions)))
            found, kept = await store.hooks(), walk.bookkeeping
            assert {hook.id: hook for hook in found} == kept.rows
            for hook in found:
                read = await row(store, hook.id)
                assert attrs.evolve(read, body=None) == hook
                assert content(read)["type"] == hook.event
                assert content(read)["data"] == kept.bodies[hook.id]
            assert await store.disabled(URLS) == kept.disabled


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(
    batches=walks,
    taken=st.sets(st.integers(0, 9)),
    resting=st.sets(st.sampled_from(URLS)),
    lines=st.sampled_from([0, 2, 100]),
)
async def test_at_every_moment_what_is_due_is_what_the_rows_say(
    kind: str, batches: list[list[Action]], taken: set[int], resting: set[str], lines: int
) -> None:
    walk = Walk()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "LINES_MOST", lines)
        await check_what_is_due(kind, walk, batches, taken, resting)


async def check_what_is_due(
    kind: str, walk: Walk, batches: list[list[Action]], taken: set[int], resting: set[str]
) -> None:
    """At every moment of a walk, what is due is what the rows say."""
    async with fresh(kind) as store:
        for actions in batches:
            walk.heard(await store.write(walk.batch(actions)))
            rows = list(walk.bookkeeping.rows)
            busy = {rows[number] for number in taken if number < len(rows)}
            waiting = walk.bookkeeping.waiting(busy, resting)
            for now in (building.AT + 5, building.AT + 20):
                due = [hook.id for at, _, hook in waiting if at <= now]
                for limit in (1, 1000):
                    found = await store.due_hooks(now, limit, taken=busy, resting=resting)
                    assert ids(found) == due[:limit]
                    assert [await store.hook(hook.id) for hook in found] == found
            next = await store.next_hook(taken=busy, resting=resting)
            assert next == (waiting[0][0] if waiting else None)


@pytest.mark.parametrize("kind", KINDS)
@SOME
@given(batches=walks)
async def test_the_limits_are_never_exceeded(kind: str, batches: list[list[Action]]) -> None:
    holding = states_where(holds_slot=True)
    limits = Limits(total=3, queue=2)
    walk = Walk()
    async with fresh(kind) as store:
        for actions in batches:
            operations = [
                attrs.evolve(operation, limits=limits)
                if isinstance(operation, Claim)
                else operation
                for operation in walk.batch(actions)
            ]
            walk.heard(await store.write(operations))
            jobs = await store.find(Query(states=holding))
            slots = await store.slots()
            assert Counter(job.queue for job in jobs) == slots
            waiting = await store.find(Query(states=(JobState.QUEUED,)))
            assert Counter(job.queue for job in waiting) == await store.backlog()
            assert sum(slots.values()) <= 3
            assert all(count <= 2 for count in slots.values())
