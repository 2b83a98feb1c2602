"""The client: the runtime's verbs over a connection, and what becomes of them when it is lost."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from tests.actors.gateway.posts import Posts
from tests.actors.gateway.rig import Clip, End, Note, Rig, open_rig
from trio.testing import MockClock

import triphase
from triphase.client import (
    Client,
    ClientClosed,
    ConnectionLost,
    Unreachable,
    connect,
    events as events_module,
)
from triphase.gateway.access import Token
from triphase.websocket import Socket
from triphase_protocol import (
    Cancelled,
    Completed,
    HookNotFound,
    InvalidPayload,
    InvalidValue,
    JobNotFound,
    JobState,
    KeyConflict,
    NotFound,
    Queue,
    QueuePaused,
    TimedOut,
    UnknownJobType,
    UnknownQueue,
    WaitTimeout,
)
from triphase_protocol.wire import Forbidden, Scope, Unauthorized

URL = "ws://test/ws"


@attrs.define(eq=False)
class Wirecutter:
    """Makes connections to a gateway, and cuts them."""

    rig: Rig
    up: bool = True
    streams: list[End] = attrs.field(factory=list[End])

    async def dial(self) -> trio.abc.Stream:
        """Connect, if there is somebody."""
        if not self.up:
            raise OSError("nobody is there")
        stream = await self.rig.dial()
        assert isinstance(stream, End)
        self.streams.append(stream)
        return stream

    def cut(self) -> None:
        """Cut the last connection."""
        self.streams[-1].abort()


@asynccontextmanager
async def joined(rig: Rig, **options: Any) -> AsyncGenerator[tuple[Client, Wirecutter]]:
    """Connect a client to a gateway."""
    cutter = Wirecutter(rig)
    async with connect(URL, dial=cutter.dial, entropy=triphase.Entropy(1), **options) as client:
        yield client, cutter


# The verbs


async def test_it_has_the_runtimes_verbs(autojump_clock: MockClock) -> None:
    async with open_rig(Clip, Note) as rig, joined(rig) as (client, _):
        job = await client.submit(Clip(1.0, "a"), key="k", labels={"x": "y"})
        assert await job.wait() == Completed(job=job.id, run=1, result="a")
        assert (await client.get(job)).labels == {"x": "y"}
        assert await client.get(job.id) == await rig.runtime.get(job.id)
        assert (await client.submit(Clip(1.0, "a"), key="k")).id == job.id
        other = await client.submit("Note", {}, delay=5)
        page = await client.find(types="Note", states=JobState.SCHEDULED)
        assert [each.id for each in page.jobs] == [other.id]
        assert (await client.find(prefix=job.id[:8])).jobs == (await job.get(),)
        assert await client.wait_all([job, "nobody"]) == {
            job.id: Completed(job=job.id, run=1, result="a"),
            "nobody": NotFound(job="nobody"),
        }
        assert await client.wait_all([other], timeout=1) == {other.id: TimedOut(job=other.id)}
        assert (await client.retry(job, from_phase="cut")).state is JobState.QUEUED
        await client.pause("default")
        assert (await client.queues())["default"] == Queue(10, paused=True)
        await trio.sleep(10)
        assert await other.explain() == (QueuePaused("default"),)
        await client.resume("default")
        await client.set_limit("default", 3)
        assert rig.runtime.queues()["default"] == Queue(3)
        assert isinstance(await other.wait(), Completed)
        assert (await client.statistics())["owner"] == rig.runtime.statistics().owner


async def test_a_job_is_cancelled_and_decided_about(autojump_clock: MockClock) -> None:
    async with open_rig(Clip, Note) as rig, joined(rig) as (client, _):
        job = await client.submit(Clip(50.0))
        await trio.sleep(1)
        assert (await job.cancel(reason="enough")).state is JobState.STOPPING
        assert await job.wait() == Cancelled(job=job.id, run=1, reason="enough")
        gated = await client.submit(Note(), approval=triphase.Approval(60))
        gate = await gated.approve(reason="fine")
        assert (gate.approved, gate.timeout) == (True, 60)
        assert await gated.reject() == gate
        assert isinstance(await gated.wait(), Completed)


async def test_a_webhook_is_what_it_is_for_a_runtime(autojump_clock: MockClock) -> None:
    async with open_rig(Note, **Posts().options()) as rig, joined(rig) as (client, _):
        other = triphase.Webhook(url="https://two.example/", secret="main")
        job = await client.submit(Note(), delay=100, webhook=["https://one.example/", other])
        record = await job.get()
        assert record.webhooks == (triphase.Webhook(url="https://one.example/"), other)
        assert record == await rig.runtime.get(job.id)
        with pytest.raises(InvalidValue, match=r"^webhook: Webhook.*must begin with http"):
            await client.submit(Note(), webhook="ftp://x/")


async def test_times_are_what_they_are_for_a_runtime(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, _):
        when = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
        job = await client.submit(Note(), at=when)
        assert (await job.get()).due_at == when.timestamp()
        with pytest.raises(InvalidValue, match="needs a time zone"):
            await client.submit(Note(), at=datetime.datetime(2100, 1, 1))
        with pytest.raises(InvalidValue, match="a job has its own fields"):
            await client.submit(Note(), {})


NOT_SIGNED = triphase.Webhook(url="https://x.example/", secret="nobody's")
REFUSED: list[tuple[Callable[[Client], Awaitable[object]], type[Exception]]] = [
    (lambda client: client.get("nope"), JobNotFound),
    (lambda client: client.submit("Film"), UnknownJobType),
    (lambda client: client.submit("Clip", {"seconds": "x"}), InvalidPayload),
    (lambda client: client.submit(Clip(), queue="q"), UnknownQueue),
    (lambda client: client.submit(Clip(9.0), key="k"), KeyConflict),
    (lambda client: client.find(limit=0), InvalidValue),
    (lambda client: client.cancel("nope"), JobNotFound),
    (lambda client: client.hook("nope"), HookNotFound),
    (lambda client: client.redeliver("nope"), HookNotFound),
    (lambda client: client.hooks(limit=0), InvalidValue),
    (lambda client: client.hooks(states="odd"), InvalidValue),
    (lambda client: client.hooks(after=("x", 1)), InvalidValue),  # type: ignore[arg-type]
    (lambda client: client.hooks(after=(-1, "h")), InvalidValue),
    (lambda client: client.submit(Clip(), webhook=NOT_SIGNED), InvalidValue),
    (lambda client: client.events(after=-1).__anext__(), InvalidValue),
    (lambda client: client.events(job="nope").__anext__(), JobNotFound),
]


@pytest.mark.parametrize(("call", "error"), REFUSED)
async def test_errors_are_those_of_the_runtime(
    autojump_clock: MockClock, call: Callable[[Client], Awaitable[object]], error: type[Exception]
) -> None:
    async with open_rig(Clip) as rig, joined(rig) as (client, _):
        await client.submit(Clip(), key="k")
        with pytest.raises(error) as caught:
            await call(client)
        if isinstance(caught.value, InvalidPayload):
            assert caught.value.problems == ("$.seconds: expected float, got 'x' (str)",)
        assert await client.queues(), "the connection lives"


async def test_a_wait_has_a_timeout_of_its_own(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig, joined(rig) as (client, _):
        job = await client.submit(Clip(50.0))
        began = trio.current_time()
        with pytest.raises(WaitTimeout, match="has not ended in 3 s"):
            await job.wait(3)
        assert trio.current_time() - began == pytest.approx(3, abs=0.1)


# Events


async def test_events_come_from_the_log_and_then_live(autojump_clock: MockClock) -> None:
    async with open_rig(Clip, Note) as rig, joined(rig) as (client, _):
        first = await client.submit(Note())
        await first.wait()
        seen: list[int] = []

        async def follow() -> None:
            async for event in client.events(after=0):
                seen.append(event.seq)  # noqa: PERF401 - it is looked at before it ends

        rig.nursery.start_soon(follow)
        await (await client.submit(Clip(2.0))).wait()
        await trio.sleep(1)
        assert seen == list(range(1, rig.runtime.statistics().feed.last_seq + 1))
        of_job = [event.type async for event in first.events()]
        assert (of_job[0], of_job[-1]) == ("job.submitted", "job.completed")
        clips = client.events(after=0, job_types="Clip", types="job.completed", queues="media")
        assert (await clips.__anext__()).type == "job.completed"
        labelled = client.events(labels={"a": "b"})
        with trio.move_on_after(1):
            await labelled.__anext__()
        wanted = await client.submit(Note(), labels={"a": "b"})
        assert (await labelled.__anext__()).job == wanted.id
        with pytest.raises(InvalidValue, match="job= says which job"):
            client.events(job=first, queues="media")


async def test_two_readers_of_the_same_do_not_disturb_each_other(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, _):
        await (await client.submit(Note())).wait()
        one, other = client.events(after=0), client.events(after=2)
        assert (await one.__anext__()).seq == 1
        assert (await other.__anext__()).seq == 3
        assert (await one.__anext__()).seq == 2
        one.close()
        assert (await other.__anext__()).seq == 4
        await trio.sleep(1)
        assert rig.gateway.statistics().subscriptions == 1


async def test_a_reader_that_everybody_has_dropped_is_unsubscribed(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, _):
        job = await client.submit(Note())
        async for _ in client.events(after=0):
            break
        await job.wait()
        await trio.sleep(1)
        await (await client.submit(Note())).wait()
        await trio.sleep(1)
        assert rig.gateway.statistics().subscriptions == 0


async def test_a_reader_that_does_not_read_holds_so_much_and_misses_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "BUFFER", 20)
    async with open_rig(Note) as rig, joined(rig) as (client, _):
        reader = client.events(after=0)
        job = await client.submit(Note())
        assert (await reader.__anext__()).job == job.id
        for _ in range(30):
            await (await client.submit(Note())).wait()
            await trio.sleep(0.1)
        assert len(reader._ready) < 60
        assert rig.gateway.statistics().subscriptions == 0
        head = rig.runtime.statistics().feed.last_seq
        assert [(await reader.__anext__()).seq for _ in range(head - 1)] == list(range(2, head + 1))


# A connection that is lost


async def test_waits_and_streams_go_on_when_the_connection_is_back(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Clip) as rig, joined(rig) as (client, cutter):
        job = await client.submit(Clip(60.0, "a"))
        seen: list[int] = []

        async def follow() -> None:
            async for event in client.events(after=0):
                seen.append(event.seq)  # noqa: PERF401 - it is looked at before it ends

        async def cut() -> None:
            for number in range(8):
                await trio.sleep(5)
                cutter.up = number % 2 == 0
                cutter.cut()
                await trio.sleep(2)
                cutter.up = True

        rig.nursery.start_soon(follow)
        rig.nursery.start_soon(cut)
        assert await job.wait() == Completed(job=job.id, run=1, result="a")
        began, long = trio.current_time(), await client.submit(Clip(600.0), key="k")
        with pytest.raises(WaitTimeout):
            await long.wait(30)
        assert trio.current_time() - began == pytest.approx(30, abs=1)
        await trio.sleep(30)
        assert seen == list(range(1, rig.runtime.statistics().feed.last_seq + 1))
        assert len(cutter.streams) > 5


async def test_what_is_asked_while_the_connection_is_away_waits_for_it(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, cutter):
        cutter.up = False
        cutter.cut()
        await trio.sleep(1)

        async def back() -> None:
            await trio.sleep(100)
            cutter.up = True

        rig.nursery.start_soon(back)
        began = trio.current_time()
        job = await client.submit(Note())
        assert 100 <= trio.current_time() - began <= 131
        assert isinstance(await job.wait(), Completed)
        assert len((await client.find()).jobs) == 1


async def test_what_may_have_been_done_is_not_asked_twice(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, cutter):
        send = Socket.send

        async def send_and_cut(self: Socket, text: bytes) -> None:
            if text.startswith(b'{"type":"answer"'):
                cutter.cut()
            await send(self, text)

        monkeypatch.setattr(Socket, "send", send_and_cut)

        async def repair() -> None:
            await trio.sleep(60)
            monkeypatch.setattr(Socket, "send", send)

        with pytest.raises(ConnectionLost, match="during a submit"):
            await client.submit(Note())
        with pytest.raises(ConnectionLost, match="during a pause"):
            await client.pause("default")
        rig.nursery.start_soon(repair)
        # With a key it is asked again, and is still one job.
        job = await client.submit(Note(), key="k")
        assert (await client.queues())["default"].paused
        jobs = (await client.find()).jobs
        assert [each.key for each in jobs] == ["k", None]
        assert jobs[0].id == job.id


async def test_a_gateway_that_ends_is_waited_for_as_it_said(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, cutter):
        await client.queues()
        began = trio.current_time()
        rig.nursery.start_soon(rig.gateway.say_bye, 20.0)
        await trio.sleep(0.5)
        await client.queues()
        assert 20 <= trio.current_time() - began <= 22
        assert len(cutter.streams) == 2


async def test_a_gateway_that_is_silent_is_given_up(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, cutter):
        # Half open: what is sent goes nowhere, and nothing comes.
        half = cutter.streams[0]
        half.deaf = True
        await trio.sleep(16)
        began = trio.current_time()
        assert await client.queues()
        assert trio.current_time() - began < 45
        assert len(cutter.streams) == 2


async def test_a_new_log_is_told_and_read_from_its_beginning(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, open_rig(Note) as other, joined(rig) as (client, cutter):
        for runtime in (rig.runtime, rig.runtime, other.runtime):
            await (await runtime.submit(Note())).wait()
        reader = client.events(after=0)
        head = rig.runtime.statistics().feed.last_seq
        for _ in range(head):
            await reader.__anext__()
        cutter.rig = other
        cutter.cut()
        assert (await reader.__anext__()).seq == 1
        assert reader.reset is not None
        assert (reader.reset.reason, reader.reset.after) == ("epoch", head)
        assert client.epoch == other.gateway.host.epoch


# Who cannot connect


async def test_nobody_there_is_told_at_once_or_after_the_patience(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig:
        cutter = Wirecutter(rig, up=False)
        with pytest.raises(Unreachable, match="nobody is there"):
            async with connect(URL, dial=cutter.dial):
                pytest.fail("there is nobody")

        async def come() -> None:
            await trio.sleep(20)
            cutter.up = True

        rig.nursery.start_soon(come)
        async with connect(URL, dial=cutter.dial, patience=60) as client:
            assert await client.queues()


async def test_a_token_that_nobody_knows_is_told(autojump_clock: MockClock) -> None:
    token = Token.of("a secret of sixteen", name="ann", scopes=(Scope.READ,))
    async with open_rig(Note, tokens=(token,)) as rig:
        for wrong in (None, "another"):
            with pytest.raises(Unauthorized):
                async with joined(rig, token=wrong):
                    pytest.fail("it is not known")
        async with joined(rig, token="a secret of sixteen") as (client, _):
            assert await client.queues()
            with pytest.raises(Forbidden, match="scope submit"):
                await client.submit(Note())


async def test_a_token_that_is_no_longer_known_ends_the_client(autojump_clock: MockClock) -> None:
    token = Token.of("a secret of sixteen", name="ann")
    async with (
        open_rig(Note) as rig,
        open_rig(Note, tokens=(token,)) as other,
        joined(rig) as (client, cutter),
    ):
        cutter.rig = other
        reader = client.events()
        cutter.cut()
        with pytest.raises(Unauthorized):
            await client.queues()
        with pytest.raises(Unauthorized):
            await reader.__anext__()


@pytest.mark.parametrize(
    "url", ["", "http://a/", "ws://", "ws:///ws", "ws://a:x/", "ws://a:0/", "ws://me:pw@a/", "a:1"]
)
async def test_what_is_no_url_of_a_gateway_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="url="):
        async with connect(url):
            pytest.fail("it is none")


async def test_after_its_block_it_is_closed(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig:
        ended: list[str] = []

        async def follow(client: Client) -> None:
            async for _ in client.events():
                pass
            ended.append("stream")

        async def wait(client: Client, id: str) -> None:
            with pytest.raises(ClientClosed):
                await client.wait(id)
            ended.append("wait")

        async with joined(rig) as (client, _):
            job = await client.submit(Clip(500.0))
            rig.nursery.start_soon(follow, client)
            rig.nursery.start_soon(wait, client, job.id)
            await trio.sleep(1)
        await trio.sleep(1)
        assert sorted(ended) == ["stream", "wait"]
        with pytest.raises(ClientClosed):
            await client.queues()


async def test_what_its_block_raises_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig:
        with pytest.raises(ZeroDivisionError):
            async with joined(rig):
                raise ZeroDivisionError
