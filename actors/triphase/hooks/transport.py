"""The HTTP library's way to a receiver: its pool, over connections whose address was checked.

The pool knows a connection by scheme, host and port: it is used again only for the same host,
whose address was checked when it was made, and under the name that TLS has verified.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, Final

import attrs
import httpcore
import httpx
import trio

from .connecting import Connector

KEPT: Final = frozenset({b"retry-after"})
"""The headers of an answer that are handed on.

Without the others there is no cookie to keep, no redirect to read and nothing to unpack.
"""

TARGET: Final = "triphase.target"
"""The extension by which a request says what stands in its first line, byte for byte.

Its own name: what the pool calls so is heeded by proxies too, and they need another.
"""


class CheckedTransport(httpx.AsyncBaseTransport):
    """Carries requests to addresses that a connector lets through.

    A body of a request is in memory, whole. Errors are the library's, or `SendFailed` if there
    is no connection.
    """

    def __init__(self, connector: Connector, tls: ssl.SSLContext) -> None:
        # The sender limits how many there are: in the pool, a wait would take from a try's time.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=None,
            max_keepalive_connections=connector.bounds.idle,
            keepalive_expiry=connector.bounds.idle_for,
            network_backend=_Network(connector),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the head of its answer, whose body is to be read.

        A checkpoint. Cancelled, it may have been received or not.

        Raises:
          httpx.TransportError: if no answer came.
          SendFailed: if the receiver may not be reached, or cannot.
        """
        sent = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.extensions.get(TARGET, request.url.raw_path),
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _translated():
            answer = await self._pool.handle_async_request(sent)
        return httpx.Response(
            answer.status,
            headers=[each for each in answer.headers if each[0].lower() in KEPT],
            stream=_Body(answer),
        )

    async def aclose(self) -> None:
        """Close all connections. A checkpoint; cancelled, they are closed all the same."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


_ERRORS: Final[Mapping[type[Exception], type[httpx.TransportError]]] = {
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.TimeoutException: httpx.TimeoutException,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.NetworkError: httpx.NetworkError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.ProtocolError: httpx.RemoteProtocolError,
}
"""What each error of the pool is called by the library above it; the closest comes first."""


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except tuple(_ERRORS) as exc:
        [name, *_] = [new for old, new in _ERRORS.items() if isinstance(exc, old)]
        raise name(str(exc)) from exc


@attrs.frozen(eq=False)
class _Network(httpcore.AsyncNetworkBackend):
    """Where the pool's connections come from."""

    connector: Connector

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self.connector.connect(host, port)
        return _Stream(stream, stream, self.connector)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection, of whose answers so much is read and no more."""

    def __init__(
        self, stream: trio.abc.Stream, plain: trio.abc.Stream, connector: Connector
    ) -> None:
        # The second is what lies under TLS, or the same.
        self._stream, self._plain = stream, plain
        self._connector = connector
        self._left = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        seconds, most = self._connector.bounds.read, self._connector.bounds.answer
        if not self._left:
            raise httpcore.ReadError(f"the answer has more than {most:,} bytes before its body")
        try:
            with trio.fail_after(seconds):
                data = await self._stream.receive_some(min(max_bytes, self._left))
        except trio.TooSlowError as exc:
            raise httpcore.ReadTimeout(f"nothing was answered for {seconds:g} s") from exc
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpcore.ReadError("the connection broke before the answer") from exc
        self._left -= len(data)
        return bytes(data)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        seconds = self._connector.bounds.write
        # What is written is a request: a new answer begins.
        self._left = self._connector.bounds.answer
        try:
            with trio.fail_after(seconds):
                await self._stream.send_all(buffer)
        except trio.TooSlowError as exc:
            raise httpcore.WriteTimeout(f"the request was not taken in {seconds:g} s") from exc
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise httpcore.WriteError("the connection broke before the request was sent") from exc

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        secured = await self._connector.secure(self._stream, server_hostname or "", ssl_context)
        return _Stream(secured, self._plain, self._connector)

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        # An idle connection on which something comes is one that the other side has closed.
        plain = self._plain
        return isinstance(plain, trio.SocketStream) and plain.socket.is_readable()
