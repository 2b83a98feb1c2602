"""The front door in memory, and clients that say bytes to it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from triphase.gateway.access import Access, Token
from triphase.gateway.door import Door
from triphase.gateway.host import Manners
from triphase.gateway.rules import Rules
from triphase.websocket import opened
from triphase_protocol.wire import SUBPROTOCOL

from .rig import Peer, Rig, open_rig

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
SECRETS = {name: f"the secret of {name}" for name in ("reader", "submitter", "controller")}


@attrs.frozen
class Answer:
    """A response, read by hand."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code."""
        code: str = self.json["error"]["code"]
        return code


@attrs.define(eq=False)
class Client:
    """One connection, from the outside."""

    stream: trio.abc.Stream
    buffer: bytes = b""

    async def send(self, data: bytes | str) -> None:
        await self.stream.send_all(data.encode("latin-1") if isinstance(data, str) else data)

    async def more(self) -> bool:
        """Receive something; False at the end."""
        try:
            data = await self.stream.receive_some(65536)
        except trio.BrokenResourceError:
            data = b""
        self.buffer += data
        return bool(data)

    async def until(self, mark: bytes) -> bytes:
        """Take what comes up to a mark, and the mark."""
        while mark not in self.buffer:
            assert await self.more(), f"ended before {mark!r}: {self.buffer!r}"
        end = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:end], self.buffer[end:]
        return found

    async def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            assert await self.more(), f"ended within {size} bytes"
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    async def head(self) -> tuple[int, dict[str, str]]:
        """Take the head of a response."""
        first, *lines = (await self.until(b"\r\n\r\n")).decode("ascii").strip().split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        pairs = [line.split(": ", 1) for line in lines]
        return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}

    async def answer(self, *, body: bool = True) -> Answer:
        """Take a whole response."""
        status, headers = await self.head()
        if not body or status == 204:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, await self.chunks())
        return Answer(status, headers, await self.exactly(int(headers["content-length"])))

    async def chunk(self) -> bytes:
        """Take one chunk of a body."""
        size = int(await self.until(b"\r\n"), 16)
        return (await self.exactly(size + 2))[:-2]

    async def chunks(self) -> bytes:
        whole = b""
        while chunk := await self.chunk():
            whole += chunk
        return whole

    async def rest(self) -> bytes:
        """Return what comes until the connection ends."""
        while await self.more():
            pass
        found, self.buffer = self.buffer, b""
        return found

    async def ask(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a request, and return its answer."""
        await self.send(request(method, path, value, token=token, headers=headers))
        return await self.answer(body=method != "HEAD")


def request(
    method: str,
    path: str,
    value: Any = None,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return a request as it travels."""
    lines = {"Host": "localhost", **(headers or {})}
    if token is not None:
        lines["Authorization"] = f"Bearer {SECRETS.get(token, token)}"
    body = b"" if value is None else json.dumps(value).encode()
    if value is not None:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {content}\r\n" for name, content in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def upgrade(changed: Mapping[str, str | None] | None = None, first: str = "GET /ws") -> bytes:
    """Return the head of a WebSocket, with some headers set, or left out."""
    headers: dict[str, str | None] = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "triphase.v1",
        **(changed or {}),
    }
    first = first if "HTTP/" in first else f"{first} HTTP/1.1"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"{first}\r\n{lines}\r\n".encode("latin-1")


@attrs.define(eq=False)
class Front:
    """A door that is served in a nursery."""

    rig: Rig
    door: Door
    nursery: trio.Nursery
    """Holds a task for each connection, and nothing else."""

    def connect(self, *, lockstep: bool = False) -> Client:
        """Connect; in lockstep, nothing is sent before it is read."""
        ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
        self.nursery.start_soon(self.door.serve, theirs)
        return Client(ours)

    async def ask(self, method: str, path: str, value: Any = None, **options: Any) -> Answer:
        """Make a request on a connection of its own, and return its answer."""
        client = self.connect()
        answer = await client.ask(method, path, value, **options)
        await client.stream.aclose()
        return answer

    async def say(self, *parts: bytes | str) -> bytes:
        """Say something on a connection of its own, and return all that comes."""
        client = self.connect()
        for part in parts:
            await client.send(part)
        with trio.fail_after(1000):
            found = await client.rest()
        await client.stream.aclose()
        return found

    async def refused(self, *parts: bytes | str) -> int:
        """Say something that is no request; return the status after which all was over."""
        found = await self.say(*parts)
        assert found.count(b"HTTP/1.1 ") == 1, found
        assert b"connection: close" in found.lower().split(b"\r\n\r\n")[0], found
        return int(found.split(b" ")[1])

    async def is_well(self) -> bool:
        """Return whether another connection is served, and this door made no mistake."""
        answer = await self.ask("GET", "/healthz")
        return answer.status == 200 and self.door.counts.failures == 0

    async def is_idle(self) -> bool:
        """Return whether nothing is left of any connection."""
        # Nothing waits longer for a client that has left.
        await trio.sleep(100)
        return not self.nursery.child_tasks and not self.door.counts.connections


@asynccontextmanager
async def open_front(
    *jobs: type,
    manners: Manners | None = None,
    rules: Rules | None = None,
    tokens: bool = False,
    origins: tuple[str, ...] = (),
    **options: Any,
) -> AsyncGenerator[Front]:
    """Open a runtime, a gateway and a door; with *tokens*, one for each scope."""
    manners = attrs.evolve(manners or Manners(), door=rules or Rules())
    known: tuple[Token, ...] = ()
    if tokens:
        scopes = {"reader": ["read"], "submitter": ["submit"], "controller": ["control"]}
        known = tuple(
            Token.of(SECRETS[name], name=name, scopes=given)  # type: ignore[arg-type]
            for name, given in scopes.items()
        )
    async with (
        open_rig(*jobs, tokens=known, manners=manners, **options) as rig,
        trio.open_nursery() as nursery,
    ):
        if origins:
            host = attrs.evolve(rig.gateway.host, access=Access(known, frozenset(origins)))
            rig.gateway.host = host
        yield Front(rig, Door(rig.gateway), nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def socket(front: Front, token: str | None = None) -> AsyncGenerator[Peer]:
    """Connect as a client of the protocol does."""
    headers = [] if token is None else [("Authorization", f"Bearer {SECRETS.get(token, token)}")]
    stream = front.connect().stream
    async with opened(
        stream,
        host="localhost",
        resource="/ws",
        subprotocols=["another.v7", SUBPROTOCOL],
        headers=headers,
        message_bytes=2**20,
        handshake=5,
    ) as made:
        try:
            yield Peer(made)
        finally:
            await trio.aclose_forcefully(stream)


def frame(first: int, payload: bytes, *, masked: bool = True) -> bytes:
    """Return a client's frame, whose mask is zero."""
    if not masked:
        return bytes([first, len(payload)]) + payload
    return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload
