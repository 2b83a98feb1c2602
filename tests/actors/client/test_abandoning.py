"""Waits that a client gives up: the gateway is told, and holds on to none of them."""

from __future__ import annotations

import json

import pytest
import trio
from tests.actors.gateway.rig import Clip, open_rig
from trio.testing import MockClock, wait_all_tasks_blocked

from triphase.client import connect
from triphase.gateway.host import Manners
from triphase.websocket import Socket
from triphase_protocol import Completed, WaitTimeout
from triphase_protocol.wire import Abandon, Limits

from .test_client import joined
from .test_link import HELLO, URL, say, serving, talking
from .valve import Valve, shut


@pytest.fixture
def abandons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that clients say they have given up."""
    said: list[str] = []
    send = Socket.send

    async def send_and_note(self: Socket, text: bytes) -> None:
        message = json.loads(text)
        if message["type"] == "abandon":
            said.append(message["request"])
        await send(self, text)

    monkeypatch.setattr(Socket, "send", send_and_note)
    return said


async def test_a_client_may_give_up_more_waits_than_it_may_have_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Clip) as rig, joined(rig) as (client, cutter):
        job = await client.submit(Clip(1e6))
        most = Limits().waits
        for number in range(most + most // 2):
            with trio.move_on_after(0.001) as scope:
                await (client.wait_all([job]) if number % 2 else client.wait(job))
            assert scope.cancelled_caught
        await trio.sleep(1)
        assert rig.gateway.statistics().waits == 0
        assert rig.runtime.statistics().waiting == 0
        assert client._session._asked == {}
        assert len(cutter.streams) == 1
        with pytest.raises(WaitTimeout, match="has not ended in 1 s"):
            await client.wait(job, 1)


async def test_as_many_waits_as_may_be_are_given_up_at_once(autojump_clock: MockClock) -> None:
    manners = Manners(limits=Limits(waits=50, requests=2))
    async with open_rig(Clip, manners=manners) as rig, joined(rig) as (client, _):
        job = await client.submit(Clip(1e6))
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(client.wait, job)
                await wait_all_tasks_blocked()
                assert rig.gateway.statistics().waits == 50
                nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert rig.gateway.statistics().waits == 0
        assert client._session._asked == {}


async def test_a_wait_that_is_over_without_an_answer_is_given_up(
    autojump_clock: MockClock, abandons: list[str]
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.receive()
        await say(socket, **HELLO)
        for number in range(4):
            heard = json.loads(await socket.receive())
            assert heard["type"] == ("abandon" if number % 2 else "wait")
            # Of a gateway that has no such request.
            if number % 2:
                await say(socket, type="error", id=heard["id"], code="bad_message", message="no")
        await trio.sleep_forever()

    async with serving(talking(talk)) as dial, connect(URL, dial=dial) as client:
        for _ in range(2):
            with pytest.raises(WaitTimeout, match="no answer came in 5 s"):
                await client.wait("x", 5)
        await wait_all_tasks_blocked()
        assert abandons == ["1", "3"]
        assert client._session._asked == {}


async def test_only_what_the_gateway_waits_for_is_given_up(
    autojump_clock: MockClock, abandons: list[str], valve: Valve
) -> None:
    async with open_rig(Clip) as rig, joined(rig) as (client, cutter):
        job = await client.submit(Clip(50.0))
        with shut(valve):
            # The first is on its way; of the others nobody has heard.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.queues)
                await wait_all_tasks_blocked()
                nursery.start_soon(client.wait, job)
                nursery.start_soon(client.pause, "media")
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        assert await job.wait() == Completed(job=job.id, run=1, result="")
        assert not (await client.queues())["media"].paused
        job = await client.submit(Clip(1e6))
        cutter.up = False
        with trio.move_on_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.wait, job)
                await wait_all_tasks_blocked()
                cutter.cut()
        cutter.up = True
        await trio.sleep(60)
        assert abandons == [], "the connection was away"
        with trio.move_on_after(5):
            await client.wait(job)
        assert await client.queues()
        assert len(abandons) == 1
        assert client._session._asked == {}


async def test_what_was_to_be_given_up_is_forgotten_with_its_connection(
    autojump_clock: MockClock, abandons: list[str], valve: Valve
) -> None:
    async with open_rig(Clip) as rig, joined(rig) as (client, cutter):
        job, scope = await client.submit(Clip(1e6)), trio.CancelScope()

        async def wait() -> None:
            with scope:
                await client.wait(job)

        rig.nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        with shut(valve):
            rig.nursery.start_soon(client.queues)
            await wait_all_tasks_blocked()
            scope.cancel()
            await wait_all_tasks_blocked()
            [given_up] = [
                each.request.request
                for each in client._session._asked.values()
                if isinstance(each.request, Abandon)
            ]
            assert given_up not in client._session._asked
            cutter.cut()
            await wait_all_tasks_blocked()
        await trio.sleep(60)
        assert abandons == []
        assert client._session._asked == {}
        assert rig.gateway.statistics().waits == 0
