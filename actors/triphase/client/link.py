"""A link: one connection to a gateway, from the handshake to its end."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

import attrs
import trio

from triphase.websocket import Refused, Socket, SocketClosed, opened, words_of
from triphase_protocol import InvalidValue, decode
from triphase_protocol.wire import (
    SUBPROTOCOL,
    BadMessage,
    Bye,
    Forbidden,
    Hello,
    Reply,
    Unauthorized,
    Welcome,
    read_reply,
    tries_again,
    write,
)

from .errors import Unreachable

HANDSHAKE: Final = 10.0
"""Seconds that connecting, the upgrade and `hello` may take together."""

TOO_SLOW: Final = f"the handshake took more than {HANDSHAKE:g} s"

SILENCE: Final = 2.5
"""After so many heartbeats without a message the connection is dead."""

MESSAGE_BYTES: Final = 64 * 2**20
"""The most bytes of one message from a gateway."""

WORDS_MOST: Final = 200
"""The most characters of an answer that is no gateway's that an error shows."""

RETRY_AFTER_MOST: Final = 300.0
"""The most seconds that a gateway's word keeps a client away."""

Dial: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]
"""Makes the byte stream to a gateway. A checkpoint."""


class LinkLost(Exception):
    """The connection is over, and another may be made after so many seconds."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = min(max(0.0, retry_after), RETRY_AFTER_MOST)


def place_of(url: str) -> SplitResult:
    """Return the parts of a gateway's URL.

    Raises:
      InvalidValue: if it is none.
    """
    try:
        place = urlsplit(url)
        # What is neither a letter nor a sign of ASCII would have to be written in another way.
        plain = url.isascii() and url.isprintable() and " " not in url
        sound = place.scheme in ("ws", "wss") and place.hostname and place.port != 0 and plain
        if sound and place.username is None:
            return place
    except ValueError:
        pass
    raise InvalidValue(f"url={url!r}: must be like ws://127.0.0.1:7117/ws, or wss://…")


@attrs.frozen(eq=False)
class Link:
    """See the module's text."""

    socket: Socket
    welcome: Welcome

    async def say(self, data: bytes) -> None:
        """Send a message. A checkpoint; cancelled, the link is of no use any more.

        Raises:
          LinkLost: if it cannot be sent.
        """
        try:
            await self.socket.send(data)
        except SocketClosed as exc:
            raise LinkLost(str(exc)) from exc

    async def hear(self) -> Reply:
        """Return the next message that this client knows. A checkpoint.

        Raises:
          LinkLost: if the connection is over.
          TriphaseError: if it is over, and another would end in the same way.
        """
        while True:
            patience, reply = SILENCE * self.welcome.heartbeat, None
            with trio.move_on_after(patience) as scope:
                reply = await _heard(self.socket)
            if scope.cancelled_caught:
                self.socket.wire.abort()
                raise LinkLost(f"nothing was heard for {patience:g} s")
            if isinstance(reply, Bye):
                raise LinkLost(reply.reason, reply.retry_after)
            if reply is not None:
                return reply


@asynccontextmanager
async def open_link(dial: Dial, place: SplitResult, token: str | None) -> AsyncGenerator[Link]:
    """Connect, say hello, and be the link.

    Raises:
      LinkLost: if there is nobody, or it was lost meanwhile.
      TriphaseError: if trying again would be of no use.
    """
    hello = write(Hello(token=token, client="triphase-python"))
    with trio.CancelScope(deadline=trio.current_time() + HANDSHAKE) as scope:
        stream = await _dialled(dial)
        try:
            async with opened(
                stream,
                host=place.netloc,
                resource=place.path or "/ws",
                subprotocols=[SUBPROTOCOL],
                message_bytes=MESSAGE_BYTES,
                handshake=HANDSHAKE,
            ) as socket:
                welcome = await _welcome(socket, hello)
                scope.deadline = float("inf")
                yield Link(socket, welcome)
        except trio.TooSlowError as exc:
            raise LinkLost(TOO_SLOW) from exc
        except Refused as exc:
            raise _refusal(exc) from exc
        finally:
            await trio.aclose_forcefully(stream)
    if scope.cancelled_caught:
        raise LinkLost(TOO_SLOW)


async def _dialled(dial: Dial) -> trio.abc.Stream:
    try:
        return await dial()
    except (OSError, trio.BrokenResourceError) as exc:
        words = ": ".join(words_of(exc)) or type(exc).__name__
        if isinstance(exc.__cause__ or exc, ssl.SSLCertVerificationError):
            # Another try would find the same: somebody has to look at it.
            raise Unreachable(f"it cannot be trusted: {words}") from exc
        raise LinkLost(words) from exc


async def _welcome(socket: Socket, hello: bytes) -> Welcome:
    """Say hello, and return the answer."""
    try:
        await socket.send(hello)
    except SocketClosed as exc:
        raise _end_of(exc) from exc
    welcome = await _heard(socket)
    if isinstance(welcome, Bye):
        raise LinkLost(welcome.reason, welcome.retry_after)
    if not isinstance(welcome, Welcome) or welcome.heartbeat <= 0:
        raise Unreachable(f"what answers there is no gateway: {welcome!r:.100}")
    return welcome


async def _heard(socket: Socket) -> Reply | None:
    try:
        return read_reply(await socket.receive())
    except SocketClosed as exc:
        raise _end_of(exc) from exc
    except BadMessage as exc:
        socket.wire.abort()
        raise LinkLost(f"what came is no message: {exc}") from exc


def _end_of(exc: SocketClosed) -> Exception:
    if tries_again(exc.code) or exc.code == 1000:
        return LinkLost(str(exc))
    kind = {4401: Unauthorized, 4403: Forbidden}.get(exc.code, BadMessage)
    return kind(exc.reason or str(exc))


def _refusal(exc: Refused) -> Exception:
    words = ": ".join([str(exc), *_words_in(exc.body)])
    match exc.status:
        case 401:
            return Unauthorized(words)
        case 403:
            return Forbidden(words)
        case 503 | 502 | 504 | 429 | None:
            return LinkLost(words)
        case _:
            return Unreachable(words)


def _words_in(body: str) -> list[str]:
    """Return what an answer tells people: of a gateway its message, of others a short text."""
    try:
        return [str(decode(body)["error"]["message"])]
    except (InvalidValue, LookupError, TypeError):
        text = " ".join(body.split())
        return [text[:WORDS_MOST]] if text and not text.startswith("<") else []
