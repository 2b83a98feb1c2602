"""From a commit to a receiver in another process: over HTTP, with nobody who looks at the job."""

from __future__ import annotations

import json
import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Standard
from tests.actors.gateway.sites import Told, process, reserved

from triphase import Delivery, EventType, HookState, Runtime, Webhook, open_runtime, verify_webhook
from triphase_protocol import TERMINAL_EVENTS, unstructure

from . import working
from .outside import Outside, Posted, receiving
from .working import AT_ONCE, JOBS, SECRET, Asked, Held, Work

pytestmark = pytest.mark.slow

PROGRAM = Path(working.__file__)


def opened(store: Path, outside: Outside) -> AbstractAsyncContextManager[Runtime]:
    """Open a runtime whose webhooks go to this receiver."""
    return open_runtime(
        JOBS,
        store=store,
        webhooks=Webhook(url=outside.url, secret="main"),
        secrets={"main": SECRET},
        sending=AT_ONCE,
        drain_timeout=0,
    )


def running(store: Path, url: str, *options: str) -> AbstractAsyncContextManager[Told]:
    """Start a process that runs jobs; at the end it is killed."""
    return process(sys.executable, PROGRAM, store, url, *options)


def verified(posted: Posted) -> Any:
    """Return what a webhook says, as both our own verifier and another one read it."""
    ours = verify_webhook(posted.headers, posted.body, SECRET, now=time.time())
    assert Standard(SECRET).verify(posted.body, posted.headers) == ours.payload
    assert posted.headers["webhook-id"] == ours.id
    assert posted.headers["content-type"] == "application/json"
    return ours.payload


async def test_every_end_of_a_job_is_received_as_it_was_committed(tmp_path: Path) -> None:
    async with receiving() as outside:
        async with opened(tmp_path / "store", outside) as runtime:
            await runtime.submit(Work())
            await runtime.submit(Work(well=False))
            await runtime.reject(await runtime.submit(Asked()))
            held = await runtime.submit(Held())
            async for event in runtime.events(after=0, job=held):
                if event.type is EventType.PHASE_PROGRESS:
                    break
            await runtime.cancel(held, reason="enough")
            interrupted = await runtime.submit(Held())
            async for event in runtime.events(after=0, job=interrupted):
                if event.type is EventType.PHASE_PROGRESS:
                    break
            # What was received and is not noted when the runtime closes would come again.
            delivered = runtime.events(after=0, types=EventType.HOOK_DELIVERED)
            for _ in range(4):
                await anext(delivered)
        async with opened(tmp_path / "store", outside) as runtime:
            posted = await outside.until(5)
            last = runtime.statistics().feed.last_seq
            committed: dict[int, Any] = {}
            async for event in runtime.events(after=0):
                committed[event.seq] = event
                if event.seq >= last:
                    break
    received = [verified(each) for each in posted]
    assert {each["type"] for each in received} == {*TERMINAL_EVENTS}
    assert len({each.headers["webhook-id"] for each in posted}) == 5
    for each in received:
        event = committed[each["data"]["event"]["seq"]]
        assert each["data"]["event"] == json.loads(json.dumps(unstructure(event)))
        assert each["data"]["job"]["id"] == event.job
        assert each["data"]["job"]["version"] == event.version


async def test_a_receiver_that_fails_now_and_then_gets_all_with_the_same_ids(
    tmp_path: Path,
) -> None:
    async with (
        receiving(fail_every=3, fail_status=500) as outside,
        opened(tmp_path / "store", outside) as runtime,
    ):
        jobs = {(await runtime.submit(Work())).id for _ in range(10)}
        accepted: dict[str, str] = {}
        count = 0
        while len(accepted) < 10:
            count += 1
            each = (await outside.until(count))[count - 1]
            if each.answered == 204:
                id = each.headers["webhook-id"]
                assert id not in accepted
                accepted[id] = verified(each)["data"]["job"]["id"]
        posted = outside.posted
    assert {*accepted.values()} == jobs
    assert {each.headers["webhook-id"] for each in posted} == {*accepted}
    assert len({(each.headers["webhook-id"], each.body) for each in posted}) == 10


async def test_a_process_that_is_killed_before_the_answer_delivers_when_it_comes_back(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    async with receiving(hang_first=1) as outside:
        async with running(store, outside.url, "--submit=1") as first:
            await first.until("submitted", 1)
            [unanswered] = await outside.until(1)
        assert not first.all("hook")
        async with running(store, outside.url) as second:
            await second.until("hook", 1)
            hook = second.one("hook")
        [_, answered] = outside.posted
        verified(answered)
    assert hook["type"] == EventType.HOOK_DELIVERED
    assert hook["data"]["hook"] == answered.headers["webhook-id"]
    assert answered.headers["webhook-id"] == unanswered.headers["webhook-id"]
    assert answered.body == unanswered.body
    assert json.loads(answered.body)["data"]["job"]["id"] == first.one("submitted")


async def test_a_process_that_is_killed_before_anybody_listens_delivers_when_it_comes_back(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    with reserved(store) as place:
        url = f"http://127.0.0.1:{place.port}/hooks"
        async with running(store, url, "--submit=3") as first:
            await first.until("hook", 3)
        failed = first.all("hook")
        assert {each["type"] for each in failed} == {EventType.HOOK_FAILED}
        async with receiving(port=place.port) as outside, running(store, url):
            posted = await outside.until(3)
    assert {verified(each)["data"]["job"]["id"] for each in posted} == {*first.all("submitted")}
    assert {each["data"]["hook"] for each in failed} <= {
        each.headers["webhook-id"] for each in posted
    }


async def test_what_goes_out_once_at_most_is_not_sent_again_by_who_comes_back(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    once = f"--delivery={Delivery.AT_MOST_ONCE.value}"
    async with receiving(hang_first=1) as outside:
        async with running(store, outside.url, once, "--submit=1"):
            await outside.until(1)
        async with running(store, outside.url, once) as second:
            await second.until("hook", 1)
            hook = second.one("hook")
        async with opened(store, outside) as runtime:
            [listed] = await runtime.hooks()
        [posted] = outside.posted
    assert hook["type"] == EventType.HOOK_DEAD
    assert (listed.id, listed.state) == (posted.headers["webhook-id"], HookState.DEAD)
