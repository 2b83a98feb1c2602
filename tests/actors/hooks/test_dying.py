"""Deliveries when something ends: the process, the runtime, the job, or room on the disk."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import triphase
from triphase.hooks import Answer
from triphase.store import Claim, Disk, HookStep, SimulatedStore
from triphase_protocol import HookState

from .receivers import URL, E, Echo, Receivers, opened, told

# At most once


async def test_at_most_once_is_tried_once(autojump_clock: MockClock) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=500))
    once = triphase.Webhook(url=URL, delivery=triphase.Delivery.AT_MOST_ONCE)
    async with opened(receivers, webhooks=once) as runtime:
        [event] = await told(runtime, await runtime.submit(Echo()))
    assert event.type is E.HOOK_DEAD
    assert len(receivers.sent) == 1


@pytest.mark.parametrize(
    ("delivery", "tries", "end"), [("at_most_once", 1, "dead"), ("at_least_once", 2, "delivered")]
)
async def test_what_was_being_sent_when_the_process_died(
    autojump_clock: MockClock, delivery: Any, tries: int, end: str
) -> None:
    disk = Disk()
    receivers = Receivers(seconds=1e6)
    webhook = triphase.Webhook(url=URL, delivery=delivery)
    with trio.CancelScope() as scope:
        async with opened(receivers, disk, webhooks=webhook) as runtime:
            await runtime.submit(Echo())
            await receivers.came.wait()
            scope.cancel()
    receivers.seconds = 0.0
    async with opened(receivers, disk, webhooks=()) as runtime:
        await trio.sleep(100)
        [hook] = await runtime.hooks()
    assert hook.state == end
    assert len(receivers.sent) == tries
    assert {each.id for each in receivers.sent} == {hook.id}


async def test_somebody_may_ask_for_a_second_time_of_at_most_once(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=200 if nth else 500))
    once = triphase.Webhook(url=URL, delivery=triphase.Delivery.AT_MOST_ONCE)
    async with opened(receivers, webhooks=once) as runtime:
        job = await runtime.submit(Echo())
        await told(runtime, job)
        [hook] = await runtime.hooks()
        await runtime.redeliver(hook.id)
        events = await told(runtime, job, 2)
    assert events[1].type is E.HOOK_DELIVERED


# Ends


async def test_closing_waits_for_what_is_being_sent(autojump_clock: MockClock) -> None:
    disk = Disk()
    receivers = Receivers(seconds=20.0)
    async with opened(receivers, disk) as runtime:
        await (await runtime.submit(Echo())).wait()
    assert [hook.state for hook in disk.hooks()] == [HookState.DELIVERED]


async def test_closing_leaves_the_rest_to_the_next_start(autojump_clock: MockClock) -> None:
    disk = Disk()
    receivers = Receivers(seconds=20.0)
    async with opened(receivers, disk, drain_timeout=5.0) as runtime:
        await (await runtime.submit(Echo())).wait()
    assert trio.current_time() < 20.0
    assert [hook.state for hook in disk.hooks()] == [HookState.PENDING]
    async with opened(receivers, disk, webhooks=()) as runtime:
        await anext(runtime.events(after=0, types="hook.delivered"))
    first, second = receivers.sent
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_drain_waits_for_what_is_being_sent_as_long_as_it_may(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers(seconds=20.0)
    async with opened(receivers, drain_timeout=0.0) as runtime:
        await (await runtime.submit(Echo())).wait()
        assert not await runtime.drain(5.0)
        assert await runtime.drain(30.0)
        [hook] = await runtime.hooks()
        assert hook.state is HookState.DELIVERED
        await runtime.redeliver(hook.id)
        await trio.sleep(1000.0)
        assert len(receivers.sent) == 1, "that is left to the next runtime"


async def test_closing_begins_no_second_try(autojump_clock: MockClock) -> None:
    disk = Disk()
    receivers = Receivers(lambda sent, nth: Answer(status=500), seconds=1.0)
    async with opened(receivers, disk, drain_timeout=10_000) as runtime:
        await (await runtime.submit(Echo())).wait()
    assert len(receivers.sent) == 1
    assert [hook.state for hook in disk.hooks()] == [HookState.PENDING]


async def test_a_job_that_is_deleted_meanwhile_harms_nobody(autojump_clock: MockClock) -> None:
    receivers = Receivers(seconds=50.0)
    kept = triphase.Retention(delete_after=1.0)
    async with opened(receivers, retention=kept) as runtime:
        job = await runtime.submit(Echo())
        await job.wait()
        await trio.sleep(40)
        with pytest.raises(triphase.JobGone):
            await runtime.get(job)
        await trio.sleep(40)
        [hook] = await runtime.hooks(job=job.id)
        assert hook.state is HookState.DELIVERED
        assert runtime.statistics().hooks.delivered == 1


class Refusing(SimulatedStore):
    """A store that refuses to write what became of deliveries, or to read them, for a while."""

    refused = 0

    async def write(self, operations: Any) -> Any:
        """See `Store.write`."""
        if self.refused < 3 and any(isinstance(each, HookStep) for each in operations):
            self.refused += 1
            raise triphase.StoreUnavailable("the disk is full")
        return await super().write(operations)


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_nothing_is_sent_twice_because_the_disk_is_full(
    autojump_clock: MockClock, delivery: Any
) -> None:
    receivers = Receivers()
    store = Refusing(Disk())
    webhook = triphase.Webhook(url=URL, delivery=delivery)
    async with opened(receivers, store=store, webhooks=webhook) as runtime:
        [event] = await told(runtime, await runtime.submit(Echo()))
    assert event.type is E.HOOK_DELIVERED
    assert store.refused == 3
    assert len(receivers.sent) == 1


async def test_a_scheduler_that_crashes_breaks_off_nothing_that_is_sent(
    autojump_clock: MockClock,
) -> None:
    class NoClaims(SimulatedStore):
        refused = 0

        async def write(self, operations: Any) -> Any:
            claims = any(isinstance(each, Claim) for each in operations)
            if claims and runtime.statistics().hooks.sending and self.refused < 2:
                self.refused += 1
                raise triphase.StoreUnavailable("the disk is full")
            return await super().write(operations)

    receivers = Receivers(seconds=15.0)
    store = NoClaims(Disk())
    once = triphase.Webhook(url=URL, delivery=triphase.Delivery.AT_MOST_ONCE)
    async with opened(receivers, store=store, webhooks=once) as runtime:
        first = await runtime.submit(Echo())
        await receivers.came.wait()
        second = await runtime.submit(Echo())
        for job in (first, second):
            [event] = await told(runtime, job)
            assert event.type is E.HOOK_DELIVERED
    assert store.refused == 2
    assert len(receivers.sent) == 2


async def test_an_outbox_that_cannot_be_read_is_looked_at_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Unread(SimulatedStore):
        asked = 0

        async def due_hooks(self, *args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            if self.asked <= 2:
                raise triphase.StoreUnavailable("not now")
            return await super().due_hooks(*args, **kwargs)

    receivers = Receivers()
    async with opened(receivers, store=Unread(Disk())) as runtime:
        [event] = await told(runtime, await runtime.submit(Echo()))
    assert event.type is E.HOOK_DELIVERED
    assert "the outbox cannot be read: not now" in caplog.text
