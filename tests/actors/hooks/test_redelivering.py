"""Receivers that have said that they are gone, and deliveries that are asked for again."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

import triphase
from triphase.hooks import Answer
from triphase.hooks.breaker import Tripping
from triphase.store import Disk
from triphase_protocol import HookState

from .receivers import OTHER, URL, E, Echo, Receivers, opened, told

# A receiver that is gone, asked again


async def test_a_receiver_that_is_gone_gets_nothing_more(autojump_clock: MockClock) -> None:
    disk = Disk()
    receivers = Receivers(lambda sent, nth: Answer(status=410))
    async with opened(receivers, disk, webhooks=[URL, OTHER]) as runtime:
        first = await runtime.submit(Echo())
        await told(runtime, first, 2)
        assert len(receivers.sent) == 2
    receivers.answer = lambda sent, nth: Answer(status=200)
    async with opened(receivers, disk) as runtime:
        second = await runtime.submit(Echo())
        [event] = await told(runtime, second)
        [hook] = await runtime.hooks(job=second)
    assert event.type is E.HOOK_DEAD
    assert (hook.attempts, hook.status) == (0, None)
    assert hook.error is not None
    assert "gone" in hook.error
    assert len(receivers.sent) == 2


async def test_what_was_read_ahead_is_not_sent_to_a_receiver_that_is_gone(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=410), seconds=1.0)
    async with opened(receivers, sending={"limit_each": 2}) as runtime:
        jobs = [await runtime.submit(Echo()) for _ in range(12)]
        for job in jobs:
            [event] = await told(runtime, job)
            assert event.type is E.HOOK_DEAD
    assert len(receivers.sent) <= 4


async def test_a_redelivery_asks_a_receiver_again_that_was_gone(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=410 if nth == 0 else 200))
    async with opened(receivers) as runtime:
        job = await runtime.submit(Echo())
        await told(runtime, job)
        [dead] = await runtime.hooks(states=HookState.DEAD)
        again = await runtime.redeliver(dead.id)
        assert (again.state, again.attempts, again.spent) == (HookState.PENDING, 1, 1)
        events = await told(runtime, job, 2)
        receivers.answer = lambda sent, nth: Answer(status=200)
        other = await runtime.submit(Echo())
        [fine] = await told(runtime, other)
    assert events[1].type is fine.type is E.HOOK_DELIVERED
    assert len({(each.id, each.body) for each in receivers.tries(dead.id)}) == 1


async def test_a_redelivery_has_as_many_tries_as_a_new_one(autojump_clock: MockClock) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=500))
    retry = triphase.Retry(attempts=2, backoff=1.0)
    async with opened(receivers, sending={"retry": retry}) as runtime:
        job = await runtime.submit(Echo())
        await told(runtime, job, 2)
        [dead] = await runtime.hooks()
        await runtime.redeliver(dead.id)
        events = await told(runtime, job, 4)
    assert [event.type for event in events[2:]] == [E.HOOK_FAILED, E.HOOK_DEAD]
    data: Any = events[-1].data
    assert data["attempt"] == 4


async def test_a_redelivery_does_not_wait_for_a_backoff_or_a_breaker(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=500, retry_after=80_000.0))
    async with opened(receivers, sending={"tripping": Tripping(failures=1, pause=3000)}) as runtime:
        job = await runtime.submit(Echo())
        [failed] = await told(runtime, job)
        receivers.answer = lambda sent, nth: Answer(status=200)
        [hook] = await runtime.hooks()
        await runtime.redeliver(hook.id)
        events = await told(runtime, job, 2)
    assert events[1].type is E.HOOK_DELIVERED
    assert events[1].at == failed.at


async def test_there_is_nothing_to_redeliver_of_another_id(autojump_clock: MockClock) -> None:
    async with opened(Receivers()) as runtime:
        with pytest.raises(triphase.HookNotFound, match="'nothing'"):
            await runtime.redeliver("nothing")
        with pytest.raises(triphase.HookNotFound, match="'nothing'"):
            await runtime.hook("nothing")
