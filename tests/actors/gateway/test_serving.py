"""A gateway on a real port: what it takes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from triphase.gateway import Manners, Rules
from triphase.websocket import SocketClosed, opened
from triphase_protocol.wire import SUBPROTOCOL, Close

from .front import Client
from .rig import Note
from .sites import open_site, reserved


async def test_its_manners_say_what_the_door_takes(tmp_path: Path) -> None:
    manners = Manners(door=Rules(connections=1, retry_after=7))
    with reserved(tmp_path / "jobs.db") as place:
        async with open_site(place, Note, manners=manners), trio.open_nursery() as nursery:
            clients = [
                Client(await trio.open_tcp_stream("127.0.0.1", place.port)) for _ in range(2)
            ]
            with trio.fail_after(20):
                assert (await clients[0].ask("GET", "/healthz")).status == 200
                refused = await clients[1].answer()
                assert (refused.status, refused.code) == (503, "limit")
                assert refused.headers["retry-after"] == "7"
            for client in clients:
                nursery.start_soon(client.stream.aclose)


async def test_whoever_comes_while_it_says_bye_is_not_let_in(tmp_path: Path) -> None:
    with reserved(tmp_path / "jobs.db") as place:
        async with trio.open_nursery() as nursery:
            greeted = trio.Event()
            told: list[int] = []

            async def client() -> None:
                stream = await trio.open_tcp_stream("127.0.0.1", place.port)
                async with (
                    stream,
                    opened(
                        stream,
                        host="test",
                        resource="/ws",
                        subprotocols=[SUBPROTOCOL],
                        message_bytes=2**20,
                        handshake=10,
                    ) as socket,
                ):
                    await socket.send(b'{"type": "hello"}')
                    assert json.loads(await socket.receive())["type"] == "welcome"
                    greeted.set()
                    assert json.loads(await socket.receive())["type"] == "bye"
                    with pytest.raises(OSError, match="all attempts to connect"):
                        await trio.aclose_forcefully(
                            await trio.open_tcp_stream("127.0.0.1", place.port)
                        )
                    with pytest.raises(SocketClosed) as caught:
                        await socket.receive()
                    told.append(caught.value.code)

            async with open_site(place, Note):
                nursery.start_soon(client)
                await greeted.wait()
    assert told == [Close.RESTART]
