"""What every store must do, whatever it is made of: guards, limits, durability, cancels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from triphase.store import Limits, Operation, Query, Store, Why
from triphase_protocol import (
    Deadline,
    ErrorRecord,
    Job,
    JobState,
    Stop,
    StopCause,
    StopHow,
    StopStep,
    StoreClosed,
    StoreLocked,
    StoreUnavailable,
)

from . import building
from .building import applied, rejected
from .homes import Home
from .walks import snapshot

# Guards


async def first(store: Store, operation: Operation) -> Job:
    """Write an operation that must be applied, and return the job."""
    [result] = await store.write([operation])
    return applied(result).job


async def test_a_submit_is_stored_as_it_was_given(store: Store) -> None:
    made = building.submit(
        "a",
        payload={"é": [1, 2.5, None, {"x": "\x00\ud7ff"}], "big": "x" * 200_000},
        labels={"team": "media"},
        key="k",
        priority=-3,
        queue="mail",
    )
    [result] = await store.write([made])
    job = applied(result).job
    assert job == attrs.evolve(made.job, position=2)
    assert await store.get("a") == job
    assert await store.events() == list(applied(result).events)
    assert [event.seq for event in applied(result).events] == [1, 2]


async def test_a_repeated_submit_is_told_of_the_job_that_is_there(store: Store) -> None:
    made = building.submit("a")
    job = await first(store, building.claim(await first(store, made)))
    [again] = await store.write([made])
    assert (rejected(again).why, rejected(again).current) == (Why.EXISTS, job)
    assert (await store.statistics()).last_seq == 4


async def test_a_key_belongs_to_one_job(store: Store) -> None:
    job = await first(store, building.submit("a", key="k"))
    results = await store.write(
        [
            building.submit("b", key="k"),
            building.submit("c"),
            building.submit("d"),
            building.submit("e", key=""),
            building.submit("f", key=""),
        ]
    )
    assert rejected(results[0]).why is Why.EXISTS
    assert rejected(results[0]).current == job
    assert rejected(results[4]).current == applied(results[3]).job
    assert applied(results[1]).events[0].seq == 3, "a rejected operation takes no seq"
    assert await store.get("b") is None


async def test_the_id_is_looked_at_before_the_key(store: Store) -> None:
    a, b = [await first(store, building.submit(id, key=f"key of {id}")) for id in "ab"]
    [result] = await store.write([building.submit("a", key="key of b")])
    assert rejected(result).current == a
    [result] = await store.write([building.submit("c", key="key of b")])
    assert rejected(result).current == b


async def test_a_step_needs_the_run_and_the_version_it_was_made_for(store: Store) -> None:
    queued = await first(store, building.submit("a"))
    running = await first(store, building.claim(queued))
    wrong_run = attrs.evolve(building.progress(running), run=0)
    results = await store.write([building.start(queued), wrong_run, building.cancel(queued)])
    for result in results:
        assert (rejected(result).why, rejected(result).current) == (Why.STALE, running)
    assert await store.get("a") == running
    assert len(await store.events()) == 4


async def test_a_step_of_no_job_is_told_so(store: Store) -> None:
    [result] = await store.write([building.start(building.submit("a").job)])
    assert (rejected(result).why, rejected(result).current) == (Why.GONE, None)


async def test_later_operations_of_a_group_see_the_earlier(store: Store) -> None:
    made = building.submit("a")
    started = building.start(made.job)
    results = await store.write([made, started, started, building.progress(started.job)])
    assert rejected(results[2]).current == applied(results[1]).job
    assert await store.get("a") == applied(results[3]).job


async def test_a_claim_is_applied_while_there_is_a_slot(store: Store) -> None:
    made = [building.submit(id, queue=queue) for id, queue in zip("abcdef", "xxxyyz", strict=True)]
    jobs = [applied(result).job for result in await store.write(made)]
    limits = Limits(total=4, queue=2)
    results = await store.write([building.claim(job, limits) for job in jobs])
    whys = [getattr(result, "why", None) for result in results]
    assert whys == [None, None, Why.FULL, None, None, Why.FULL]
    assert rejected(results[5]).current is None
    assert await store.slots() == {"x": 2, "y": 2}
    assert await store.backlog() == {"x": 1, "z": 1}
    assert await store.get("c") == jobs[2]


async def test_a_slot_is_free_in_the_group_that_frees_it(store: Store) -> None:
    one = Limits(total=1, queue=1)
    made = [building.submit(id) for id in "abc"]
    a, b, c = [applied(result).job for result in await store.write(made)]
    running = await first(store, building.claim(a, one))
    group: list[Operation] = [
        building.claim(b, one),
        building.cancel(running),
        building.claim(b, one),
        building.claim(c, one),
    ]
    results = await store.write(group)
    whys = [getattr(result, "why", None) for result in results]
    assert whys == [Why.FULL, None, None, Why.FULL]
    assert await store.slots() == {"default": 1}


async def test_a_slot_is_taken_in_the_group_that_takes_it(store: Store) -> None:
    two = Limits(total=2, queue=2)
    a, b, c = [await first(store, building.submit(id)) for id in "abc"]
    begun, elsewhere = building.submit("d"), building.submit("e", queue="mail")
    begun = attrs.evolve(begun, job=building.start(begun.job).job)
    group: list[Operation] = [building.claim(a, two), elsewhere, begun, building.claim(b, two)]
    results = await store.write(group)
    assert rejected(results[3]).why is Why.FULL
    results = await store.write([building.cancel(applied(results[2]).job), building.start(b)])
    assert rejected((await store.write([building.claim(c, two)]))[0]).why is Why.FULL


@pytest.mark.parametrize("hold", [building.progress, building.stop, building.detach])
async def test_a_job_holds_its_slot_until_it_has_ended(store: Store, hold: building.StepOf) -> None:
    one = Limits(total=1, queue=1)
    a, b = [await first(store, building.submit(id)) for id in "ab"]
    a = await first(store, hold(await first(store, building.claim(a, one))))
    [result] = await store.write([building.claim(b, one)])
    assert rejected(result).why is Why.FULL
    if a.state is JobState.DETACHED:
        a = await first(store, building.stop(a))
    await first(store, building.cancel(a))
    await first(store, building.claim(b, one))


async def test_only_the_phases_that_changed_are_written(store: Store) -> None:
    results = [{"a": 1.0, "b": [0.1, 1e300, 2**63 - 1]}, "y"]
    job = await first(store, building.claim(await first(store, building.submit("a"))))
    job = await first(store, building.complete(job, results[0]))
    # Whoever makes the next step has lost the first result on the way.
    lossy = attrs.evolve(job, phases=(attrs.evolve(job.phases[0], result=None), job.phases[1]))
    await first(store, building.fail(lossy))
    failed = await store.get("a")
    assert failed is not None
    assert failed.phases[0].result == results[0]
    again = await first(store, building.claim(await first(store, building.retry(failed))))
    await first(store, building.complete(again, results[1]))
    done = await store.get("a")
    assert done is not None
    assert [phase.result for phase in done.phases] == results
    assert (done.state, done.result) == (JobState.COMPLETED, "y")


async def test_a_job_has_no_result_before_it_has_completed(store: Store) -> None:
    job = await first(store, building.claim(await first(store, building.submit("a"))))
    await first(store, building.complete(job, "x"))
    read = await store.get("a")
    assert read is not None
    assert (read.result, read.phases[0].result) == (None, "x")
    await first(store, building.complete_too_late(read, "y"))
    read = await store.get("a")
    assert read is not None
    assert (read.state, read.result) == (JobState.CANCELLED, None)
    assert [phase.result for phase in read.phases] == ["x", "y"]


STOP = Stop(
    cause=StopCause.TIMEOUT,
    asked_at=1.5,
    cancel_at=2.5,
    grace_until=3.5,
    step=StopStep.ASK,
    reason="slow",
    by="me",
    deadline=Deadline.PROGRESS,
    error=ErrorRecord(type="Timeout", message="m"),
    stopped_at=4.5,
    how=StopHow.TERMINATED,
)

CHANGES: Sequence[dict[str, Any]] = (
    {"owner": "you", "reason": "why", "started_at": 5.5, "queued_at": 4.5, "finished_at": 6.5},
    {"error": ErrorRecord(type="E", message="m")},
    {"owner": None, "reason": None, "started_at": None, "queued_at": None, "finished_at": None},
    {"queue": "mail", "priority": 7},
    {"position": 99},
    {"error": None, "due_at": 3.25},
    {"stop": STOP, "claimed_at": 7.5},
    {"deadline": 8.5},
    {"stale_at": 9.5, "finished_at": 6.5},
    {"stop": None, "claimed_at": None, "deadline": None, "stale_at": None},
)


async def test_a_step_replaces_all_that_a_step_may_change(store: Store) -> None:
    job = await first(store, building.claim(await first(store, building.submit("a"))))
    for number, fields in enumerate(CHANGES):
        job = await first(store, building.progress(job, number, **fields))
        assert await store.get("a") == job
        assert {name: getattr(job, name) for name in fields} == fields
    assert await store.slots() == {"mail": 1}


async def test_a_scheduled_job_can_be_postponed(store: Store) -> None:
    job = await first(store, building.scheduled("a"))
    job = await first(store, building.postpone(job, building.AT + 50, queue="mail", priority=7))
    assert await store.next_due() == building.AT + 50
    assert await store.due(building.AT + 49, 5) == []
    assert await store.due(building.AT + 50, 5) == [job]


async def test_what_cannot_be_stored_takes_its_group_back_and_the_store_goes_on(
    store: Store,
) -> None:
    one = Limits(total=1, queue=1)
    job = await first(store, building.submit("a"))
    group: list[Operation] = [
        building.claim(job, one),
        building.submit("b"),
        building.submit("c", payload={1j}),
    ]
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="nothing was written"):
            await store.write(group)
        assert await store.find(Query()) == [job]
        assert len(await store.events()) == 2
    results = await store.write(group[:2])
    assert [applied(result).events[0].seq for result in results] == [3, 5]


async def test_a_job_gets_its_position_when_it_is_queued(store: Store) -> None:
    job = await first(store, building.scheduled("a"))
    assert job.position == 0
    job = await first(store, building.enqueue(job))
    assert job.position == 3
    job = await first(store, building.back_off(await first(store, building.claim(job))))
    assert job.position == 3
    step = building.enqueue(job)
    kept = await first(store, attrs.evolve(step, job=attrs.evolve(step.job, position=3)))
    assert kept.position == 3
    assert await store.get("a") == kept


# Order, durability, ownership


async def test_events_are_numbered_in_the_order_of_the_operations(store: Store) -> None:
    made = [building.submit(id) for id in "abc"]
    results = await store.write([made[0], made[0], made[1], made[2]])
    written = [e for result in results for e in getattr(result, "events", ())]
    assert [event.seq for event in written] == [1, 2, 3, 4, 5, 6]
    assert [event.job for event in written] == list("aabbcc")
    assert await store.events() == written


async def test_all_is_there_after_a_reopening(home: Home) -> None:
    async with home.open() as store:
        job = await first(store, building.claim(await first(store, building.submit("a"))))
        await store.write([building.scheduled("b", key="k"), building.complete(job, "x")])
        before = await snapshot(store)
    async with home.open() as store:
        assert await snapshot(store) == before
        [result] = await store.write([building.submit("c")])
        assert applied(result).events[0].seq == before.events[-1].seq + 1
        [result] = await store.write([building.submit("d", key="k")])
        assert rejected(result).why is Why.EXISTS


async def test_what_a_write_has_returned_is_read(store: Store) -> None:
    for number in range(20):
        job = await first(store, building.submit(f"{number}"))
        assert await store.get(job.id) == job
        assert len(await store.events(job=job.id)) == 2


async def test_a_store_has_one_owner(home: Home) -> None:
    async with home.open() as store:
        with pytest.raises(StoreLocked):
            await home.make().open()
        await store.write([building.submit("a")])
    async with home.open() as store:
        assert await store.get("a") is not None


async def test_a_store_that_is_not_open_does_nothing(home: Home) -> None:
    store = home.make()
    with pytest.raises(StoreClosed):
        await store.get("a")
    await store.open()
    await store.close()
    await store.close()
    for call in (
        lambda: store.write([building.submit("a")]),
        lambda: store.get("a"),
        lambda: store.find(Query()),
        lambda: store.events(),
        lambda: store.queued("q", [], 1),
        lambda: store.due(0, 1),
        lambda: store.next_due(),
        lambda: store.overdue(0, 1),
        lambda: store.next_deadline(),
        lambda: store.ended(JobState.FAILED, 0, 1),
        lambda: store.slots(),
        lambda: store.backlog(),
        lambda: store.gone("a"),
        lambda: store.queue_settings(),
        lambda: store.statistics(),
    ):
        with pytest.raises(StoreClosed):
            await call()


async def test_nobody_can_change_what_is_stored_from_outside(store: Store) -> None:
    payload, labels, result, data = {"list": [1]}, {"x": "y"}, {"frames": [1]}, {"phases": ["a"]}
    made = building.submit("a", payload=payload, labels=labels, phases=["a"])
    made = attrs.evolve(made, events=tuple(attrs.evolve(e, data=data) for e in made.events))
    job = await first(store, building.claim(await first(store, made)))
    await first(store, building.complete(job, result))
    before, other = await snapshot(store), await snapshot(store)
    for mine in (payload, labels, result, data):
        mine.clear()
    for theirs in (other.jobs[0].payload, other.jobs[0].result, other.events[0].data["phases"]):
        theirs.clear()
    assert await snapshot(store) == before


# Cancels


async def test_a_write_that_is_cancelled_before_it_begins_writes_nothing(store: Store) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.write([building.submit("a")])
    assert scope.cancelled_caught
    assert await store.get("a") is None
    await first(store, building.submit("a"))


async def test_a_write_that_is_cancelled_later_runs_to_its_end(store: Store) -> None:
    made = [building.submit(f"{number}") for number in range(300)]
    scope, told = trio.CancelScope(), list[int]()

    async def write() -> None:
        with scope:
            told.append(len(await store.write(made)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
    assert told == [300]
    assert (await store.statistics()).jobs == {JobState.QUEUED: 300}


async def test_a_close_in_a_cancelled_scope_closes(home: Home) -> None:
    store = home.make()
    await store.open()
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.close()
    async with home.open():
        pass


async def test_every_method_is_a_checkpoint(home: Home) -> None:
    store = home.make()
    with trio.testing.assert_checkpoints():
        await store.open()
    for call in (
        lambda: store.write([building.submit("a")]),
        lambda: store.write([]),
        lambda: store.get("a"),
        lambda: store.find(Query()),
        lambda: store.events(),
        lambda: store.queued("q", [], 1),
        lambda: store.due(0, 1),
        lambda: store.next_due(),
        lambda: store.overdue(0, 1),
        lambda: store.next_deadline(),
        lambda: store.ended(JobState.FAILED, 0, 1),
        lambda: store.slots(),
        lambda: store.backlog(),
        lambda: store.gone("a"),
        lambda: store.queue_settings(),
        lambda: store.statistics(),
        lambda: store.close(),
    ):
        with trio.testing.assert_checkpoints():
            await call()
