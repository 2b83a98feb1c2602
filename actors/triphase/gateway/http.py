"""HTTP/1.1 with one client: h11 decides what bytes mean, and every wait has an end."""

from __future__ import annotations

import contextlib
import http
from collections.abc import AsyncGenerator, Awaitable, Callable
from email.utils import formatdate
from typing import Final, TypeAlias, TypeVar

import h11
import trio

from .exchanges import Refusal, Request, Response, parse_target
from .rules import Patience

HEAD_MOST: Final = 16 * 1024
"""The most bytes of a request's head."""

READ: Final = 16 * 1024
"""Bytes that are read at once."""

PIECE: Final = 64 * 1024
"""Bytes that are sent at once, within one `write` timeout."""

LINGER: Final = 2.0
"""Seconds in which a client may read the last answer before the connection is cut."""

LINGER_MOST: Final = 16 * 2**20
"""Bytes that are thrown away meanwhile."""

T = TypeVar("T")

_Found: TypeAlias = h11.Event | type[h11.NEED_DATA | h11.PAUSED]


class ClientGone(Exception):
    """The client has left before it was answered."""


class Conversation:
    """See the module's text.

    Args:
      stream: where.
      patience: how long the client may take.
      now: the wall clock, for the `Date` of answers.
    """

    def __init__(
        self, stream: trio.abc.Stream, patience: Patience, now: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._patience = patience
        self._now = now
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MOST)
        self._request: Request | None = None
        self._head_only = False
        self._complete = False
        self._first = True

    @property
    def going_on(self) -> bool:
        """True if another request may come."""
        return self._h11.our_state is h11.IDLE and self._h11.their_state is h11.IDLE

    async def next(self) -> Request | None:
        """Return the next request; None if no other comes. A checkpoint.

        Raises:
          Refusal: if what comes is none, or is not complete in time.
        """
        self._request, self._head_only, self._complete = None, False, False
        raw = bytearray(self._h11.trailing_data[0])
        idle = not (raw or self._first)
        seconds = self._patience.idle if idle else self._patience.head
        self._first = False
        event: _Found = h11.NEED_DATA
        with trio.move_on_after(seconds) as scope:
            await trio.lowlevel.checkpoint()
            while (event := self._event()) is h11.NEED_DATA:
                _check_head(raw)
                data = await self._receive()
                if idle and data:
                    idle = False
                    scope.deadline = trio.current_time() + self._patience.head
                if not data and not raw:
                    return None
                raw += data
                self._h11.receive_data(data)
        if isinstance(event, h11.Request):
            self._head_only = event.method == b"HEAD"
            rest = len(self._h11.trailing_data[0])
            _check_head(raw[: len(raw) - rest])
            self._request = _request(event, followed=rest > 0)
            if self._request.length == 0:
                # It ends here: without this h11 waits for somebody to ask.
                self._event()
            return self._request
        if raw and scope.cancelled_caught:
            raise Refusal(408, "timeout", "the request's head did not come in time")
        return None

    async def body(self, most: int) -> bytes:
        """Return the body of the last request. A checkpoint.

        Raises:
          Refusal: if it has more than *most* bytes, is broken, or is not complete in time.
        """
        assert self._request is not None, "there is a request"
        length, data = self._request.length, bytearray()
        if length == 0:
            await trio.lowlevel.checkpoint()
            return b""
        if length is not None and length > most:
            raise _too_large(most)
        if self._h11.they_are_waiting_for_100_continue:
            await self._write(
                self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
            )
        with trio.move_on_after(self._patience.body):
            while True:
                event = self._event()
                if isinstance(event, h11.Data):
                    data += event.data
                    if len(data) > most:
                        raise _too_large(most)
                elif isinstance(event, h11.EndOfMessage):
                    return bytes(data)
                else:
                    self._h11.receive_data(await self._receive())
        raise Refusal(408, "timeout", "the request's body did not come in time")

    async def respond(self, response: Response) -> None:
        """Answer the last request, or what came instead of one. A checkpoint.

        Raises:
          ClientGone: if the client leaves while pieces of the body are made.
          trio.TooSlowError: if it takes nothing for too long.
        """
        body = response.body
        begin = self._h11.send(self._head(response)) or b""
        if isinstance(body, bytes):
            if body and not self._head_only:
                begin += self._h11.send(h11.Data(data=body)) or b""
            begin += self._h11.send(h11.EndOfMessage()) or b""
            await self._write(begin)
        else:
            async with contextlib.aclosing(body):
                await self._write(begin)
                if not self._head_only:
                    await self.while_there(lambda: self._write_pieces(body), keep=False)
                await self._write(self._h11.send(h11.EndOfMessage()) or b"")
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()

    async def while_there(self, call: Callable[[], Awaitable[T]], *, keep: bool = True) -> T:
        """Call, and give that up if the client leaves meanwhile. A checkpoint.

        Args:
          call: what to do.
          keep: what the client sends meanwhile is its next request; else it is thrown away.

        Raises:
          ClientGone: if the client has left.
        """
        results: list[T] = []
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_gone, nursery.cancel_scope, keep)
            try:
                results.append(await call())
            except Exception as exc:
                # Not through the nursery, which would wrap it.
                failure = exc
            nursery.cancel_scope.cancel(reason="it is done")
        if failure is not None:
            raise failure
        if not results:
            raise ClientGone("the client has left")
        return results[0]

    async def linger(self) -> None:
        """End the connection so that the client can read the last answer. A checkpoint.

        To close at once would reset the connection if something of it was not read, and the
        answer might be lost with it.
        """
        with trio.move_on_after(LINGER):
            if isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
            thrown = 0
            while thrown < LINGER_MOST:
                data = await self._receive()
                if not data:
                    return
                thrown += len(data)

    def _event(self) -> _Found:
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as exc:
            raise Refusal(exc.error_status_hint, "bad_request", str(exc)) from exc
        if isinstance(event, h11.EndOfMessage):
            self._complete = True
        return event

    async def _receive(self) -> bytes:
        return bytes(await self._stream.receive_some(READ))

    def _head(self, response: Response) -> h11.Response:
        headers = [("date", formatdate(self._now(), usegmt=True)), *response.headers]
        if isinstance(response.body, bytes):
            if response.status != http.HTTPStatus.NO_CONTENT:
                headers.append(("content-length", str(len(response.body))))
            over = not self._complete
        else:
            over = True
        if over:
            headers.append(("connection", "close"))
        return h11.Response(
            status_code=response.status,
            headers=headers,
            reason=http.HTTPStatus(response.status).phrase,
        )

    async def _write_pieces(self, body: AsyncGenerator[bytes]) -> None:
        async for piece in body:
            await self._write(self._h11.send(h11.Data(data=piece)) or b"")

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(data), PIECE):
            with trio.fail_after(self._patience.write):
                await self._stream.send_all(view[begin : begin + PIECE])

    async def _cancel_when_gone(self, scope: trio.CancelScope, keep: bool) -> None:
        kept = 0
        with contextlib.suppress(trio.BrokenResourceError):
            while data := await self._receive():
                if keep:
                    self._h11.receive_data(data)
                    kept += len(data)
                    if kept > HEAD_MOST:
                        # More is not taken: nothing tells then whether the client is there.
                        return
        scope.cancel(reason="the client has left")


def _check_head(raw: bytes | bytearray) -> None:
    if len(raw) > HEAD_MOST:
        raise Refusal(431, "bad_request", f"the head has more than {HEAD_MOST} bytes")
    # 127 is a control character, and some parser further down crashes at what lies above it.
    if not raw.isascii() or b"\x7f" in raw:
        raise Refusal(400, "bad_request", "a byte of the head is not ASCII")


def _request(event: h11.Request, *, followed: bool) -> Request:
    version = event.http_version.decode("ascii")
    if version not in ("1.0", "1.1"):
        raise Refusal(505, "bad_request", f"HTTP/{version} is not spoken here")
    headers = tuple((name.decode("ascii"), value.decode("ascii")) for name, value in event.headers)
    lengths = [value for name, value in headers if name == "content-length"]
    chunked = any(name == "transfer-encoding" for name, _ in headers)
    if chunked and (lengths or version == "1.0"):
        # Two servers in a row may read it in two ways: what is a body to one is a request to
        # the other.
        raise Refusal(400, "bad_request", "the length of the body is ambiguous")
    path, query = parse_target(event.target.decode("ascii"))
    return Request(
        method=event.method.decode("ascii"),
        version=version,
        path=path,
        query=query,
        headers=headers,
        length=None if chunked else int(lengths[0]) if lengths else 0,
        followed=followed,
    )


def _too_large(most: int) -> Refusal:
    return Refusal(413, "too_large", f"the body has more than {most} bytes")
