"""What every store must do, whatever it is made of: the outbox, and what becomes of its rows."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs
import pytest

from triphase.store import (
    Done,
    Limits,
    Prune,
    Redeliver,
    Step,
    Store,
    Why,
)
from triphase.store.outbox_rows import timestamp_of
from triphase_protocol import (
    Delivery,
    EventType,
    Hook,
    Job,
    StoreUnavailable,
    Webhook,
    decode,
    encode,
    fold,
)

from . import building
from .building import AT, applied, hooked, rejected, tried
from .homes import Home
from .outbox import DEAD, DELIVERED, PENDING, content, data, first, ids, row, submitted, to
from .walks import snapshot

# The row comes with the event


async def test_a_row_says_what_its_event_and_its_operation_said(store: Store) -> None:
    made = to("h", 0, delivery=Delivery.AT_MOST_ONCE, secret="main")
    job = await first(store, hooked(building.submit("a"), made))
    [submit, _] = await store.events(job="a")
    hook = await row(store, "h")
    assert hook == Hook(
        id="h",
        job="a",
        run=0,
        seq=submit.seq,
        event=EventType.JOB_SUBMITTED,
        url="https://example.org/h",
        delivery=Delivery.AT_MOST_ONCE,
        secret="main",
        due_at=submit.at,
        created_at=submit.at,
        body=hook.body,
    )
    assert content(hook) == {
        "type": "job.submitted",
        "timestamp": timestamp_of(submit.at),
        "data": {"event": decode(encode(submit)), "job": decode(encode(job))},
    }


async def test_the_body_has_the_record_with_what_the_store_gave(store: Store) -> None:
    job, hook = await submitted(store)
    assert job.position > 0
    sent = await data(store, hook.id)
    assert sent["job"]["position"] == job.position
    assert sent["event"]["seq"] == hook.seq > 0


async def test_every_operation_about_a_job_can_make_deliveries(store: Store) -> None:
    job, _ = await submitted(store, "a", to("submit"))
    job = await first(store, hooked(building.claim(job), to("claim")))
    job = await first(store, hooked(building.complete(job, "in.mp4"), to("step", 0)))
    job = await first(store, hooked(building.cancel(job), to("end")))
    await first(store, hooked(building.delete(job), to("delete")))
    events = {event.seq: event.type for event in await store.events()}
    found = await store.hooks()
    assert ids(found) == ["submit", "claim", "step", "end", "delete"], "pending rows are left"
    assert events == {found[-1].seq: EventType.JOB_DELETED}
    assert [hook.event.value for hook in found] == [
        "job.queued",
        "phase.started",
        "phase.completed",
        "job.cancelled",
        "job.deleted",
    ]
    assert [hook.run for hook in found] == [0, 1, 1, 1, 1]
    assert (await data(store, "step"))["job"]["phases"][0]["result"] == "in.mp4"


async def test_a_deletion_tells_what_was_deleted(store: Store) -> None:
    job = await first(store, building.cancel(await first(store, building.submit("a"))))
    gone = await first(store, hooked(building.delete(job), to("h")))
    assert (await data(store, "h"))["job"] == decode(encode(gone))


async def test_without_deliveries_there_is_no_row(store: Store) -> None:
    await first(store, building.claim(await first(store, building.submit("a"))))
    assert await store.hooks() == []
    assert await store.next_hook() is None
    assert (await store.statistics()).hooks == {}
    assert await store.hook("h") is None


async def test_a_rejected_operation_makes_none(store: Store) -> None:
    job = await first(store, building.submit("a", key="k"))
    other = await first(store, building.submit("b"))
    moved = await first(store, building.claim(job))
    full = building.claim(other, Limits(total=1, queue=1))
    results = await store.write(
        [
            hooked(building.submit("a")),
            hooked(building.submit("c", key="k")),
            hooked(building.cancel(job)),
            hooked(building.delete(job)),
            hooked(building.start(building.submit("nobody").job)),
            hooked(full),
            hooked(building.progress(moved), to("the only one")),
        ]
    )
    assert [rejected(result).why for result in results[:-1]] == [
        Why.EXISTS,
        Why.EXISTS,
        Why.STALE,
        Why.STALE,
        Why.GONE,
        Why.FULL,
    ]
    assert ids(await store.hooks()) == ["the only one"]


async def test_a_group_that_is_not_written_leaves_nothing_of_its_rows(store: Store) -> None:
    job, hook = await submitted(store, "a", to("delivered"), to("left"))
    job = await first(store, building.cancel(job))
    before = await snapshot(store)
    unstorable = hooked(building.submit("b", payload={"x": object()}))
    with pytest.raises(StoreUnavailable):
        await store.write(
            [
                hooked(building.submit("c")),
                tried(hook, DEAD, disabled=True),
                Redeliver(hook="delivered", due_at=AT),
                building.delete(job),
                tried(await row(store, "left"), DEAD),
                Prune(before=AT + 99),
                unstorable,
            ]
        )
    assert await snapshot(store) == before
    assert await store.disabled([hook.url]) == {}


async def test_an_id_of_a_delivery_is_given_once(store: Store) -> None:
    _, hook = await submitted(store, "a", to("h"))
    before = await snapshot(store)
    with pytest.raises(StoreUnavailable):
        await store.write([hooked(building.submit("b"), to("h"))])
    assert await snapshot(store) == before
    assert ids(await store.hooks()) == ["h"]
    assert await row(store, "h") == hook


async def test_the_rows_are_there_after_a_reopen(home: Home) -> None:
    async with home.open() as store:
        job, hook = await submitted(store, "a", to("delivered"), to("pending", secret="é\n"))
        job = await first(store, building.cancel(job))
        await store.write([tried(hook, DELIVERED), building.delete(job)])
        _, other = await submitted(store, "b")
        await store.write([tried(other, PENDING)])
        before = await snapshot(store)
    async with home.open() as store:
        assert await snapshot(store) == before
        assert ids(await store.hooks()) == ["pending", "hook of b"]


async def test_a_job_keeps_where_it_is_told_of(store: Store) -> None:
    webhooks = (
        Webhook(url="https://example.org/é".replace("é", "%C3%A9")),
        Webhook(
            url="http://[::1]:8080/x?y=z",
            events=("job.started", "phase.progress"),
            delivery=Delivery.AT_MOST_ONCE,
            secret="main",
        ),
    )
    job = await first(store, building.submit("a", webhooks=webhooks))
    assert job.webhooks == webhooks
    step = building.start(job)
    without = attrs.evolve(step, job=attrs.evolve(step.job, webhooks=()))
    await first(store, without)
    found = await store.get("a")
    assert found is not None
    assert found.webhooks == webhooks, "they stay as they were submitted"


# What becomes of a row


async def test_a_try_changes_the_row_and_is_told_of(store: Store) -> None:
    job, hook = await submitted(store)
    [result] = await store.write([tried(hook, PENDING)])
    again = await row(store, hook.id)
    assert again == attrs.evolve(
        hook, attempts=1, due_at=AT + 40, status=503, error="HTTP 503", state=PENDING
    )
    [event] = applied(result).events
    assert (event.type, event.data) == (EventType.HOOK_FAILED, {"hook": hook.id})
    assert (event.version, event.run) == (job.version + 1, job.run)
    assert applied(result).job == attrs.evolve(job, version=job.version + 1)
    assert applied(result).job == await store.get("a")
    [result] = await store.write([tried(again, DELIVERED)])
    assert await row(store, hook.id) == attrs.evolve(
        hook, attempts=2, due_at=None, ended_at=AT + 30, status=200, state=DELIVERED
    )
    events = await store.events(job="a")
    assert events[-1] == applied(result).events[0]
    assert fold(events).version == job.version + 2


async def test_a_step_may_tell_nobody(store: Store) -> None:
    job, hook = await submitted(store)
    [result] = await store.write([tried(hook, PENDING, tell=False)])
    assert isinstance(result, Done)
    assert (await row(store, hook.id)).attempts == 1
    assert await store.get("a") == job


async def test_a_late_answer_changes_nothing(store: Store) -> None:
    _, hook = await submitted(store)
    await store.write([tried(hook, PENDING)])
    again = await row(store, hook.id)
    before = await snapshot(store)
    results = await store.write([tried(hook, DELIVERED), tried(hook, DEAD)])
    assert [(rejected(r).why, rejected(r).current) for r in results] == [(Why.STALE, None)] * 2
    assert await snapshot(store) == before
    await store.write([tried(again, DELIVERED)])
    ended = await row(store, hook.id)
    before = await snapshot(store)
    for late in (tried(again, DEAD), tried(ended, PENDING), tried(ended, DEAD)):
        [result] = await store.write([late])
        assert rejected(result).why is Why.STALE
    assert await snapshot(store) == before


async def test_a_step_of_no_row_is_told_so(store: Store) -> None:
    _, hook = await submitted(store)
    nobody = attrs.evolve(hook, id="nobody")
    results = await store.write([tried(nobody, DELIVERED), Redeliver(hook="nobody", due_at=AT)])
    assert [rejected(result).why for result in results] == [Why.GONE, Why.GONE]


async def test_only_what_a_try_changes_is_written(store: Store) -> None:
    _, hook = await submitted(store)
    step = tried(hook, DELIVERED)
    other = attrs.evolve(step.hook, url="https://elsewhere/", body="{}", seq=9, secret="x")
    await store.write([attrs.evolve(step, hook=other)])
    found = await row(store, hook.id)
    assert (found.url, found.body, found.seq, found.secret) == (
        hook.url,
        hook.body,
        hook.seq,
        hook.secret,
    )


async def test_what_has_ended_can_be_delivered_again(store: Store) -> None:
    _, hook = await submitted(store)
    await store.write([tried(hook, DEAD)])
    dead = await row(store, hook.id)
    assert await store.due_hooks(AT + 99, 10) == []
    [result] = await store.write([Redeliver(hook=hook.id, due_at=AT + 50)])
    assert isinstance(result, Done)
    again = await row(store, hook.id)
    assert again == attrs.evolve(dead, state=PENDING, due_at=AT + 50, ended_at=None, spent=1)
    assert (again.id, again.body, again.attempts) == (hook.id, hook.body, 1)
    assert await store.due_hooks(AT + 50, 10) == [again]
    [late] = await store.write([tried(hook, DEAD)])
    assert rejected(late).why is Why.STALE, "the tries are counted on"
    await store.write([tried(again, DELIVERED)])
    delivered = await row(store, hook.id)
    assert (delivered.attempts, delivered.spent) == (2, 1)
    [result] = await store.write([Redeliver(hook=hook.id, due_at=AT + 60)])
    assert isinstance(result, Done), "though it was delivered"
    again = await row(store, hook.id)
    assert (again.state, again.attempts, again.spent) == (PENDING, 2, 2)


async def test_what_is_pending_is_hastened_and_nothing_else(store: Store) -> None:
    _, hook = await submitted(store)
    await store.write([tried(hook, PENDING)])
    waits = await row(store, hook.id)
    assert waits.due_at == AT + 40
    for asked, due_at in ((AT + 41, AT + 40), (AT + 20, AT + 20), (AT + 30, AT + 20)):
        [result] = await store.write([Redeliver(hook=hook.id, due_at=asked)])
        assert isinstance(result, Done)
        assert await row(store, hook.id) == attrs.evolve(waits, due_at=due_at)
    [result] = await store.write([tried(waits, DELIVERED)])
    assert applied(result).events, "a try that was under way is heard all the same"


async def test_what_waits_for_no_time_is_hastened_too(store: Store) -> None:
    _, hook = await submitted(store)
    step = tried(hook, PENDING)
    await store.write([attrs.evolve(step, hook=attrs.evolve(step.hook, due_at=None))])
    await store.write([Redeliver(hook=hook.id, due_at=AT + 50)])
    assert (await row(store, hook.id)).due_at == AT + 50


async def test_a_list_has_no_bodies(store: Store) -> None:
    job, hook = await submitted(store, "a", to("one"), to("two"))
    await store.write([tried(hook, DEAD)])
    rows = [await row(store, "one"), await row(store, "two")]
    bare = [attrs.evolve(each, body=None) for each in rows]
    assert bare != rows
    assert await store.hooks() == bare
    assert await store.hooks(job=job.id) == bare
    assert await store.hooks(states=[DEAD, PENDING]) == bare
    assert await store.due_hooks(AT + 99, 10) == rows[1:]


# The body


async def test_the_body_stays_though_the_job_moves_on(store: Store) -> None:
    job, _ = await submitted(store, "a")
    job = await first(store, hooked(building.cancel(job), to("h")))
    hook = await row(store, "h")
    assert (await data(store, "h"))["job"]["state"] == "cancelled"
    job = await first(store, building.retry(job))
    job = await first(store, building.claim(job))
    assert await row(store, "h") == hook
    job = await first(store, building.cancel(job))
    await first(store, building.delete(job))
    assert await row(store, "h") == hook


# A job that moves on while its deliveries are told of


@pytest.mark.parametrize("together", [False, True])
async def test_a_step_that_was_decided_before_a_note_is_applied_behind_it(
    store: Store, together: bool
) -> None:
    job, hook = await submitted(store, "a", to("one"), to("two"))
    job = await first(store, building.claim(job))
    note, step = tried(hook, DELIVERED), hooked(building.complete(job, "in.mp4"), to("three", 0))
    if together:
        [_, result] = await store.write([note, step])
    else:
        await store.write([note])
        [result] = await store.write([step])
    after = attrs.evolve(step.job, version=step.job.version + 1)
    assert applied(result).job == after == await store.get("a")
    events = await store.events(job="a")
    assert [event.version for event in events] == list(range(1, after.version + 1))
    assert fold(events).version == after.version
    sent = await data(store, "three")
    assert sent["job"]["version"] == after.version
    assert sent["event"]["version"] == after.version - 1
    # And what was decided on the record before is fenced off for good.
    results = await store.write([building.stop(job), step])
    assert [rejected(each).why for each in results] == [Why.STALE, Why.STALE]


async def test_no_number_of_notes_lets_an_older_step_in(store: Store) -> None:
    job, _ = await submitted(store, "a", to("one"), to("two"), to("three"))
    old = building.claim(job)
    running = await first(store, old)
    for id in ("one", "two", "three"):
        await store.write([tried(await row(store, id), DELIVERED)])
    results = await store.write([old, building.cancel(job), building.delete(job)])
    assert [rejected(result).why for result in results] == [Why.STALE] * 3
    between = attrs.evolve(running, version=running.version + 2)
    ahead = attrs.evolve(running, version=running.version + 4)
    other_run = attrs.evolve(building.progress(running), run=running.run + 1)
    results = await store.write([building.progress(ahead), other_run, building.progress(between)])
    assert [rejected(result).why for result in results[:2]] == [Why.STALE, Why.STALE]
    assert applied(results[2]).job.version == running.version + 4


@pytest.mark.parametrize("move", [building.progress, building.stop])
async def test_a_note_before_a_step_lets_nothing_in_behind_it(
    store: Store, move: Callable[[Job], Step]
) -> None:
    job, hook = await submitted(store)
    job = await first(store, building.claim(job))
    [result] = await store.write([tried(hook, DELIVERED)])
    noted = applied(result).job
    moved = await first(store, move(noted))
    assert moved.version == noted.version + 1
    results = await store.write([move(noted), building.cancel(noted)])
    assert [(rejected(each).why, rejected(each).current) for each in results] == [
        (Why.STALE, moved),
        (Why.STALE, moved),
    ]


async def test_a_claim_and_a_deletion_go_behind_notes_too(store: Store) -> None:
    job, hook = await submitted(store, "a", to("one"), to("two"))
    results = await store.write([tried(hook, DELIVERED), building.claim(job)])
    job = applied(results[1]).job
    assert fold(await store.events(job="a")).version == job.version
    job = await first(store, building.cancel(job))
    results = await store.write([tried(await row(store, "two"), DEAD), building.delete(job)])
    [gone] = await store.events(job="a")
    assert gone.version == applied(results[1]).job.version == job.version + 2
    assert await store.gone("a")


async def test_a_large_body_comes_back_as_it_was(store: Store) -> None:
    made = building.submit("a", payload={"text": "é\n\x00" * 300_000})
    await store.write([hooked(made, to("h"))])
    hook = await row(store, "h")
    assert json.loads(hook.body or "")["data"]["job"]["payload"] == made.job.payload
    await store.write([tried(hook, DELIVERED)])
    assert (await row(store, "h")).body == hook.body


def test_a_time_is_written_to_the_microsecond_in_utc() -> None:
    assert timestamp_of(0.0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp_of(1_769_846_400.25) == "2026-01-31T08:00:00.250000Z"
    assert timestamp_of(-1.5) == "1969-12-31T23:59:58.500000Z"
