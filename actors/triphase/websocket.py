"""WebSockets by trio-websocket, behind the few calls that triphase needs; nobody else imports it.

What it does not do, and this module does: a handshake has a deadline, and ends when its connection
does; a message is framed once, however many connections it goes to, and may be written without a
task of its own; a send that was given up closes the connection, since half a frame can be followed
by nothing; and a message in very small pieces takes no more memory than another.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import attrs
import trio
import trio_websocket
from trio_websocket import ConnectionClosed, ConnectionRejected

from .wires import Wire

CLOSE_PATIENCE: Final = 5.0
"""Seconds that the other side has to answer a close frame."""

RECEIVED_WAITING: Final = 16
"""Messages that wait to be taken, before the connection reads no more."""

PIECES: Final = 1000
"""Pieces of a message that are held one by one, before they are joined."""

REASON_MOST: Final = 123
"""The most bytes of a close frame's reason (RFC 6455, section 5.5)."""

ABNORMAL: Final = 1006


class SocketClosed(Exception):
    """The connection is over."""

    def __init__(self, code: int, reason: str) -> None:
        if code == ABNORMAL:
            # No code of anybody: it stands for what came instead of a close frame.
            super().__init__(reason or "it broke off")
        else:
            super().__init__(f"closed with code {code}: {reason}" if reason else f"closed: {code}")
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The server has refused the handshake."""

    def __init__(self, message: str, status: int | None = None, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


@attrs.frozen(eq=False)
class Socket:
    """One side of a WebSocket."""

    wire: Wire
    _inner: trio_websocket.WebSocketConnection

    async def receive(self) -> str | bytes:
        """Return the next message. A checkpoint; cancelled, none is lost.

        Raises:
          SocketClosed: if no more comes.
        """
        try:
            return await self._inner.get_message()
        except ConnectionClosed:
            raise self._closed() from None

    async def send(self, text: bytes) -> None:
        """Send a text message. A checkpoint; cancelled, the connection is closed.

        Raises:
          SocketClosed: if it cannot be sent any more.
        """
        try:
            if self._inner.is_client:
                # A client masks what it sends: that is its own frame.
                await self._inner.send_message(text.decode("utf-8"))
            else:
                await self.send_frame(frame(text))
        except ConnectionClosed:
            raise self._closed() from None
        except BaseException:
            self.wire.abort()
            raise

    async def send_frame(self, data: bytes) -> None:
        """Send what `frame` made, as a server; otherwise like `send`."""
        if self._inner.closed is not None:
            raise self._closed()
        try:
            await self.wire.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._closed() from None
        except BaseException:
            self.wire.abort()
            raise

    async def send_alone(self, text: str) -> None:
        """Send a message as the library itself does: what sharing frames is measured against."""
        await self._inner.send_message(text)

    def send_nowait(self, data: bytes) -> bool:
        """Send what `frame` made, as a server, if it can be sent at once. Never waits.

        Returns:
          False if it was not: nothing of it was sent then.
        """
        return self._inner.closed is None and self.wire.send_nowait(data)

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection, and give the other side some seconds to agree. A checkpoint."""
        with trio.move_on_after(CLOSE_PATIENCE):
            await self._inner.aclose(code, cut(reason))
        self.wire.abort()

    def _closed(self) -> SocketClosed:
        found = self._inner.closed
        if found is None:
            return SocketClosed(ABNORMAL, "the connection was lost")
        return SocketClosed(int(found.code), found.reason or "")


def frame(text: bytes) -> bytes:
    """Return a text message as a server's frame (RFC 6455, section 5.2): whole, and not masked."""
    return _head(0x81, len(text)) + text


def close_frame(code: int, reason: str) -> bytes:
    """Return a server's close frame (RFC 6455, section 5.5.1)."""
    payload = struct.pack("!H", code) + cut(reason).encode("utf-8")
    return _head(0x88, len(payload)) + payload


def _head(first: int, size: int) -> bytes:
    if size < 126:
        return struct.pack("!BB", first, size)
    if size < 2**16:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)


PING: Final = _head(0x89, 0)


def cut(reason: str) -> str:
    """Return a reason that fits into a close frame."""
    return reason.encode("utf-8")[:REASON_MOST].decode("utf-8", "ignore")


@asynccontextmanager
async def accepted(
    wire: Wire, *, subprotocol: str, message_bytes: int, handshake: float
) -> AsyncGenerator[Socket]:
    """Answer the handshake that a wire begins with, as a server, and be its socket.

    Args:
      wire: where; its first bytes are the request, which somebody has checked.
      subprotocol: what to agree on; the client has offered it.
      message_bytes: the most bytes of a message.
      handshake: seconds that it may take.

    Raises:
      SocketClosed: if the client leaves meanwhile.
      trio.TooSlowError: if it takes longer.
    """

    async def agree(reading: _Reading) -> trio_websocket.WebSocketConnection:
        request = await trio_websocket.wrap_server_stream(
            cast("trio.Nursery", reading),
            cast("trio.SocketStream", wire),
            message_queue_size=RECEIVED_WAITING,
            max_message_size=message_bytes,
            receive_buffer_size=2**16,
        )
        return await request.accept(subprotocol=subprotocol)

    async with _open_reading(wire) as reading:
        inner = None
        with contextlib.suppress(ConnectionClosed):
            inner = await reading.agreed(agree, handshake)
        if inner is None:
            raise SocketClosed(ABNORMAL, "the client left in the handshake")
        yield Socket(wire, inner)


@asynccontextmanager
async def opened(
    stream: trio.abc.Stream,
    *,
    host: str,
    resource: str,
    subprotocols: Sequence[str],
    headers: Sequence[tuple[str, str]] = (),
    message_bytes: int,
    handshake: float,
) -> AsyncGenerator[Socket]:
    """Make the handshake on a stream, as a client, and be its socket.

    Raises:
      Refused: if the server says no, or what it says is no WebSocket, or the stream ends.
      trio.TooSlowError: if it takes longer than *handshake* seconds.
    """
    wire = Wire(stream)

    async def agree(reading: _Reading) -> trio_websocket.WebSocketConnection:
        return await trio_websocket.wrap_client_stream(
            cast("trio.Nursery", reading),
            cast("trio.SocketStream", wire),
            host,
            resource,
            subprotocols=subprotocols,
            extra_headers=[(name.encode(), value.encode()) for name, value in headers],
            message_queue_size=RECEIVED_WAITING,
            max_message_size=message_bytes,
            receive_buffer_size=2**16,
        )

    async with _open_reading(wire) as reading:
        inner = await reading.agreed(agree, handshake)
        if inner is None:
            cause = reading.failure or wire.failure
            raise _refusal(cause) from cause
        yield Socket(wire, inner)


@attrs.define(eq=False)
class _Reading:
    """What the library takes for a nursery: there it starts the task that reads a connection.

    How that task ends is kept here. The library raises it where nobody waits for it, and does not
    tell who waits for the handshake.
    """

    _nursery: trio.Nursery
    failure: Exception | None = None
    """What the task has raised, if it matters."""

    _agreeing: trio.CancelScope | None = None
    _inner: trio_websocket.WebSocketConnection | None = None

    def start_soon(self, read: Callable[[], Awaitable[None]]) -> None:
        """Start the task, as the library asks for it."""
        hold_few_pieces(cast("Any", read).__self__)
        self._nursery.start_soon(self._run, read)

    async def agreed(
        self,
        agree: Callable[[_Reading], Awaitable[trio_websocket.WebSocketConnection]],
        seconds: float,
    ) -> trio_websocket.WebSocketConnection | None:
        """Make a handshake. A checkpoint.

        Returns:
          The connection; None if the task that reads it has ended before there was one.

        Raises:
          trio.TooSlowError: if it takes longer than so many seconds.
        """
        with trio.fail_after(seconds), trio.CancelScope() as self._agreeing:
            self._inner = await agree(self)
        return self._inner

    async def _run(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except Exception as exc:
            # It answers what comes after the end as well, and then finds that it cannot.
            if self._inner is None or self._inner.closed is None:
                self.failure = exc
        finally:
            if self._agreeing is not None:
                self._agreeing.cancel(reason="nobody reads any more")


@asynccontextmanager
async def _open_reading(wire: Wire) -> AsyncGenerator[_Reading]:
    """Have a task that reads a wire for as long as a block lasts.

    What the block raises is not wrapped. If it raises nothing, what the task has raised is.
    """
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            reading = _Reading(nursery)
            try:
                yield reading
            except Exception as exc:
                failure = exc
            finally:
                wire.abort()
                nursery.cancel_scope.cancel(reason="the connection is over")
    finally:
        if failure is not None:
            # Also if it was cancelled from outside at that moment: else this would be lost.
            raise failure
    if reading.failure is not None:
        raise reading.failure


def hold_few_pieces(connection: Any) -> None:
    """Keep a connection from holding an object for each piece of a message.

    The limit of a message is about its characters. Pieces may be of one, or of none: then those
    who send them decide how much memory they take.

    Args:
      connection: the library's, before it reads.
    """
    handle: Callable[[Any], Awaitable[None]] = connection._handle_message_event
    joined = 0

    async def handle_frugally(event: Any) -> None:
        nonlocal joined
        if not (event.data or event.message_finished):
            return
        await handle(event)
        pieces: list[Any] = connection._message_parts
        if event.message_finished:
            joined = 0
        elif len(pieces) - joined >= PIECES:
            pieces[joined:] = [event.data[:0].join(pieces[joined:])]
            joined += 1

    connection._handle_message_event = handle_frugally


def _refusal(cause: Exception | None) -> Refused:
    if isinstance(cause, ConnectionRejected):
        body = (cause.body or b"").decode("utf-8", "replace").strip()
        return Refused(f"the server answered {cause.status_code}", cause.status_code, body)
    if cause is None or isinstance(cause, OSError | trio.BrokenResourceError):
        return Refused(": ".join(["the connection ended in the handshake", *words_of(cause)]))
    # The library would answer, and finds that a client cannot: what is wrong is what came first.
    first: BaseException = cause
    while first.__context__ is not None:
        first = first.__context__
    return Refused(f"the server made no WebSocket of it: {str(first) or type(first).__name__}")


def words_of(exc: BaseException | None) -> list[str]:
    """Return what an exception says, and what its causes say, without what says nothing."""
    found: list[str] = []
    while exc is not None:
        if isinstance(exc, BaseExceptionGroup):
            exc = cast("BaseExceptionGroup[BaseException]", exc).exceptions[0]
            continue
        words = str(exc)
        if words and words not in found:
            found.append(words)
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return found
