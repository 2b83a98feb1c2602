"""The gateway: a runtime on one port, for browsers, coordinators and workers."""

from __future__ import annotations

import importlib.metadata
import ipaddress
import logging
import ssl
from collections.abc import Collection, Sequence
from typing import Any, Final, cast

import trio

from triphase.runtime import Runtime
from triphase.websocket import Socket
from triphase_protocol import DefinitionError

from .access import Access, Identity, Token
from .door import Door
from .fanout import Fanout
from .host import Host, Manners
from .peer import Peer
from .statistics import GatewayStatistics
from .subscription import Sources

log: Final = logging.getLogger("triphase.gateway")

PORT: Final = 7117
"""The port that a gateway listens on, and that a client connects to, unless told another."""

TICK: Final = 0.02
"""Seconds between two flushes of the fan-out."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks for connections that are silent, or that expect a sign of life."""

LOOKED_AT_ONCE: Final = 256
"""Connections that are looked at before other tasks have a turn."""

LAST_WORDS: Final = 0.5
"""Seconds in which answers that are due are still given, and what they lead to is asked about."""

BYE_PATIENCE: Final = 3.0
"""Seconds that all clients together have to take the last message."""


class Gateway:
    """A gateway that serves; made by `serve_gateway`."""

    def __init__(self, host: Host) -> None:
        self.urls: tuple[str, ...] = ()
        """Where it listens, as `ws://127.0.0.1:7117/ws`."""

        self.host = host

    def __repr__(self) -> str:
        return f"<Gateway {', '.join(self.urls)}: {len(self.host.peers)} connections>"

    async def talk(self, socket: Socket, identity: Identity | None) -> None:
        """Serve one WebSocket until it is over. A checkpoint."""
        peer = Peer(self.host, socket, identity)
        self.host.peers[peer] = None
        try:
            await peer.run()
        finally:
            del self.host.peers[peer]

    def peers(self) -> list[Peer]:
        """Return the WebSocket connections there are now."""
        return list(self.host.peers)

    def statistics(self) -> GatewayStatistics:
        """Return what the gateway does now. Cheap."""
        return self.host.statistics()

    async def look_after_peers(self) -> None:
        """Keep connections alive, and give up those that are dead, for ever. A checkpoint.

        One that cannot be looked at is given up as well: it is logged, and ends nothing else.
        """
        while True:
            await trio.sleep(LOOK_EVERY)
            for number, peer in enumerate(list(self.host.peers), 1):
                try:
                    peer.look(trio.current_time())
                except Exception:
                    log.exception("a connection cannot be looked at, and is given up")
                    peer.socket.wire.abort()
                if number % LOOKED_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()

    async def say_bye(self, retry_after: float) -> None:
        """Tell every client that the gateway ends, after what there was to tell. A checkpoint."""
        with trio.move_on_after(BYE_PATIENCE):
            await self.host.sources.fanout.settled()
            if self.host.peers:
                # Who waited for what has just been committed is about to be answered.
                await trio.sleep(LAST_WORDS)
            async with trio.open_nursery() as nursery:
                for peer in list(self.host.peers):
                    nursery.start_soon(peer.say_bye, retry_after)


async def serve_gateway(
    runtime: Runtime,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    tokens: Sequence[Token] = (),
    origins: Collection[str] = (),
    tls: ssl.SSLContext | None = None,
    manners: Manners | None = None,
    tick: float = TICK,
    retry_after: float = 1.0,
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None = None,
    task_status: trio.TaskStatus[Gateway] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a runtime until cancelled: `await nursery.start(serve_gateway, runtime)`.

    For keyword arguments use `functools.partial`. When it is cancelled, and when the runtime
    closes, every client is told so, has a few seconds to take it, and is closed.

    Args:
      runtime: an open runtime.
      host: the address to listen on. Another than a loopback one needs tokens.
      port: the port; 0 is any that is free.
      tokens: who may do what. Without one, everybody who can reach it may do everything.
      origins: web pages of other hosts that may connect, as `https://example.org`.
      tls: makes it `wss` and `https`.
      manners: what is expected of a connection.
      tick: seconds between two flushes of events, at least: what comes meanwhile shares one.
      retry_after: seconds after which clients are told to come back when it ends.
      listeners: what to accept connections from, instead of *host* and *port*.
      task_status: gives the `Gateway`.

    Raises:
      DefinitionError: if it would be open to others without a token.
      OSError: if it cannot listen there.
    """
    if listeners is None:
        check_place(host, tokens)
        listeners = [*await trio.open_tcp_listeners(port, host=host)]
    if tls is not None:
        listeners = [trio.SSLListener(each, tls) for each in listeners]
    gateway = await make_gateway(runtime, Access(tokens, frozenset(origins)), manners, tick)
    gateway.urls = tuple(_urls(listeners, secure=tls is not None))
    over, accepting = trio.Event(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        await nursery.start(_serve, gateway, listeners, accepting, over)
        nursery.start_soon(_until_closed, gateway, nursery.cancel_scope)
        try:
            task_status.started(gateway)
            await trio.sleep_forever()
        finally:
            # Whoever comes back at once must not be let in again, only to be cut.
            accepting.cancel(reason="the gateway ends")
            with trio.CancelScope(shield=True):
                await gateway.say_bye(retry_after)
            over.set()


async def make_gateway(
    runtime: Runtime, access: Access, manners: Manners | None, tick: float
) -> Gateway:
    """Return a gateway, whose parts somebody has to run. A checkpoint."""
    parts = runtime.parts
    fanout = Fanout(parts.feed, tick)
    host = Host(
        runtime=runtime,
        access=access,
        sources=Sources(parts.feed, parts.store, fanout),
        manners=manners or Manners(),
        server=f"triphase/{importlib.metadata.version('triphase')}",
        epoch=(await parts.store.extent()).epoch,
    )
    return Gateway(host)


async def _serve(
    gateway: Gateway,
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
    accepting: trio.CancelScope,
    over: trio.Event,
    task_status: trio.TaskStatus[list[trio.abc.Listener[trio.abc.Stream]]],
) -> None:
    """Serve connections until told that it is over, whatever is cancelled outside.

    New ones are accepted until the scope *accepting* is cancelled.
    """
    door = Door(gateway)
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gateway.host.sources.fanout.run)
            nursery.start_soon(gateway.look_after_peers)
            with accepting:
                await trio.serve_listeners(
                    door.serve, [*listeners], handler_nursery=nursery, task_status=task_status
                )
            await over.wait()
            nursery.cancel_scope.cancel(reason="the gateway ends")


async def _until_closed(gateway: Gateway, scope: trio.CancelScope) -> None:
    """End the gateway when the runtime closes."""
    feed = gateway.host.sources.feed
    cursor = feed.last_seq
    while await feed.wait(cursor):
        cursor = feed.last_seq
    scope.cancel(reason="the runtime has closed")


def check_place(host: str, tokens: Sequence[Token]) -> None:
    """Check that a gateway would not be open to others without a token.

    Raises:
      DefinitionError: if it would.
    """
    if tokens or host == "localhost":
        return
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise DefinitionError(f"host={host!r}: others can reach it, so it needs tokens")


def _urls(listeners: Sequence[object], *, secure: bool) -> list[str]:
    found: list[str] = []
    for each in listeners:
        inner: object = each
        if isinstance(each, trio.SSLListener):
            inner = cast("Any", each).transport_listener
        if isinstance(inner, trio.SocketListener):
            address, port = inner.socket.getsockname()[:2]
            shown = f"[{address}]" if ":" in address else address
            found.append(f"{'wss' if secure else 'ws'}://{shown}:{port}/ws")
    return found
