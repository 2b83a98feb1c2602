"""Connecting: what is said at once, what is tried again, and what a gateway may not do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from tests.actors.gateway.rig import End, line
from trio.testing import MockClock

from triphase.client import Client, Unreachable, connect
from triphase.client.link import RETRY_AFTER_MOST, LinkLost, place_of
from triphase.websocket import Refused, Socket, SocketClosed, accepted, frame, opened
from triphase.wires import Wire
from triphase_protocol import InvalidValue, Queue
from triphase_protocol.wire import SUBPROTOCOL, Forbidden, Unauthorized

URL = "ws://test/ws"
HELLO: dict[str, Any] = {
    "type": "welcome",
    "server": "test",
    "epoch": "e",
    "head": 0,
    "heartbeat": 15,
    "scopes": [],
    "limits": {},
}

Serve = Callable[[End], Awaitable[None]]


def dialled(nursery: trio.Nursery, serve: Serve) -> Callable[[], Awaitable[trio.abc.Stream]]:
    """Return what connects to a server of one's own."""

    async def dial() -> trio.abc.Stream:
        ours, theirs = line()
        nursery.start_soon(serve, theirs)
        await trio.lowlevel.checkpoint()
        return ours

    return dial


@asynccontextmanager
async def serving(serve: Serve) -> AsyncGenerator[Callable[[], Awaitable[trio.abc.Stream]]]:
    async with trio.open_nursery() as nursery:
        yield dialled(nursery, serve)
        nursery.cancel_scope.cancel()


def answering(data: bytes) -> Serve:
    """Return a server that answers the first bytes with these, and ends."""

    async def serve(stream: End) -> None:
        await stream.receive_some()
        if data:
            await stream.send_all(data)
        await stream.aclose()

    return serve


def talking(talk: Callable[[Socket], Awaitable[None]]) -> Serve:
    """Return a server of WebSockets."""

    async def serve(stream: End) -> None:
        with contextlib.suppress(SocketClosed):
            async with accepted(
                Wire(stream), subprotocol=SUBPROTOCOL, message_bytes=2**20, handshake=5
            ) as socket:
                await talk(socket)

    return serve


async def say(socket: Socket, **fields: Any) -> None:
    await socket.send(json.dumps(fields).encode())


PLAIN = "the server made no WebSocket of it"
ENDED = "the connection ended in the handshake"
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"

NO_GATEWAYS: list[tuple[bytes, str]] = [
    (b"", ENDED),
    (b"HTTP/1.1 101 Swi", ENDED),
    (ACCEPT, ENDED),
    (b"HTTP/1.1 502 Bad Gateway\r\n\r\nno", ENDED),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "the server answered 200: hi"),
    (b"HTTP/1.1 503 Full\r\nContent-Length: 4\r\n\r\nfull", "the server answered 503: full"),
    (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", PLAIN),
    (b"\x15\x03\x01\x00\x02\x02\x46" + b"\r\n\r\n", PLAIN),
    (ACCEPT + b"Sec-WebSocket-Accept: AAAA\r\n\r\n", f"{PLAIN}: .*Bad accept token"),
    (ACCEPT + b"Sec-WebSocket-Protocol: \xff\r\n\r\n", PLAIN),
]


@pytest.mark.parametrize(("data", "words"), NO_GATEWAYS)
async def test_what_is_no_gateway_is_told_at_once(
    autojump_clock: MockClock, data: bytes, words: str
) -> None:
    began = trio.current_time()
    async with serving(answering(data)) as dial:
        with pytest.raises(Unreachable, match=words):
            async with connect(URL, dial=dial):
                pytest.fail("it is none")
    assert trio.current_time() == began


async def test_why_a_stream_broke_is_told(autojump_clock: MockClock) -> None:
    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, _ = line()

        async def receive_some(max_bytes: int | None = None) -> bytes:
            raise trio.BrokenResourceError from ConnectionResetError("reset by the test")

        ours.receive_some = receive_some  # type: ignore[method-assign]
        return ours

    with pytest.raises(Unreachable, match=f"{ENDED}: reset by the test"):
        async with connect(URL, dial=dial):
            pytest.fail("it is broken")


async def test_why_nobody_could_be_dialled_is_told() -> None:
    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        cause = ExceptionGroup("two", [OSError("nobody listens"), OSError("not here either")])
        raise OSError("all attempts failed") from cause

    with pytest.raises(Unreachable, match="all attempts failed: nobody listens"):
        async with connect(URL, dial=dial):
            pytest.fail("there is nobody")


async def test_a_gateway_that_cannot_be_trusted_any_more_ends_the_client(
    autojump_clock: MockClock,
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.receive()
        await say(socket, **HELLO)
        await trio.sleep(100)

    async with serving(talking(talk)) as dial:
        dials = 0

        async def dial_and_look() -> trio.abc.Stream:
            nonlocal dials
            dials += 1
            if dials > 1:
                raise trio.BrokenResourceError from ssl.SSLCertVerificationError("it is too old")
            return await dial()

        async with connect(URL, dial=dial_and_look) as client:
            with pytest.raises(Unreachable, match=r"it cannot be trusted: .*it is too old"):
                await client.queues()
    assert dials == 2


async def silent(stream: End) -> None:
    await trio.sleep_forever()


async def speechless(socket: Socket) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize("serve", [silent, talking(speechless)])
async def test_who_says_nothing_is_given_up(autojump_clock: MockClock, serve: Serve) -> None:
    began = trio.current_time()
    async with serving(serve) as dial:
        with pytest.raises(Unreachable, match="the handshake took more than 10 s"):
            async with connect(URL, dial=dial):
                pytest.fail("nobody said welcome")
    assert trio.current_time() - began == pytest.approx(10)


async def test_a_dial_that_does_not_end_is_given_up(autojump_clock: MockClock) -> None:
    async def dial() -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(Unreachable, match="the handshake took more than 10 s"):
        async with connect(URL, dial=dial):
            pytest.fail("it does not end")


@pytest.mark.parametrize(
    ("code", "error"), [(4401, Unauthorized), (4403, Forbidden), (1012, Unreachable)]
)
async def test_a_close_says_whether_to_come_again(
    autojump_clock: MockClock, code: int, error: type[Exception]
) -> None:
    async def close(socket: Socket) -> None:
        await socket.close(code, "go away")

    async with serving(talking(close)) as dial:
        with pytest.raises(error, match="go away"):
            async with connect(URL, dial=dial):
                pytest.fail("it was closed")


async def test_a_close_that_comes_with_the_handshake_is_heard(autojump_clock: MockClock) -> None:
    async def serve(stream: End) -> None:
        request = (await stream.receive_some()).decode()
        key = request.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
        magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1((key + magic).encode()).digest())
        close = b"\x88\x04" + (4401).to_bytes(2, "big") + b"no"
        await stream.send_all(ACCEPT + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + close)
        await trio.sleep_forever()

    async with serving(serve) as dial:
        with pytest.raises(Unauthorized, match="no"):
            async with connect(URL, dial=dial, patience=1000):
                pytest.fail("it was closed")


@pytest.mark.parametrize("heartbeat", [0, -1])
async def test_a_welcome_that_makes_no_sense_is_refused(
    autojump_clock: MockClock, heartbeat: float
) -> None:
    async def talk(socket: Socket) -> None:
        await socket.receive()
        await say(socket, **{**HELLO, "heartbeat": heartbeat})

    async with serving(talking(talk)) as dial:
        with pytest.raises(Unreachable, match="what answers there is no gateway"):
            async with connect(URL, dial=dial):
                pytest.fail("it is none")


def test_a_gateways_word_keeps_a_client_away_for_so_long() -> None:
    assert LinkLost("bye", -5.0).retry_after == 0
    assert LinkLost("bye", 1e308).retry_after == RETRY_AFTER_MOST


@pytest.mark.parametrize("url", ["ws://[::1/ws", "ws://a/w s", "ws://a/\xfc", "ws://\xfc/ws"])
def test_a_url_that_could_not_be_sent_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="url="):
        place_of(url)


# The library's task, and what is raised beside it


async def opened_on(stream: trio.abc.Stream) -> None:
    async with opened(
        stream,
        host="test",
        resource="/ws",
        subprotocols=[SUBPROTOCOL],
        message_bytes=2**20,
        handshake=5,
    ) as socket:
        await socket.receive()
        raise KeyError("the block's own")


async def test_what_the_block_raises_comes_out_whatever_the_reader_does(
    autojump_clock: MockClock,
) -> None:
    async def talk(socket: Socket) -> None:
        # The second is no frame: the other side's reader fails as the block does.
        await socket.wire.send_all(frame(b"{}") + b"\xff\xff\xff\xff")
        await trio.sleep_forever()

    async with serving(talking(talk)) as dial:
        with pytest.raises(KeyError, match="the block's own"):
            await opened_on(await dial())


async def test_what_the_block_raises_is_not_lost_in_a_cancel(autojump_clock: MockClock) -> None:
    async def talk(socket: Socket) -> None:
        await socket.receive()
        await say(socket, **HELLO)
        await trio.sleep_forever()

    caught: list[str] = []
    async with serving(talking(talk)) as dial:
        with trio.CancelScope() as scope:
            try:
                async with connect(URL, dial=dial):
                    scope.cancel()
                    raise KeyError("of connect's block")
            except KeyError as exc:
                caught.append(str(exc))
        stream = await dial()
        with trio.CancelScope() as scope:
            try:
                async with opened(
                    stream,
                    host="test",
                    resource="/ws",
                    subprotocols=[SUBPROTOCOL],
                    message_bytes=2**20,
                    handshake=5,
                ):
                    scope.cancel()
                    raise KeyError("of the socket's block")
            except KeyError as exc:
                caught.append(str(exc))
    assert caught == ['"of connect\'s block"', '"of the socket\'s block"']


async def test_a_refusal_in_the_moment_of_a_cancel_is_no_group(autojump_clock: MockClock) -> None:
    with trio.CancelScope() as scope:

        async def refuse(stream: End) -> None:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
            scope.cancel()
            await trio.sleep_forever()

        async with serving(refuse) as dial:
            stream = await dial()
            # It is the one or the other: nothing else comes out.
            with contextlib.suppress(Refused):
                await opened_on(stream)
    assert scope.cancel_called


async def test_a_cancel_passes_through_each_step_of_connecting(
    autojump_clock: MockClock,
) -> None:
    async def talk(socket: Socket) -> None:
        await trio.sleep(1)
        await socket.receive()
        await trio.sleep(1)
        await say(socket, **HELLO)
        request = json.loads(await socket.receive())
        await trio.sleep(1)
        await say(socket, type="answer", id=request["id"], result={"q": {"limit": 1}})
        await trio.sleep_forever()

    async def slow(stream: End) -> None:
        await trio.sleep(1)
        await talking(talk)(stream)

    async def use(client: Client) -> None:
        assert (await client.queues())["q"] == Queue(1)

    async with serving(slow) as dial:
        for halves in range(9):
            with trio.move_on_after(halves / 2 + 0.1) as scope:
                async with connect(URL, dial=dial) as client:
                    await use(client)
            assert scope.cancelled_caught == (halves < 8)
