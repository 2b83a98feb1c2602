"""A client's requests over connections that end at the worst moment."""

from __future__ import annotations

import gc
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from tests.actors.gateway.rig import Clip, Note, open_rig
from trio.testing import MockClock, wait_all_tasks_blocked

import triphase
from triphase.client import Client, ClientClosed, ConnectionLost, connect
from triphase.client.errors import _BY_CODE, error_from
from triphase.client.session import BACKOFF_MOST, LATE, backoff
from triphase.gateway.host import Manners
from triphase.websocket import Socket
from triphase_protocol import Completed, InvalidPayload, InvalidValue, TimedOut, WaitTimeout
from triphase_protocol.wire import Error, Limits, ServerFailed

from .test_client import Wirecutter, joined
from .test_link import HELLO, URL, say, serving, talking
from .valve import Valve, shut

# The pauses between tries


def test_pauses_double_up_to_a_limit_however_many_there_were() -> None:
    assert [backoff(tries) for tries in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff(10**9) == BACKOFF_MOST


async def test_a_gateway_that_is_away_for_hours_is_found_again(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, cutter):
        cutter.up = False
        cutter.cut()
        await trio.sleep(6 * 3600)
        cutter.up = True
        assert await client.queues()


async def test_a_connection_that_is_lost_as_soon_as_it_is_made_is_not_made_all_the_time(
    autojump_clock: MockClock,
) -> None:
    connections = 0

    async def talk(socket: Socket) -> None:
        nonlocal connections
        connections += 1
        await socket.receive()
        await say(socket, **HELLO)
        await trio.sleep(1)

    entropy = triphase.Entropy(1)
    async with serving(talking(talk)) as dial, connect(URL, dial=dial, entropy=entropy):
        await trio.sleep(3000)
    assert connections < 300


async def test_the_pauses_are_drawn_from_the_entropy_that_is_given(
    autojump_clock: MockClock,
) -> None:
    async def tries(seed: int) -> list[float]:
        times: list[float] = []
        async with open_rig(Note) as rig:
            cutter = Wirecutter(rig)

            async def dial() -> trio.abc.Stream:
                times.append(trio.current_time() - began)
                return await cutter.dial()

            began = trio.current_time()
            async with connect(URL, dial=dial, entropy=triphase.Entropy(seed)):
                cutter.up = False
                cutter.cut()
                await trio.sleep(300)
        return times

    first = await tries(1)
    assert await tries(1) == pytest.approx(first)
    assert await tries(2) != pytest.approx(first)


# What cannot be sent, and what cannot be read

UNSENDABLE: list[tuple[Callable[[Client], Awaitable[object]], str]] = [
    (lambda client: client.submit(Note(), delay=math.inf), r"\$.delay: inf is not a JSON number"),
    (lambda client: client.submit(Note(), at=math.nan), r"\$.at: nan is not a JSON number"),
    (lambda client: client.submit(Note(), queue_timeout=-math.inf), r"\$.queue_timeout: -inf"),
    (lambda client: client.submit(Note(), key="\ud800"), r"\$.key: .* lone surrogate"),
    (lambda client: client.submit(Note(), labels={1: "a"}), "key 1"),  # type: ignore[dict-item]
    (lambda client: client.submit("Note", {"x": math.nan}), r"\$.x: nan is not a JSON number"),
    (lambda client: client.submit("Note", {"x": "\ud800"}), r"\$.x: .* lone surrogate"),
    (lambda client: client.submit("Note", {"x": {1, 2}}), r"\$.x: {1, 2}"),
    (lambda client: client.cancel("x", reason="\udfff"), r"\$.reason"),
    (lambda client: client.get("\ud800"), "is no id: a lone surrogate"),
    (lambda client: client.wait("x", math.nan), "timeout=nan"),
    (lambda client: client.wait("x", math.inf), "timeout=inf"),
    (lambda client: client.wait("x", -1), "timeout=-1"),
    (lambda client: client.wait_all(["x"], -0.5), "timeout=-0.5"),
    (lambda client: client.submit(Note(), key="x" * 3000), "submit: 3,.* more than the 3,000"),
]


@pytest.mark.parametrize(("call", "words"), UNSENDABLE)
async def test_what_cannot_be_sent_as_it_is_is_refused_and_hurts_no_other(
    autojump_clock: MockClock, call: Callable[[Client], Awaitable[object]], words: str
) -> None:
    manners = Manners(limits=Limits(message_bytes=3000))
    async with open_rig(Note, manners=manners) as rig, joined(rig) as (client, cutter):
        with pytest.raises(InvalidValue, match=words):
            await call(client)
        assert (await client.find()).jobs == ()
        assert len(cutter.streams) == 1


async def test_a_payload_by_name_is_an_invalid_payload(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, _):
        with pytest.raises(InvalidPayload, match="payload of Note cannot be stored"):
            await client.submit("Note", {"x": math.nan})


async def test_an_answer_that_cannot_be_read_is_told_to_who_asked(
    autojump_clock: MockClock,
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.receive()
        await say(socket, **HELLO)
        for number in (1, 2):
            await socket.receive()
            await say(socket, type="answer", id=str(number), result={"nonsense": 1})
        await trio.sleep_forever()

    async with serving(talking(talk)) as dial, connect(URL, dial=dial) as client:
        with pytest.raises(ServerFailed, match="the answer cannot be read"):
            await client.events().__anext__()
        with pytest.raises(InvalidValue, match="not a valid Got"):
            await client.get("x")


def test_every_error_of_a_gateway_is_an_exception() -> None:
    for code in [*_BY_CODE, "of a newer gateway"]:
        made = error_from(Error(id="1", code=code, message="words", problems=("$.x: y",)))
        assert isinstance(made, _BY_CODE.get(code, ServerFailed))
        assert "words" in str(made)


# A connection that ends while something is on its way


async def test_a_reader_whose_request_was_never_sent_begins_anew(
    autojump_clock: MockClock, valve: Valve
) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, cutter):
        await (await client.submit(Note())).wait()
        seen: list[int] = []

        async def follow() -> None:
            async for event in client.events(after=0):
                seen.append(event.seq)  # noqa: PERF401 - it is looked at before it ends

        with shut(valve):
            rig.nursery.start_soon(client.queues)
            await wait_all_tasks_blocked()
            rig.nursery.start_soon(follow)
            await wait_all_tasks_blocked()
            assert valve.waiting == 1
            cutter.cut()
            await wait_all_tasks_blocked()
        await trio.sleep(60)
        await (await client.submit(Note())).wait()
        await trio.sleep(1)
        assert seen == list(range(1, rig.runtime.statistics().feed.last_seq + 1))


async def test_a_reader_that_left_unheard_takes_nothing_from_the_next(
    autojump_clock: MockClock, valve: Valve
) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, cutter):
        await (await client.submit(Note())).wait()
        one = client.events(after=0)
        assert (await one.__anext__()).seq == 1
        with shut(valve):
            rig.nursery.start_soon(client.queues)
            await wait_all_tasks_blocked()
            one.close()
            cutter.cut()
            await wait_all_tasks_blocked()
        other = client.events(after=0)
        head = rig.runtime.statistics().feed.last_seq
        for seq in range(1, head + 1):
            assert (await other.__anext__()).seq == seq
        await (await client.submit(Note())).wait()
        assert (await other.__anext__()).seq == head + 1
        assert rig.gateway.statistics().subscriptions == 1


async def test_what_was_never_sent_is_sent_on_the_next_connection(
    autojump_clock: MockClock, valve: Valve
) -> None:
    async with open_rig(Note) as rig, joined(rig) as (client, cutter):

        async def submit(key: str, seconds: float) -> None:
            with trio.move_on_after(seconds):
                await client.submit(Note(), key=key)

        with shut(valve):
            # All are asked before one is sent, and then only that one can have been done.
            for number in range(5):
                rig.nursery.start_soon(submit, f"given up {number}", 1)
            await wait_all_tasks_blocked()
            assert valve.waiting == 1
            await trio.sleep(2)
        await trio.sleep(2)
        assert len((await client.find()).jobs) == 1
        with shut(valve):
            rig.nursery.start_soon(client.queues)
            await wait_all_tasks_blocked()
            rig.nursery.start_soon(submit, "wanted", 1000)
            await wait_all_tasks_blocked()
            cutter.cut()
            await wait_all_tasks_blocked()
        await trio.sleep(60)
        assert [job.key for job in (await client.find()).jobs][:-1] == ["wanted"]


async def test_what_is_not_known_to_be_done_is_told_so(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_rig(Clip, Note) as rig, joined(rig) as (client, cutter):
        running = await client.submit(Clip(1e6))
        gated = await client.submit(Note(), approval=True)
        send = Socket.send

        async def send_and_cut(self: Socket, text: bytes) -> None:
            if text.startswith(b'{"type":"answer"'):
                cutter.cut()
            await send(self, text)

        monkeypatch.setattr(Socket, "send", send_and_cut)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "submit": lambda: client.submit(Note()),
            "set_limit": lambda: client.set_limit("default", 3),
            "pause": lambda: client.pause("default"),
            "resume": lambda: client.resume("default"),
            "approve": lambda: client.approve(gated),
            "cancel": lambda: client.cancel(running),
        }
        for name, call in calls.items():
            with pytest.raises(ConnectionLost, match=f"during a {name}: whether it was done"):
                await call()
        assert (await rig.runtime.wait(running.id)).run == 1, "it was done"


async def test_a_request_that_is_given_up_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig, joined(rig) as (client, cutter):
        job = await client.submit(Clip(1e6))
        for up in (True, False):
            for _ in range(10):
                with trio.move_on_after(1):
                    await client.wait(job)
                with trio.move_on_after(1):
                    await client.events().__anext__()
            assert len(client._session._followers) < 3
            # What a cancel leaves may hold itself; then a sign of life finds that nobody is there.
            gc.collect()
            await trio.sleep(30)
            assert client._session._asked == {}
            assert client._session._followers == {}
            assert rig.gateway.statistics().subscriptions == 0
            cutter.up = up
            cutter.cut()


# A client that is of no use any more


async def test_a_connection_that_may_not_be_made_again_ends_readers_with_the_reason(
    autojump_clock: MockClock,
) -> None:
    def lost(why: str) -> None:
        raise ConnectionLost(f"once is enough: {why}")

    async with open_rig(Note) as rig, joined(rig, on_lost=lost) as (client, cutter):
        reader = client.events()
        cutter.cut()
        with pytest.raises(ConnectionLost, match="once is enough"):
            await reader.__anext__()
        for _ in range(3):
            with pytest.raises(ConnectionLost, match="once is enough") as caught:
                await client.queues()
            assert len(caught.traceback) < 8


async def test_a_wait_does_not_outlast_its_time_where_nobody_is(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Clip) as rig, joined(rig) as (client, cutter):
        job = await client.submit(Clip(1e6))
        cutter.up = False
        cutter.cut()
        for seconds in (0, 20):
            began = trio.current_time()
            with pytest.raises(WaitTimeout, match=f"no answer came in {seconds} s"):
                await client.wait(job, seconds)
            assert trio.current_time() - began == pytest.approx(seconds + LATE)
        assert await client.wait_all([job], 1) == {job.id: TimedOut(job=job.id)}
        assert client._session._asked == {}
        cutter.up = True
        with pytest.raises(WaitTimeout, match="has not ended in 100 s"):
            await client.wait(job, 100)


async def test_leaving_its_block_ends_all_that_is_asked(
    autojump_clock: MockClock, valve: Valve
) -> None:
    async with open_rig(Clip) as rig, trio.open_nursery() as nursery:
        ended: list[str] = []

        async def told(name: str, call: Callable[[], Awaitable[Any]]) -> None:
            with pytest.raises((ClientClosed, StopAsyncIteration)):
                await call()
            ended.append(name)

        async with joined(rig) as (client, cutter):
            job = await client.submit(Clip(1e6))
            nursery.start_soon(told, "said", lambda: client.wait(job))
            reader = client.events()
            nursery.start_soon(told, "followed", reader.__anext__)
            await wait_all_tasks_blocked()
            valve.opened = trio.Event()
            nursery.start_soon(told, "being said", client.queues)
            await wait_all_tasks_blocked()
            nursery.start_soon(told, "not said", lambda: client.submit(Clip()))
            await wait_all_tasks_blocked()
            cutter.up = False
        await wait_all_tasks_blocked()
        assert sorted(ended) == ["being said", "followed", "not said", "said"]
        assert isinstance(await rig.runtime.cancel(job.id), triphase.Job)
        assert not isinstance(await rig.runtime.wait(job.id), Completed)
