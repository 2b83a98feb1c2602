"""Crashes of the simulated store: what is left at each point, and who may go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

import attrs
import pytest

from triphase.store import Disk, NewHook, Operation, Prune, Query, Redeliver, SimulatedStore
from triphase_protocol import HookState, StoreClosed, StoreLocked

from . import building
from .building import AT, applied
from .walks import Snapshot, snapshot

POINTS = ["before", "apply:0", "apply:1", "commit", "after"]


class Crash(BaseException):
    """The process is gone."""


class Plan:
    """Notes the points that are reached, and crashes at one of them."""

    def __init__(self, crash: str | None = None) -> None:
        self.crash = crash
        self.reached: list[str] = []

    def __call__(self, point: str) -> None:
        self.reached.append(point)
        if point == self.crash:
            raise Crash


async def prepared(disk: Disk) -> list[Operation]:
    """Put a job on a disk; return a group that steps it and submits another."""
    store = SimulatedStore(disk)
    await store.open()
    [result] = await store.write([building.submit("a", key="k")])
    await store.close()
    return [building.start(applied(result).job), building.submit("b", key="l")]


async def test_a_write_reaches_its_points_in_order() -> None:
    disk, plan = Disk(), Plan()
    operations = await prepared(disk)
    store = SimulatedStore(disk, at=plan)
    await store.open()
    await store.write(operations)
    assert plan.reached == POINTS


@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_loses_what_was_not_durable_and_nothing_else(point: str) -> None:
    disk, plan = Disk(), Plan(point)
    operations = await prepared(disk)
    store = SimulatedStore(disk, at=plan)
    await store.open()
    before = await store.find(Query())
    with pytest.raises(Crash):
        await store.write(operations)
    assert plan.reached == POINTS[: POINTS.index(point) + 1]
    again = SimulatedStore(disk)
    await again.open()
    if point == "after":
        assert len(await again.find(Query())) == 2
        assert [event.seq for event in await again.events()] == [1, 2, 3, 4, 5, 6]
        return
    assert await again.find(Query()) == before
    assert [event.seq for event in await again.events()] == [1, 2]
    assert await again.slots() == {}
    # Nothing stands in the way of doing it again.
    results = await again.write(operations)
    assert [applied(result).events[0].seq for result in results] == [3, 5]


@pytest.mark.parametrize("point", POINTS)
async def test_a_crashed_handle_does_nothing_any_more(point: str) -> None:
    disk = Disk()
    operations = await prepared(disk)
    store = SimulatedStore(disk, at=Plan(point))
    await store.open()
    with pytest.raises(Crash):
        await store.write(operations)
    with pytest.raises(StoreClosed):
        await store.write(operations)
    with pytest.raises(StoreClosed):
        await store.get("a")
    with pytest.raises(StoreClosed):
        await store.open()


async def crashes(
    prepare: Callable[[Disk], Awaitable[list[Operation]]],
) -> AsyncGenerator[tuple[str, Disk, list[Operation], Snapshot, SimulatedStore]]:
    """Crash a store at each point of writing a group; yield what is found, opened again."""
    operations = len(await prepare(Disk()))
    for point in ["before", *(f"apply:{n}" for n in range(operations)), "commit", "after"]:
        disk = Disk()
        group = await prepare(disk)
        store = SimulatedStore(disk, at=Plan(point))
        await store.open()
        before = await snapshot(store)
        with pytest.raises(Crash):
            await store.write(group)
        again = SimulatedStore(disk)
        await again.open()
        yield point, disk, group, before, again


async def test_a_crash_around_a_delete_loses_the_job_and_its_events_or_neither() -> None:
    async for point, _, group, before, again in crashes(removals):
        if point != "after":
            assert await snapshot(again) == before
            # Nothing stands in the way of doing it again.
            results = await again.write(group)
            assert applied(results[0]).events[0].seq == before.events[-1].seq + 1
        jobs = await again.find(Query(newest_first=False))
        assert [job.id for job in jobs] == ["b", "c", "e"]
        assert [await again.gone(id) for id in "ad"] == [True, False]
        assert [event.job for event in await again.events()] == list("bbccaee")


async def test_a_crash_loses_the_deliveries_with_their_operations_or_neither() -> None:
    async for point, disk, group, before, again in crashes(told):
        if point != "after":
            assert await snapshot(again) == before
            # Nothing stands in the way of doing it again.
            await again.write(group)
        found = [(hook.id, hook.state.value, hook.attempts) for hook in await again.hooks()]
        assert found == [("1", "pending", 3), ("new", "pending", 0)]
        assert await again.next_hook() == AT
        assert [hook.id for hook in await again.due_hooks(AT + 9, 5)] == ["1", "new"]
        assert disk.disabled() == {}


async def told(disk: Disk) -> list[Operation]:
    """Put a job on a disk; return a group that delivers twice, and deletes and submits a job."""
    store = SimulatedStore(disk)
    await store.open()
    made = [NewHook(id=f"{n}", event=-1, url=f"https://example.org/{n}") for n in range(3)]
    [result] = await store.write([building.hooked(building.submit("a"), *made)])
    first, second, third = disk.hooks()
    gone = building.tried(second, HookState.DEAD, disabled=True)
    await store.write([gone])
    [dead] = await store.hooks(states=[HookState.DEAD])
    await store.close()
    again = attrs.evolve(dead, state=HookState.PENDING)
    third_try = attrs.evolve(again, attempts=2)
    new = NewHook(id="new", event=-1, url="https://example.org/")
    return [
        building.tried(first, HookState.DELIVERED),
        Redeliver(hook="1", due_at=AT - 1),
        building.delete(applied(result).job),
        building.hooked(building.submit("b"), new),
        building.tried(again, HookState.PENDING, at=AT - 10),
        building.tried(third, HookState.DEAD, at=AT, disabled=True),
        building.tried(third_try, HookState.PENDING, at=AT - 10),
        Prune(before=AT + 1),
    ]


async def test_what_is_in_the_outbox_can_be_seen_whoever_has_the_disk() -> None:
    disk = Disk()
    await told(disk)
    assert [(hook.id, hook.state) for hook in disk.hooks()] == [
        ("0", HookState.PENDING),
        ("1", HookState.DEAD),
        ("2", HookState.PENDING),
    ]
    assert all(hook.body for hook in disk.hooks())
    assert disk.disabled() == {"https://example.org/1": AT + 30}


async def removals(disk: Disk) -> list[Operation]:
    """Put jobs on a disk; return a group that deletes the first and the last, and submits one."""
    store = SimulatedStore(disk)
    await store.open()
    made = [building.submit(id, key=f"key of {id}") for id in "abcd"]
    a, _, _, d = [applied(result).job for result in await store.write(made)]
    await store.close()
    return [
        building.delete(d),
        Prune(before=AT + 99),
        building.delete(a),
        building.submit("e", key="key of a"),
    ]


async def test_a_fenced_handle_cannot_take_the_disk_from_its_successor() -> None:
    disk = Disk()
    first, second = SimulatedStore(disk), SimulatedStore(disk)
    await first.open()
    with pytest.raises(StoreLocked):
        await second.open()
    first.fence()
    await second.open()
    await first.close()
    first.fence()
    with pytest.raises(StoreClosed):
        await first.write([building.submit("a")])
    await second.write([building.submit("a")])
    with pytest.raises(StoreLocked):
        await SimulatedStore(disk).open()


async def test_a_store_without_a_disk_has_one_of_its_own() -> None:
    store = SimulatedStore()
    await store.open()
    await store.write([building.submit("a")])
    await store.close()
    assert repr(Disk()) == "<Disk: 0 jobs, 0 events>"
    assert store.folder is None
