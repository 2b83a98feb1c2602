"""The front door: who is let in as a WebSocket, and what ends one connection but no other."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from triphase.gateway.access import Identity
from triphase.gateway.door import TURNED_AWAY
from triphase.gateway.rules import Patience, Rules
from triphase.websocket import Refused, Socket

from .front import KEY, SECRETS, Client, Front, frame, open_front, request, socket, upgrade

# WebSockets


async def test_a_websocket_is_handed_on(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        async with socket(front) as peer:
            welcome = await peer.greet()
            assert welcome["scopes"] == ["control", "read", "submit", "work"]
            assert (front.door.counts.sockets, front.door.counts.handshakes) == (1, 0)
            assert gateway_connections(front) == 1
        assert await front.is_idle()
        assert (front.door.counts.sockets, front.door.counts.opened) == (0, 1)


def gateway_connections(front: Front) -> int:
    return front.rig.gateway.statistics().connections


async def test_a_token_comes_with_the_upgrade_or_with_hello(autojump_clock: MockClock) -> None:
    async with open_front(tokens=True) as front:
        async with socket(front, "reader") as peer:
            assert (await peer.greet())["scopes"] == ["read"]
        async with socket(front) as peer:
            assert (await peer.greet(token=SECRETS["submitter"]))["scopes"] == ["submit"]
        async with socket(front) as peer:
            await peer.say("hello")
            assert (await peer.closed()).code == 4401


@pytest.mark.parametrize(
    "value", ["Bearer nobody has this one", "Basic dXNlcjpzZWNyZXQ=", "Bearer", ""]
)
async def test_a_token_that_nobody_has_is_refused_at_the_door(
    autojump_clock: MockClock, value: str
) -> None:
    async with open_front(tokens=True) as front:
        client = front.connect()
        await client.send(upgrade({"Authorization": value}))
        answer = await client.answer()
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert await client.rest() == b""
        assert front.door.counts.refused == {"unauthorized": 1}


async def test_a_client_hears_why_it_is_refused(autojump_clock: MockClock) -> None:
    async with open_front(tokens=True) as front:
        with pytest.raises(Refused, match="the server answered 401") as caught:
            async with socket(front, "a token that nobody has"):
                raise AssertionError("it was let in")
        assert caught.value.status == 401
        assert "nobody has this token" in caught.value.body
        assert await front.is_idle()


REFUSED: list[tuple[int, bytes]] = [
    (426, upgrade({"Upgrade": None})),
    (426, upgrade({"Upgrade": "h2c"})),
    (426, upgrade({"Connection": None})),
    (426, upgrade({"Connection": "close"})),
    (426, upgrade({"Sec-WebSocket-Version": "8"})),
    (426, upgrade({"Sec-WebSocket-Version": "13, 8"})),
    (426, upgrade({"Sec-WebSocket-Version": None})),
    (400, upgrade({"Sec-WebSocket-Key": None})),
    (400, upgrade({"Sec-WebSocket-Key": "c2hvcnQ="})),
    (400, upgrade({"Sec-WebSocket-Key": "not base64 at all!!!!!!!"})),
    (400, upgrade({"Sec-WebSocket-Key": f"{KEY}\r\nSec-WebSocket-Key: {KEY}"})),
    (400, upgrade({"Host": None})),
    (400, upgrade({"Host": "a\r\nHost: b"})),
    (400, upgrade(first="GET /ws HTTP/1.0")),
    (405, upgrade(first="POST /ws")),
    (405, upgrade(first="HEAD /ws")),
    (400, upgrade({"Content-Length": "5"}) + b"hello"),
    (400, upgrade({"Content-Length": "5"})),
    (400, upgrade({"Transfer-Encoding": "chunked"}) + b"0\r\n\r\n"),
    (400, upgrade() + frame(0x81, b"{}")),
    (400, upgrade() + b"x"),
    (403, upgrade({"Origin": "https://example.org"})),
    (403, upgrade({"Origin": "null"})),
    (403, upgrade({"Origin": "http://["})),
    (400, upgrade({"Origin": "http://localhost\r\nOrigin: http://localhost"})),
    (403, upgrade({"Origin": "http://evil.example", "Host": "evil.example"})),
    (400, upgrade({"Sec-WebSocket-Protocol": None})),
    (400, upgrade({"Sec-WebSocket-Protocol": "triphase.v2, triphase.v11"})),
]


@pytest.mark.parametrize(("status", "head"), REFUSED)
async def test_what_may_not_be_a_websocket_is_refused(
    autojump_clock: MockClock, status: int, head: bytes
) -> None:
    async with open_front() as front:
        assert await front.refused(head) == status
        assert gateway_connections(front) == 0
        assert await front.is_well()
        assert await front.is_idle()


async def test_a_refusal_says_what_is_spoken(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        await client.send(upgrade({"Sec-WebSocket-Version": "8"}))
        assert (await client.answer()).headers["sec-websocket-version"] == "13"
        client = front.connect()
        await client.send(upgrade({"Sec-WebSocket-Protocol": "triphase.v2"}))
        answer = await client.answer()
        assert answer.json == {"error": "unsupported_subprotocol", "supported": ["triphase.v1"]}


ADMITTED: list[bytes] = [
    upgrade({"Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket"}),
    upgrade({"Connection": "upgrade\r\nConnection: keep-alive"}),
    upgrade({"Sec-WebSocket-Protocol": "a\r\nSec-WebSocket-Protocol: triphase.v1, b"}),
    upgrade({"Sec-WebSocket-Extensions": ';;;,, =";,permessage-deflate; x="\\'}),
    upgrade({"Host": "localhost", "Origin": "http://localhost"}),
    upgrade({"Host": "127.0.0.1:7117", "Origin": "http://127.0.0.1:7117"}),
    upgrade({"Host": "[::1]:7117", "Origin": "http://[::1]:7117"}),
    upgrade({"Host": "127.0.0.1", "Origin": "https://friend.example"}),
    upgrade({"Host": "friend.example"}),
    # The library below would raise what is no answer: such labels are no IDNA.
    upgrade({"Host": "a" * 200}),
    upgrade({"Host": "localhost", "Cookie": "x" * 10_000}),
    upgrade(first="GET /ws?a=b"),
    upgrade(first="GET http://localhost/ws"),
    upgrade(first="GET /%77%73"),
]


@pytest.mark.parametrize("head", ADMITTED)
async def test_what_may_be_a_websocket_is_one(autojump_clock: MockClock, head: bytes) -> None:
    async with open_front(origins=("https://friend.example",)) as front:
        client = front.connect()
        await client.send(head)
        status, headers = await client.head()
        assert (status, headers["sec-websocket-protocol"]) == (101, "triphase.v1")
        await client.send(frame(0x81, b'{"type":"hello"}'))
        assert b'"type":"welcome"' in await client.until(b"}}")
        await client.stream.aclose()
        assert await front.is_idle()
        assert await front.is_well()


async def test_a_name_that_a_page_may_have_given_this_host_is_refused_without_tokens(
    autojump_clock: MockClock,
) -> None:
    async with open_front() as front:
        assert (await front.ask("GET", "/api/jobs", headers={"Host": "evil.example"})).status == 403
        assert (await front.ask("GET", "/api/jobs", headers={"Host": "10.0.0.1:80"})).status == 200
    async with open_front(tokens=True) as front:
        headers = {"Host": "jobs.example"}
        answer = await front.ask("GET", "/api/jobs", headers=headers, token="reader")
        assert answer.status == 200


# Mistakes of the server


async def test_a_mistake_in_a_websocket_closes_it_with_1011_and_is_logged(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_front() as front, socket(front) as other:
        await other.greet()

        async def talk(socket: Socket, identity: Identity | None) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                raise KeyError("a bug")

        monkeypatch.setattr(front.rig.gateway, "talk", talk)
        async with socket(front) as peer:
            assert (await peer.closed()).code == 1011
        assert await other.ask("ping") is None
        assert front.door.counts.failures == 1
        assert "a bug" in caplog.text


@attrs.define(eq=False)
class Broken(trio.abc.Stream):
    """A stream that breaks in a way that nobody has foreseen."""

    where: str
    closed: bool = False

    def _break(self, where: str) -> None:
        if where == self.where:
            raise RuntimeError(f"a bug in {where}")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._break("receive_some")
        return b"nonsense\r\n\r\n"

    async def send_all(self, data: Any) -> None:
        self._break("send_all")

    async def wait_send_all_might_not_block(self) -> None:
        raise AssertionError("nobody asks for it")

    async def aclose(self) -> None:
        self.closed = True
        self._break("aclose")


@pytest.mark.parametrize("where", ["receive_some", "send_all", "aclose"])
async def test_whatever_a_stream_raises_ends_nothing_else(
    autojump_clock: MockClock, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_front() as front:
        stream = Broken(where)
        caplog.set_level(logging.DEBUG, "triphase.gateway")
        await front.door.serve(stream)
        assert stream.closed
        assert f"a bug in {where}" in caplog.text
        assert front.door.counts.failures == (where != "aclose")


async def test_a_cancel_passes_and_the_stream_is_closed(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        ours, theirs = memory_stream_pair()
        with trio.move_on_after(3) as scope:
            await front.door.serve(theirs)
        assert scope.cancelled_caught
        assert await ours.receive_some(10) == b""
        assert front.door.counts.connections == 0


async def test_a_cancel_ends_a_websocket_too(autojump_clock: MockClock) -> None:
    async with open_front() as front, socket(front) as peer:
        await peer.greet()
        front.nursery.cancel_scope.cancel()
        assert (await peer.closed()).code == 1006


# Limits


async def test_there_are_only_so_many_websockets(autojump_clock: MockClock) -> None:
    async with open_front(rules=Rules(sockets=2)) as front:
        async with socket(front), socket(front):
            client = front.connect()
            await client.send(upgrade())
            answer = await client.answer()
            assert (answer.status, answer.code) == (503, "limit")
            assert int(answer.headers["retry-after"]) > 0
            assert await client.rest() == b""
            assert (await front.ask("GET", "/healthz")).status == 200
        await trio.sleep(10)
        async with socket(front) as peer:
            await peer.greet()


async def test_there_are_only_so_many_handshakes(autojump_clock: MockClock) -> None:
    async with open_front(rules=Rules(handshakes=1)) as front:
        # It does not read the answer to its handshake.
        slow = front.connect(lockstep=True)
        await slow.send(upgrade())
        await trio.sleep(1)
        assert front.door.counts.handshakes == 1
        assert await front.refused(upgrade()) == 503
        # Until it is given up.
        await trio.sleep(10)
        assert front.door.counts.handshakes == 0
        async with socket(front) as peer:
            await peer.greet()
        assert await front.is_well()


async def test_there_are_only_so_many_connections(autojump_clock: MockClock) -> None:
    async with open_front(rules=Rules(connections=3)) as front:
        clients = [front.connect() for _ in range(3)]
        assert (await clients[0].ask("GET", "/healthz")).status == 200
        answer = await front.connect().answer()
        assert (answer.status, answer.code) == (503, "limit")
        # Whoever was there before stays.
        crowd = [front.connect() for _ in range(10)]
        await trio.sleep(1)
        assert (await clients[1].ask("GET", "/healthz")).status == 200
        assert (await clients[1].ask("GET", "/healthz")).status == 200
        for client in crowd:
            await client.stream.aclose()
        await clients[0].stream.aclose()
        await trio.sleep(5)
        assert (await front.ask("GET", "/healthz")).status == 200


async def test_of_a_crowd_of_connections_most_are_cut_without_a_word(
    autojump_clock: MockClock,
) -> None:
    async with open_front(rules=Rules(connections=1)) as front:
        clients = [front.connect(lockstep=True) for _ in range(100)]
        await trio.sleep(1)
        # One is served, and the others of these are about to be told.
        assert front.door.counts.connections == 1 + TURNED_AWAY
        for client in clients:
            await client.stream.aclose()
        assert await front.is_idle()


# A real port


async def on_port(front: Front) -> tuple[str, int]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    await front.nursery.start(trio.serve_listeners, front.door.serve, listeners)
    host, port = listeners[0].socket.getsockname()
    return host, port


async def test_an_answer_arrives_on_tcp_although_what_was_sent_is_not_read(
    autojump_clock: MockClock,
) -> None:
    autojump_clock.autojump_threshold = float("inf")
    autojump_clock.rate = 1.0
    async with open_front(rules=Rules(patience=Patience(head=5, idle=5))) as front:
        place = await on_port(front)
        for _ in range(5):
            client = Client(await trio.open_tcp_stream(*place))
            data = b"x" * 8_000_000
            head = request("POST", "/api/jobs", headers={"Content-Length": str(10**9)})
            with trio.fail_after(20):
                await client.send(head + data)
                answer = await client.answer()
                assert (answer.status, answer.code) == (413, "too_large")
                await client.stream.aclose()
        with trio.fail_after(20):
            client = Client(await trio.open_tcp_stream(*place))
            assert (await client.ask("GET", "/healthz")).status == 200
            await client.stream.aclose()
            assert front.door.counts.failures == 0
        front.nursery.cancel_scope.cancel()
