"""The front door: each connection is heard, and answered in HTTP or handed on as a WebSocket.

Whatever one connection sends, and whatever goes wrong in it, ends that connection and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Final

import trio

from triphase.websocket import Socket, SocketClosed, accepted
from triphase.wires import Wire, transport_of
from triphase_protocol import TriphaseError
from triphase_protocol.wire import SUBPROTOCOL, Close

from .access import Identity
from .counts import Counts
from .exchanges import Refusal, Request, Response
from .host import MISTAKE
from .http import ClientGone, Conversation
from .routes import Routes
from .upgrade import Upgrade, is_upgrade, upgrade

if TYPE_CHECKING:
    from .gateway import Gateway

log: Final = logging.getLogger("triphase.gateway")

TURNED_AWAY: Final = 64
"""Connections that are told at once that there is no room; more are cut without a word."""

QUIET: Final = (
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    ClientGone,
    SocketClosed,
)
"""How connections end that nobody has to look at."""


class Door:
    """See the module's text.

    Args:
      gateway: whose; its manners say what the door takes.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.rules = gateway.host.manners.door
        self.counts = Counts()
        self._gateway = gateway
        self._routes = Routes(gateway, self.counts, self.rules)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it is over, and close it. A checkpoint.

        Raises no `Exception`, whatever happens: it is logged and counted.
        """
        self.counts.connections += 1
        peer = _peer(stream)
        try:
            await self._serve(stream, peer)
        except* QUIET as group:
            log.debug("%s: %s", peer, group.exceptions)
        except* Exception as group:
            self.counts.failures += 1
            log.error("%s: a connection failed", peer, exc_info=group)
        finally:
            self.counts.connections -= 1
            await _close(stream, peer)

    async def _serve(self, stream: trio.abc.Stream, peer: str) -> None:
        clock = self._gateway.host.runtime.parts.clock
        conversation = Conversation(stream, self.rules.patience, clock.now)
        if self.counts.connections > self.rules.connections + TURNED_AWAY:
            return
        full = self.counts.connections > self.rules.connections
        if full:
            await self._respond(conversation, self._no_room("connections").response)
        while not full:
            try:
                request = await conversation.next()
                if request is None:
                    return
                if is_upgrade(request):
                    await self._open(stream, peer, self._checked(request))
                    return
                response = await self._routes.answer(request, conversation)
            except Refusal as exc:
                response = exc.response
            await self._respond(conversation, response)
            if not conversation.going_on:
                break
        await conversation.linger()

    async def _respond(self, conversation: Conversation, response: Response) -> None:
        self.counts.answers[str(response.status)] += 1
        await conversation.respond(response)

    def _checked(self, request: Request) -> Upgrade:
        """Return the request for a WebSocket, if there may be one."""
        try:
            found = upgrade(request, self._gateway.host.access)
            if self.counts.sockets + self.counts.handshakes >= self.rules.sockets:
                raise self._no_room("WebSockets")
            if self.counts.handshakes >= self.rules.handshakes:
                raise self._no_room("handshakes")
            return found
        except (Refusal, TriphaseError) as exc:
            refusal = exc if isinstance(exc, Refusal) else Refusal.of(exc)
            self.counts.refused[refusal.code] += 1
            # Nothing of what may follow can be a request any more.
            refusal.headers += (("connection", "close"),)
            raise refusal from exc

    async def _open(self, stream: trio.abc.Stream, peer: str, found: Upgrade) -> None:
        """Make the handshake of a WebSocket, and serve it until it is over."""
        with contextlib.ExitStack() as handshake:
            handshake.enter_context(self._counted_handshake())
            async with accepted(
                Wire(stream, found.head),
                subprotocol=SUBPROTOCOL,
                message_bytes=self._gateway.host.manners.limits.message_bytes,
                handshake=self.rules.patience.handshake,
            ) as socket:
                handshake.close()
                await self._talk(socket, found.identity, peer)

    async def _talk(self, socket: Socket, identity: Identity | None, peer: str) -> None:
        self.counts.opened += 1
        self.counts.sockets += 1
        try:
            await self._gateway.talk(socket, identity)
        except* QUIET as group:
            log.debug("%s: %s", peer, group.exceptions)
        except* Exception as group:
            self.counts.failures += 1
            log.error("%s: a WebSocket failed", peer, exc_info=group)
            await socket.close(Close.INTERNAL, MISTAKE)
        finally:
            self.counts.sockets -= 1

    @contextlib.contextmanager
    def _counted_handshake(self) -> Generator[None]:
        self.counts.handshakes += 1
        try:
            yield
        finally:
            self.counts.handshakes -= 1

    def _no_room(self, what: str) -> Refusal:
        return Refusal.full(what, self.rules.retry_after)


async def _close(stream: trio.abc.Stream, peer: str) -> None:
    try:
        await trio.aclose_forcefully(stream)
    except Exception as exc:
        log.debug("%s: could not be closed: %r", peer, exc)


def _peer(stream: trio.abc.Stream) -> str:
    """Return who is at the other end, for the log."""
    inner = transport_of(stream)
    if isinstance(inner, trio.SocketStream):
        with contextlib.suppress(OSError):
            host, port = inner.socket.getpeername()[:2]
            return f"{host}:{port}"
    return repr(inner)
