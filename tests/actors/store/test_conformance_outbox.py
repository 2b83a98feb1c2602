"""What every store must do, whatever it is made of: whose rows are left, and how they are read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs
import pytest

from triphase.store import (
    Done,
    HookStep,
    Prune,
    Store,
)
from triphase_protocol import (
    Hook,
    HookState,
)

from . import building
from .building import AT, hooked, tried
from .outbox import DEAD, DELIVERED, PENDING, first, ids, row, submitted, to

# The job is deleted


async def test_pending_rows_outlive_their_job_and_the_others_go_with_it(store: Store) -> None:
    job, hook = await submitted(store, "a", to("delivered"), to("dead"), to("pending"))
    other, _ = await submitted(store, "b", to("another's"))
    await store.write([tried(hook, DELIVERED), tried(await row(store, "dead"), DEAD)])
    await store.write([tried(await row(store, "another's"), DELIVERED)])
    job = await first(store, building.cancel(attrs.evolve(job, version=job.version + 2)))
    await first(store, building.delete(job))
    assert ids(await store.hooks()) == ["pending", "another's"]
    assert ids(await store.hooks(job="a")) == ["pending"]
    assert ids(await store.hooks(job=other.id)) == ["another's"]


async def test_of_a_deleted_job_only_the_row_changes(store: Store) -> None:
    job, hook = await submitted(store)
    await first(store, building.delete(await first(store, building.cancel(job))))
    log = await store.events()
    [result] = await store.write([tried(hook, PENDING)])
    assert isinstance(result, Done)
    await store.write([tried(await row(store, hook.id), DELIVERED)])
    assert (await row(store, hook.id)).state is DELIVERED
    assert await store.events() == log
    assert await store.get("a") is None


async def test_a_new_job_of_the_same_id_hears_nothing_of_the_rows_of_the_old(store: Store) -> None:
    job, hook = await submitted(store)
    ended = await first(store, building.cancel(job))
    await first(store, hooked(building.delete(ended), to("deletion")))
    new = await first(store, building.submit("a"))
    for each in (hook, await row(store, "deletion")):
        [result] = await store.write([tried(each, DELIVERED)])
        assert isinstance(result, Done)
    assert await store.get("a") == new
    await first(store, building.delete(await first(store, building.cancel(new))))
    assert ids(await store.hooks()) == [hook.id, "deletion"], "they belong to the one before"


async def test_what_is_left_of_deleted_jobs_is_pruned_once_it_has_ended(store: Store) -> None:
    job, hook = await submitted(store, "a", to("early"), to("late"), to("pending"))
    _, living = await submitted(store, "b", to("living"))
    await first(store, building.delete(await first(store, building.cancel(job))))
    await store.write(
        [
            tried(hook, DELIVERED, at=AT + 30),
            tried(await row(store, "late"), DEAD, at=AT + 50),
            tried(living, DELIVERED, at=AT + 30),
        ]
    )
    await store.write([Prune(before=AT + 30)])
    assert len(await store.hooks()) == 4
    await store.write([Prune(before=AT + 40)])
    assert ids(await store.hooks()) == ["late", "pending", "living"]


async def test_nothing_is_found_in_the_place_of_a_job_that_was_pruned(store: Store) -> None:
    job, hook = await submitted(store)
    await first(store, building.delete(await first(store, building.cancel(job))))
    await store.write([Prune(before=AT + 99)])
    new = await first(store, building.submit("b"))
    [result] = await store.write([tried(hook, DELIVERED)])
    assert isinstance(result, Done)
    assert await store.get("b") == new


# Reading


async def test_what_is_due_comes_in_the_order_of_its_time_and_then_of_its_event(
    store: Store,
) -> None:
    for id, at in (("a", AT + 5), ("b", AT + 1), ("c", AT + 5), ("d", AT + 9), ("e", AT + 1)):
        made = building.submit(id)
        events = tuple(attrs.evolve(event, at=at) for event in made.events)
        await store.write(
            [hooked(attrs.evolve(made, events=events), to(f"{id}2"), to(f"{id}1"), to(f"{id}0", 0))]
        )
    assert await store.next_hook() == AT + 1
    assert await store.due_hooks(AT, 10) == []
    due = ["b0", "b1", "b2", "e0", "e1", "e2", "a0", "a1", "a2", "c0", "c1", "c2"]
    assert ids(await store.due_hooks(AT + 5, 100)) == due
    assert ids(await store.due_hooks(AT + 5, 5)) == due[:5]
    await store.write([tried(await row(store, "b0"), PENDING, at=AT - 4)])
    await store.write([tried(await row(store, "b1"), DELIVERED)])
    assert ids(await store.due_hooks(AT + 5, 4)) == ["b2", "e0", "e1", "e2"]
    assert await store.next_hook() == AT + 1
    assert ids(await store.due_hooks(AT + 6, 100)) == [*due[2:], "b0"]


async def test_a_row_that_waits_for_no_time_is_never_due(store: Store) -> None:
    _, hook = await submitted(store)
    step = tried(hook, PENDING)
    await store.write([attrs.evolve(step, hook=attrs.evolve(step.hook, due_at=None))])
    assert await store.due_hooks(AT + 999, 10) == []
    assert await store.next_hook() is None
    assert (await store.statistics()).hooks == {PENDING: 1}


async def test_rows_are_found_by_job_and_state_and_counted(store: Store) -> None:
    await submitted(store, "a", to("a1"), to("a2"), to("a3"))
    await submitted(store, "b", to("b1"), to("b2"))
    await store.write([tried(await row(store, "a2"), DEAD), tried(await row(store, "b1"), DEAD)])
    await store.write([tried(await row(store, "a1"), DELIVERED)])
    assert ids(await store.hooks()) == ["a1", "a2", "a3", "b1", "b2"]
    assert ids(await store.hooks(states=[DEAD])) == ["a2", "b1"]
    assert ids(await store.hooks(states=[DELIVERED, DEAD, DEAD])) == ["a1", "a2", "b1"]
    assert ids(await store.hooks(job="a", states=[DEAD, PENDING])) == ["a2", "a3"]
    assert ids(await store.hooks(job="b", states=[DELIVERED])) == []
    assert ids(await store.hooks(job="nobody")) == []
    assert (await store.statistics()).hooks == {PENDING: 2, DELIVERED: 1, DEAD: 2}


@pytest.mark.parametrize("states", [(), (PENDING,), (DEAD, PENDING), (DELIVERED, DEAD)])
@pytest.mark.parametrize("job", [None, "job 7"])
async def test_large_numbers_are_read_in_pages(
    store: Store, states: Sequence[HookState], job: str | None
) -> None:
    for begin in range(0, 1200, 300):
        await store.write(
            [
                hooked(building.submit(f"job {n}"), to(f"{n}a"), to(f"{n}b"), to(f"{n}c", 0))
                for n in range(begin, begin + 300)
            ]
        )
    steps = list[HookStep]()
    for n in range(0, 1200, 7):
        steps.append(tried(await row(store, f"{n}b"), DEAD))
        steps.append(tried(await row(store, f"{n}c"), DELIVERED))
    await store.write(steps)
    found, after = list[Hook](), None
    while page := await store.hooks(job=job, states=states, after=after, limit=400):
        assert len(page) <= 400
        found += page
        after = page[-1].place
    assert all(before.place < later.place for before, later in itertools.pairwise(found))
    numbers = range(7, 8) if job else range(1200)
    state = {"a": PENDING, "b": DEAD, "c": DELIVERED}
    expected = {
        f"{n}{letter}"
        for n in numbers
        for letter in "abc"
        if not states or (state[letter] if n % 7 == 0 else PENDING) in states
    }
    assert set(ids(found)) == expected
    assert len(await store.hooks(limit=99_999)) == 1000
