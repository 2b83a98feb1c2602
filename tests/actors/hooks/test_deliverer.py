"""What the deliverer does with the outbox: when it sends, in which order, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import triphase
from triphase.clock import TrioClock
from triphase.hooks import Answer, SendFailed, verify_webhook
from triphase.hooks.breaker import Tripping
from triphase.store import Disk, SimulatedStore
from triphase_protocol import HookState, JobState

from .receivers import OTHER, SECRET, URL, E, Echo, Receivers, opened, told


async def test_the_end_of_a_job_is_delivered_though_nobody_reads_it(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers()
    async with opened(
        receivers, secrets={"main": SECRET}, webhooks=[triphase.Webhook(url=URL, secret="main")]
    ) as runtime:
        job = await runtime.submit(Echo("hello"))
        await receivers.came.wait()
    [sent] = receivers.sent
    received = verify_webhook(
        sent.headers, sent.body, SECRET, now=int(TrioClock().now()), tolerance=60
    )
    payload: Any = received.payload
    assert payload["type"] == "job.completed"
    assert payload["data"]["job"]["id"] == job.id
    assert payload["data"]["job"]["state"] == JobState.COMPLETED
    assert sent.headers["content-type"] == "application/json"


async def test_what_failed_is_tried_again_with_the_same_id_and_body(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=200 if nth == 2 else 503, excerpt="busy"))
    async with opened(receivers) as runtime:
        job = await runtime.submit(Echo())
        events = await told(runtime, job, 3)
        [hook] = await runtime.hooks(job=job)
    assert [event.type for event in events] == [E.HOOK_FAILED, E.HOOK_FAILED, E.HOOK_DELIVERED]
    assert len({(each.id, each.body) for each in receivers.sent}) == 1
    assert (hook.state, hook.attempts, hook.status) == (HookState.DELIVERED, 3, 200)
    assert hook.error is None
    data: Any = events[0].data
    assert data["hook"] == hook.id
    assert (data["event"], data["seq"], data["attempt"]) == ("job.completed", hook.seq, 1)
    assert (data["status"], data["error"]) == (503, "HTTP 503: busy")
    assert data["retry_at"] >= events[0].at


async def test_a_receiver_that_asks_for_patience_gets_it(autojump_clock: MockClock) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=200 if nth else 429, retry_after=3000.0))
    async with opened(receivers) as runtime:
        await told(runtime, await runtime.submit(Echo()), 2)
    first, second = receivers.sent
    assert second.at - first.at >= 3000.0


async def test_a_delivery_is_given_up_after_its_last_try(autojump_clock: MockClock) -> None:
    receivers = Receivers(lambda sent, nth: SendFailed("hooks.example: refused", retry=True))
    retry = triphase.Retry(attempts=3, backoff=5.0)
    async with opened(receivers, sending={"retry": retry}) as runtime:
        job = await runtime.submit(Echo())
        events = await told(runtime, job, 3)
        [hook] = await runtime.hooks(states="dead")
        assert (await runtime.get(job)).state is JobState.COMPLETED
    assert [event.type for event in events] == [E.HOOK_FAILED, E.HOOK_FAILED, E.HOOK_DEAD]
    assert (hook.attempts, hook.status, hook.error) == (3, None, "hooks.example: refused")
    assert hook.due_at is None
    assert len(receivers.sent) == 3


async def test_what_can_never_be_sent_is_tried_once(autojump_clock: MockClock) -> None:
    receivers = Receivers(lambda sent, nth: SendFailed("a scheme of its own", retry=False))
    async with opened(receivers) as runtime:
        [event] = await told(runtime, await runtime.submit(Echo()))
    assert event.type is E.HOOK_DEAD
    assert len(receivers.sent) == 1


async def test_a_client_that_raises_what_it_likes_ends_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=200) if nth else KeyError("ouch"))
    async with opened(receivers) as runtime:
        events = await told(runtime, await runtime.submit(Echo()), 2)
    data: Any = events[0].data
    assert data["error"] == "hooks.example: KeyError"
    assert events[1].type is E.HOOK_DELIVERED
    assert "could not be sent" in caplog.text


# Order, room, and receivers that are left alone


async def test_events_of_a_job_come_in_order_though_the_first_fails(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=200 if nth == 2 else 500))
    everything = triphase.Webhook(url=URL, events=("job.submitted", "job.started", "job.completed"))
    async with opened(receivers, webhooks=[everything]) as runtime:
        job = await runtime.submit(Echo())
        await told(runtime, job, 9)
        hooks = await runtime.hooks(job=job)
    delivered = [each.id for each in receivers.sent if each.at == receivers.tries(each.id)[-1].at]
    assert list(dict.fromkeys(delivered)) == [hook.id for hook in hooks]
    assert [hook.event for hook in hooks] == [E.JOB_SUBMITTED, E.JOB_STARTED, E.JOB_COMPLETED]


@pytest.mark.parametrize(("limit", "limit_each"), [(5, 3), (2, 8)])
async def test_so_many_are_under_way_and_no_more(
    autojump_clock: MockClock, limit: int, limit_each: int
) -> None:
    receivers = Receivers(seconds=10.0)
    async with opened(
        receivers, sending={"limit": limit, "limit_each": limit_each}, drain_timeout=1000
    ) as runtime:
        jobs = [await runtime.submit(Echo()) for _ in range(12)]
        for job in jobs:
            await told(runtime, job)
    assert len(receivers.sent) == 12
    assert receivers.most_at_once == min(limit, limit_each)


async def test_a_backlog_is_read_ahead(autojump_clock: MockClock) -> None:
    class Counting(SimulatedStore):
        asked = 0

        async def due_hooks(self, *args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            return await super().due_hooks(*args, **kwargs)

    disk = Disk()
    async with opened(Receivers(seconds=1e6), disk, drain_timeout=0.0) as runtime:
        for job in [await runtime.submit(Echo()) for _ in range(80)]:
            await job.wait()
    receivers, store = Receivers(seconds=1.0), Counting(disk)
    async with opened(receivers, store=store, webhooks=()) as runtime:
        await trio.sleep(30.0)
        assert runtime.statistics().hooks.delivered == 80
    assert len(receivers.sent) == 80
    assert receivers.most_at_once == 8
    assert store.asked <= 40


async def test_a_receiver_that_hangs_holds_up_no_other(autojump_clock: MockClock) -> None:
    class Hanging(Receivers):
        async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
            if url == URL:
                await trio.sleep_forever()
            return await super().send(url, headers, body)

    receivers = Hanging()
    async with opened(
        receivers, webhooks=[URL, OTHER], sending={"limit": 10, "limit_each": 4}, drain_timeout=1
    ) as runtime:
        for job in [await runtime.submit(Echo()) for _ in range(30)]:
            [event] = await told(runtime, job)
            assert event.type is E.HOOK_DELIVERED
        assert runtime.statistics().hooks.sending == 4


async def test_a_receiver_at_which_nothing_succeeds_is_left_alone(
    autojump_clock: MockClock,
) -> None:
    receivers = Receivers(lambda sent, nth: Answer(status=500))
    tripping = Tripping(failures=3, pause=500.0)
    async with opened(receivers, sending={"limit_each": 1, "tripping": tripping}) as runtime:
        for _ in range(10):
            await runtime.submit(Echo())
        await trio.sleep(400)
        assert len(receivers.sent) == 3
        assert runtime.statistics().hooks.resting == 1
        receivers.answer = lambda sent, nth: Answer(status=200)
        await trio.sleep(400)
        assert runtime.statistics().hooks.delivered == 10
        assert runtime.statistics().hooks.resting == 0
    assert min(each.at for each in receivers.sent[3:]) >= 500.0


# Secrets


async def test_a_secret_that_nobody_gives_is_refused_where_it_is_named(
    autojump_clock: MockClock,
) -> None:
    webhook = triphase.Webhook(url=URL, secret="main")
    with pytest.raises(triphase.DefinitionError, match="webhooks: no secret is called 'main'"):
        async with opened(Receivers(), webhooks=webhook):
            pass
    async with opened(Receivers(), secrets={"other": SECRET}) as runtime:
        with pytest.raises(triphase.InvalidValue, match="'main'; there are: 'other'"):
            await runtime.submit(Echo(), webhook=webhook)


async def test_a_secret_that_is_missing_later_is_waited_for(autojump_clock: MockClock) -> None:
    disk = Disk()
    receivers = Receivers(seconds=1e6)
    webhook = triphase.Webhook(url=URL, secret="main")
    async with opened(
        receivers, disk, webhooks=webhook, secrets={"main": SECRET}, drain_timeout=1
    ) as runtime:
        job = await runtime.submit(Echo())
        await job.wait()
    receivers.seconds = 0.0
    async with opened(receivers, disk, webhooks=()) as runtime:
        [event] = await told(runtime, job)
        data: Any = event.data
        assert data["error"] == "hooks.example: no secret is called 'main'"
    assert len(receivers.sent) == 1
    async with opened(receivers, disk, webhooks=(), secrets={"main": SECRET}) as runtime:
        events = await told(runtime, job, 2)
    assert events[1].type is E.HOOK_DELIVERED


async def test_a_second_secret_signs_as_well(autojump_clock: MockClock) -> None:
    receivers = Receivers()
    webhook = triphase.Webhook(url=URL, secret="main")
    newer = "whsec_" + "bmV3ZXIgc2VjcmV0IG9mIHRoaXJ0eSBieXRlcyE="
    async with opened(receivers, webhooks=webhook, secrets={"main": (newer, SECRET)}) as runtime:
        await told(runtime, await runtime.submit(Echo()))
    [sent] = receivers.sent
    now = TrioClock().now()
    for secret in (newer, SECRET):
        assert verify_webhook(sent.headers, sent.body, secret, now=now).id == sent.id
