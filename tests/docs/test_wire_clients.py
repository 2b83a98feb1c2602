"""The clients of the page about the wire protocol do what the page says of clients."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from tests.actors.gateway.rig import Clip
from tests.actors.gateway.sites import Told, open_site, reserved

from triphase.websocket import SocketClosed, accepted
from triphase.wires import Wire
from triphase_protocol.wire import SUBPROTOCOL

from .page_clients import Prepare, javascript_client, python_client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("client", [python_client, javascript_client]),
]


# In front of a gateway


async def test_it_goes_on_after_a_cut_and_over_a_restart(client: Prepare, tmp_path: Path) -> None:
    async with client(tmp_path) as ready:
        with reserved(tmp_path / "jobs.db", ready.origins) as place:
            async with ready.follow(place.url) as told:
                # Nobody is there yet.
                await told.until("pause", 2)
                async with open_site(place, Clip) as site:
                    await site.run(Clip(name="a"), Clip(name="b"))
                    await told.until("event", len(await site.log()))
                    site.cut()
                    await site.run(Clip(name="c"))
                    await told.until("event", len(await site.log()))
                async with open_site(place, Clip) as site:
                    await site.run(Clip(name="d"))
                    log = await site.log()
                    await told.until("event", len(log))
    assert told.all("event") == log
    assert not told.all("reset")
    assert not told.all("end")


async def test_it_says_that_the_log_is_another(client: Prepare, tmp_path: Path) -> None:
    async with client(tmp_path) as ready:
        with reserved(tmp_path / "jobs.db", ready.origins) as place:
            async with ready.follow(place.url) as told:
                async with open_site(place, Clip) as site:
                    await site.run(Clip(name="a"))
                    log = await site.log()
                    await told.until("event", len(log))
                place.forget()
                async with open_site(place, Clip) as site:
                    await site.run(Clip(name="b"))
                    other = await site.log()
                    await told.until("event", len(log) + len(other))
    assert told.all("event") == log + other
    assert told.all("reset") == [{"reason": "epoch", "after": log[-1]["seq"]}]


# In front of a script

REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Part = dict[str, Any] | int | bytes
"""A message; a code to close with; or bytes in the place of a handshake."""


@attrs.define(eq=False)
class Script:
    """A gateway that says what stands in a script, connection by connection."""

    parts: list[Sequence[Part]]
    asked: list[tuple[int, str | None]] = attrs.field(factory=list[tuple[int, str | None]])
    """After what, and of which log, each connection has asked for events."""

    url: str = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve a connection, until the client has left."""
        part = self.parts.pop(0)
        async with stream:
            if isinstance(part[0], bytes):
                await stream.receive_some()
                await stream.send_all(part[0])
                return
            async with accepted(
                Wire(stream), subprotocol=SUBPROTOCOL, message_bytes=2**20, handshake=10
            ) as socket:
                assert json.loads(await socket.receive())["type"] == "hello"
                subscribe = json.loads(await socket.receive())
                assert subscribe["type"] == "subscribe"
                self.asked.append((subscribe["after"], subscribe["epoch"]))
                try:
                    for each in part:
                        if isinstance(each, int):
                            await socket.close(each, "so it is")
                        else:
                            assert isinstance(each, dict)
                            await socket.send(json.dumps(each).encode())
                    await socket.receive()
                except SocketClosed:
                    pass


@asynccontextmanager
async def open_script(*parts: Sequence[Part]) -> AsyncGenerator[Script]:
    """Serve a script."""
    script = Script(list(parts))
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        script.url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws"
        nursery.start_soon(trio.serve_listeners, script.serve, [listener])
        yield script
        nursery.cancel_scope.cancel()


def welcome(heartbeat: float = 15) -> dict[str, Any]:
    return {"type": "welcome", "heartbeat": heartbeat}


def begins(after: int, epoch: str = "one", reset: Any = None) -> dict[str, Any]:
    result = {"topic": "jobs", "epoch": epoch, "after": after, "head": 9, "reset": reset}
    return {"type": "answer", "id": "1", "result": result}


def events(after: int, to: int, *seqs: int) -> dict[str, Any]:
    found = [{"seq": seq, "type": "job.queued"} for seq in seqs]
    return {"type": "events", "topic": "jobs", "from": after, "to": to, "events": found}


def error(code: str) -> dict[str, Any]:
    return {"type": "error", "id": "1", "code": code, "message": f"it is {code}"}


RESET = {"reason": "epoch", "after": 8}

SCRIPT: list[Sequence[Part]] = [
    [welcome(), begins(0), events(0, 2, 1, 2), events(2, 3), events(5, 6, 6)],
    [
        welcome(),
        begins(3),
        events(3, 5, 4, 5),
        {"type": "bye", "reason": "it ends", "retry_after": 2},
        1012,
    ],
    [welcome(), error("store_unavailable")],
    [REFUSED],
    [welcome(heartbeat=1), begins(5)],
    [
        welcome(),
        begins(5),
        {"type": "lagging", "topic": "jobs", "from": 5, "head": 9},
        events(5, 7, 7),
        {"type": "pulse", "head": 9},
        {"type": "new", "topic": "jobs"},
        events(5, 8, 7, 8),
        1011,
    ],
    [welcome(), begins(0, "two", RESET), events(0, 1, 1), 1001],
    [welcome(), error("forbidden")],
]


async def follow_to_the_end(
    client: Prepare, folder: Path, *parts: Sequence[Part]
) -> tuple[Script, Told]:
    """Run a client in front of a script, until it has ended by itself."""
    async with (
        client(folder) as ready,
        open_script(*parts) as script,
        ready.follow(script.url) as told,
    ):
        await told.until("end", 1)
    assert not script.parts
    return script, told


async def test_it_keeps_to_the_protocol(client: Prepare, tmp_path: Path) -> None:
    script, told = await follow_to_the_end(client, tmp_path, *SCRIPT)
    assert script.asked == [
        (0, None),
        (3, "one"),  # something was missing
        (5, "one"),  # it was said bye
        # One was refused in between.
        (5, "one"),  # the store was away
        (5, "one"),  # nothing was heard
        (8, "one"),  # the server made a mistake
        (1, "two"),
    ]
    assert [event["seq"] for event in told.all("event")] == [1, 2, 4, 5, 7, 8, 1]
    assert told.all("reset") == [RESET]
    assert told.one("end") == "it is forbidden"
    # In JavaScript, patience with a silent gateway is a timer as well.
    pauses = [seconds for seconds in told.all("pause") if seconds not in (25, 2.5, 37.5)]
    least = [0, 2, 0, 0, 0, 0, 0]
    most = [0.5, 2.5, 1, 2, 0.5, 0.5, 0.5]
    assert len(pauses) == len(least)
    assert all(a <= b <= c for a, b, c in zip(least, pauses, most, strict=True)), pauses


@pytest.mark.parametrize("code", [1009, 4401])
async def test_it_ends_when_coming_back_is_of_no_use(
    client: Prepare, code: int, tmp_path: Path
) -> None:
    _, told = await follow_to_the_end(client, tmp_path, [code])
    assert "so it is" in told.one("end")
