"""Receivers of webhooks for the tests: on a real port, or at the other end of memory."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address

import attrs
import h11
import trio
from trio.testing import lockstep_stream_pair

from triphase.hooks.addresses import Address
from triphase.hooks.resolver import Resolver

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@attrs.define
class Received:
    """A request that has come, whole."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@attrs.define
class Receiver:
    """A server that answers each request with the same bytes."""

    answer: bytes = OK
    tls: ssl.SSLContext | None = None
    port: int = 0
    received: list[Received] = attrs.field(factory=list[Received])
    connections: int = 0
    names: list[str | None] = attrs.field(factory=list[str | None])
    """The server names that clients began TLS with."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Answer the requests of one connection until it ends."""
        self.connections += 1
        number = self.connections
        if self.tls is not None:
            stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        async with stream:
            try:
                while await self.answer_one(stream, number):
                    pass
            except (trio.BrokenResourceError, h11.RemoteProtocolError):
                # A client may leave as it likes.
                return

    async def answer_one(self, stream: trio.abc.Stream, number: int) -> bool:
        """Answer the next request; return whether another may follow on the connection."""
        state = h11.Connection(h11.SERVER)
        request, body = None, bytearray()
        while True:
            event = state.next_event()
            if event is h11.NEED_DATA:
                state.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                break
            else:
                return False
        headers = {name.decode(): value.decode() for name, value in request.headers}
        self.received.append(
            Received(number, request.method.decode(), request.target.decode(), headers, bytes(body))
        )
        await stream.send_all(self.answer)
        return b"connection: close" not in self.answer


@asynccontextmanager
async def serving(
    receiver: Receiver,
    host: str = "127.0.0.1",
    serve: Callable[[trio.SocketStream], Awaitable[object]] | None = None,
) -> AsyncGenerator[Receiver]:
    """Serve on a port that is free, as the receiver does or as a function does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = trio.socket.socket(family, socket.SOCK_STREAM)
    await listening.bind((host, 0))
    listening.listen()
    receiver.port = listening.getsockname()[1]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            listener = trio.SocketListener(listening)
            await nursery.start(trio.serve_listeners, serve or receiver.serve, [listener])
            yield receiver
            nursery.cancel_scope.cancel()


@attrs.define
class Script:
    """The other end of each connection, in memory: speaks as a function says."""

    speak: Callable[[trio.abc.Stream], Awaitable[object]]
    nursery: trio.Nursery
    dialled: list[tuple[str, int]] = attrs.field(factory=list[tuple[str, int]])

    async def dial(self, address: Address, port: int) -> trio.abc.Stream:
        """Connect to it."""
        self.dialled.append((str(address), port))
        ours, theirs = lockstep_stream_pair()
        self.nursery.start_soon(self._speak, theirs)
        return ours

    async def _speak(self, stream: trio.abc.Stream) -> None:
        async with stream:
            await self.speak(stream)


@asynccontextmanager
async def speaking(
    speak: Callable[[trio.abc.Stream], Awaitable[object]],
) -> AsyncGenerator[Script]:
    """Have the other end of each connection speak so."""
    async with trio.open_nursery() as nursery:
        yield Script(speak, nursery)
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.abc.Stream) -> None:
    """Read until a request, whose body ends in `}`, is there."""
    data = b""
    while not data.endswith(b"}"):
        part = await stream.receive_some()
        if not part:
            return
        data += part


async def _say(parts: Iterable[bytes], pause: float, stream: trio.abc.Stream) -> None:
    await read_request(stream)
    try:
        for part in parts:
            await stream.send_all(part)
            await trio.sleep(pause)
    except trio.BrokenResourceError:
        return


def saying(
    parts: Iterable[bytes], pause: float = 0.0
) -> Callable[[trio.abc.Stream], Awaitable[None]]:
    """Return what reads a request and says these parts, with a pause of seconds after each."""
    return partial(_say, parts, pause)


@attrs.define
class Names:
    """A resolver that says, one after the other, what it was told to."""

    answers: list[Sequence[str]]
    asked: list[tuple[str, int]] = attrs.field(factory=list[tuple[str, int]])

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return the next answer; the last one again and again."""
        await trio.lowlevel.checkpoint()
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(each) for each in answer]


def leading_to(*addresses: str) -> Resolver:
    """Return a resolver that says the same of every name."""
    return Names([addresses]).resolve
