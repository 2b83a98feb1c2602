"""A gateway in memory, and clients that speak the protocol by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

import triphase
from triphase.gateway.access import Access, Identity, Token
from triphase.gateway.gateway import Gateway, make_gateway
from triphase.gateway.host import Manners
from triphase.websocket import Socket, SocketClosed, accepted, opened
from triphase.wires import Wire
from triphase_protocol.wire import SUBPROTOCOL

TICK = 0.02


@attrs.define(eq=False)
class Peer:
    """A client that says and hears JSON objects."""

    socket: Socket
    inbox: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    """What was heard and not looked at."""

    async def say(self, type: str, **fields: Any) -> None:
        """Send a message."""
        await self.socket.send(json.dumps({"type": type, **fields}).encode())

    async def hear(self, *types: str, **about: Any) -> dict[str, Any]:
        """Return the next message of one of these types, about this; others stay in the inbox."""

        def is_wanted(message: dict[str, Any]) -> bool:
            fits = not types or message["type"] in types
            return fits and all(message.get(name) == value for name, value in about.items())

        for place, message in enumerate(self.inbox):
            if is_wanted(message):
                return self.inbox.pop(place)
        with trio.fail_after(100):
            while True:
                received: dict[str, Any] = json.loads(await self.socket.receive())
                if is_wanted(received):
                    return received
                self.inbox.append(received)

    async def ask(self, type: str, **fields: Any) -> Any:
        """Send a request, and return its result."""
        fields.setdefault("id", f"{type}-{id(fields)}")
        await self.say(type, **fields)
        reply = await self.hear("answer", "error", id=fields["id"])
        return reply["result"] if reply["type"] == "answer" else reply

    async def greet(self, **fields: Any) -> dict[str, Any]:
        """Say hello, and return the welcome."""
        await self.say("hello", **fields)
        return await self.hear("welcome")

    async def events(self, topic: str, to: int) -> list[dict[str, Any]]:
        """Return a topic's events until its batches have reached a `seq`; there is no gap."""
        found: list[dict[str, Any]] = []
        reached: int | None = None
        while reached is None or reached < to:
            batch = await self.hear("events", topic=topic)
            assert reached is None or batch["from"] <= reached, "a gap"
            reached = batch["to"]
            found += batch["events"]
        return found

    async def closed(self) -> SocketClosed:
        """Return how the connection ended, once it has."""
        try:
            with trio.fail_after(100):
                while True:
                    await self.socket.receive()
        except SocketClosed as exc:
            return exc


@attrs.define(eq=False)
class Rig:
    """A gateway that is served in a nursery."""

    runtime: triphase.Runtime
    gateway: Gateway
    nursery: trio.Nursery

    @asynccontextmanager
    async def peer(
        self,
        *,
        greeted: bool = True,
        identity: Identity | None = None,
        lockstep: bool = False,
        ends: tuple[End, End] | None = None,
    ) -> AsyncGenerator[Peer]:
        """Connect; in lockstep, nothing is sent before it is read. *ends* are those of a line."""
        ours, theirs = ends or line(lockstep=lockstep)
        self.nursery.start_soon(self.serve, theirs, identity)
        async with opened(
            ours,
            host="test",
            resource="/ws",
            subprotocols=[SUBPROTOCOL],
            message_bytes=2**26,
            handshake=5,
        ) as socket:
            peer = Peer(socket)
            if greeted:
                await peer.greet()
            yield peer

    async def serve(self, stream: trio.abc.Stream, identity: Identity | None = None) -> None:
        """Serve one stream, as the door does."""
        limits = self.gateway.host.manners.limits
        async with accepted(
            Wire(stream),
            subprotocol=SUBPROTOCOL,
            message_bytes=limits.message_bytes,
            handshake=5,
        ) as socket:
            await self.gateway.talk(socket, identity)

    async def dial(self) -> trio.abc.Stream:
        """Return a stream to it, for a client."""
        ours, theirs = line()
        self.nursery.start_soon(self.serve, theirs)
        return ours


class End(trio.abc.Stream):
    """One end of a line in memory, which can be of no use at once."""

    def __init__(self, inner: Any) -> None:
        self.deaf = False
        """What is sent goes nowhere, and nothing comes."""

        self._inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.deaf:
            await trio.lowlevel.checkpoint()
        else:
            await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data: bytes = await self._inner.receive_some(max_bytes)
        if self.deaf:
            await trio.sleep_forever()
        return data

    async def aclose(self) -> None:
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        self._inner.send_stream.close()
        self._inner.receive_stream.close()


def line(*, lockstep: bool = False) -> tuple[End, End]:
    """Return the two ends of a line; in lockstep, nothing is sent before it is read."""
    one, other = lockstep_stream_pair() if lockstep else memory_stream_pair()
    return End(one), End(other)


@asynccontextmanager
async def open_rig(
    *jobs: type,
    store: Any = "memory:",
    tokens: tuple[Token, ...] = (),
    manners: Manners | None = None,
    **options: Any,
) -> AsyncGenerator[Rig]:
    """Open a runtime and a gateway in front of it."""
    async with (
        triphase.open_runtime(
            jobs, store=store, clock=triphase.TrioClock(), entropy=triphase.Entropy(1), **options
        ) as runtime,
        trio.open_nursery() as nursery,
    ):
        gateway = await make_gateway(runtime, Access(tokens), manners, TICK)
        nursery.start_soon(gateway.host.sources.fanout.run)
        nursery.start_soon(gateway.look_after_peers)
        yield Rig(runtime, gateway, nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


@triphase.job(queue="media")
class Clip:
    """Sleeps so long, and tells how far it is."""

    seconds: float = 0.0
    name: str = ""

    @triphase.phase()
    async def cut(self, ctx: triphase.Context) -> str:
        await ctx.progress(1, total=2)
        await trio.sleep(self.seconds)
        return self.name


@triphase.job()
class Note:
    """Does nothing."""

    @triphase.phase()
    async def write(self, ctx: triphase.Context) -> None:
        """Nothing."""
