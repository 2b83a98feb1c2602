"""A peer: one client's connection, from `hello` to the close frame."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from triphase.websocket import PING, Socket, SocketClosed, close_frame, frame
from triphase_protocol.wire import (
    BadMessage,
    Bye,
    Close,
    Hello,
    Pulse,
    Welcome,
    read_said,
    write,
)

from .access import Identity
from .host import Host, Leave
from .requests import Requests, error_of
from .subscription import Subscription

BYE_PATIENCE: Final = 1.0
"""Seconds that a client has to take the last message."""


class Peer:
    """See the module's text.

    Args:
      host: the gateway.
      socket: the connection.
      identity: whose it is, if a token came with the upgrade.
    """

    def __init__(self, host: Host, socket: Socket, identity: Identity | None) -> None:
        self.socket = socket
        self.requests: Requests | None = None
        """What it has asked for; None before `hello`."""

        self._host = host
        self._identity = identity
        self._nursery: trio.Nursery | None = None
        self._asked_at = float("-inf")

    async def run(self) -> None:
        """Serve the connection until it is over. A checkpoint; cancelled, it is over at once."""
        code, reason = Close.NORMAL, ""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                identity = await self._greet()
                self.requests = Requests(self._host, self.socket, identity, nursery)
                await self.requests.read()
            except SocketClosed:
                pass
            except Leave as exc:
                code, reason = exc.code, str(exc)
            finally:
                if self.requests is not None:
                    self.requests.close()
                # It is about to be closed, and behind a close frame nothing more may be said.
                self._nursery = None
            nursery.cancel_scope.cancel(reason="the connection is over")
        await self.socket.close(code, reason)

    async def say_bye(self, retry_after: float) -> None:
        """Tell the client that the server ends, and close. A checkpoint."""
        with contextlib.suppress(SocketClosed), trio.move_on_after(BYE_PATIENCE):
            await self.socket.send(write(Bye(reason="the server ends", retry_after=retry_after)))
            await self.socket.close(Close.RESTART, "the server ends")
        self.socket.wire.abort()

    def look(self, now: float) -> None:
        """Ask a silent client for a sign of life, give one, or give a dead one up. Never waits.

        Args:
          now: trio's time.
        """
        wire, manners = self.socket.wire, self._host.manners
        silent = now - wire.heard_at
        if silent >= manners.silence:
            # It may hear, although it says nothing; but nobody waits for it.
            self.socket.send_nowait(close_frame(Close.SILENT, "nothing came for too long"))
            wire.abort()
            return
        if self._nursery is None:
            return
        if silent >= manners.silence / 2 and now - self._asked_at >= manners.silence / 4:
            self._asked_at = now
            self._spontaneous(PING)
        if self.requests is not None and now - wire.said_at >= manners.heartbeat:
            self._give_a_sign(self.requests)

    def _give_a_sign(self, requests: Requests) -> None:
        fanout = self._host.sources.fanout
        live = [each for each in requests.subscriptions.values() if fanout.is_live(each)]
        for subscription in live:
            if self.socket.send_nowait(fanout.sign_of_life(subscription)):
                fanout.has_told(subscription)
                self._finish()
            else:
                self._later(partial(self._tell_how_far, subscription))
        if not live:
            self._spontaneous(frame(write(Pulse(head=self._host.sources.feed.last_seq))))

    def _spontaneous(self, data: bytes) -> None:
        """Send a frame; if that is not possible at once, in a task."""
        if self.socket.send_nowait(data):
            self._finish()
        else:
            self._later(partial(self._send_late, data))

    def _finish(self) -> None:
        """Send what is left of a frame that was sent without waiting."""
        if self.socket.wire.unsent:
            self._later(partial(self._send_late, b""))

    def _later(self, send: Callable[[], Awaitable[None]]) -> None:
        # What is being sent is a sign of life, or of death.
        if self._nursery is not None and not self.socket.wire.busy:
            self._nursery.start_soon(send)

    async def _tell_how_far(self, subscription: Subscription) -> None:
        fanout = self._host.sources.fanout
        if fanout.is_live(subscription):
            data = fanout.sign_of_life(subscription)
            fanout.has_told(subscription)
            # What waits for its turn to be sent has it before anything that is made later.
            await self._send_late(data)

    async def _send_late(self, data: bytes) -> None:
        with contextlib.suppress(SocketClosed):
            with trio.move_on_after(self._host.manners.write_timeout):
                await self.socket.send_frame(data)

    async def _greet(self) -> Identity:
        """Take the client's `hello`, and answer it."""
        data = None
        with trio.move_on_after(self._host.manners.hello_timeout):
            data = await self.socket.receive()
        if data is None:
            raise Leave(Close.NO_HELLO, "no hello came in time")
        if isinstance(data, bytes):
            raise Leave(Close.BAD_MESSAGE, "messages are text, not binary")
        try:
            hello = read_said(data)
        except BadMessage as exc:
            await self.socket.send(write(error_of(exc, exc.id)))
            raise Leave(Close.BAD_MESSAGE, exc.text) from exc
        if not isinstance(hello, Hello):
            raise Leave(Close.UNAUTHORIZED, "the first message must be hello")
        identity = self._identity
        if identity is None or hello.token is not None:
            identity = self._host.access.identify(hello.token)
        if identity is None:
            raise Leave(Close.UNAUTHORIZED, "a token that is known is needed")
        await self.socket.send(write(self._welcome(identity)))
        return identity

    def _welcome(self, identity: Identity) -> Welcome:
        manners = self._host.manners
        return Welcome(
            server=self._host.server,
            epoch=self._host.epoch,
            head=self._host.sources.feed.last_seq,
            heartbeat=manners.heartbeat,
            scopes=tuple(sorted(identity.scopes)),
            limits=manners.limits,
        )
