"""Sends webhooks over HTTP, with a client of its own or with one that it is given.

No redirect is followed, and nothing of an answer is decoded or kept but how it begins. Its own
client asks no proxy of the environment, keeps no cookie, and reaches checked addresses only.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

import httpx
import trio

from triphase.clock import Clock, SystemClock

from .addresses import Allowed
from .answers import EXCERPT_MOST, Answer, SendFailed, excerpt_of, read_retry_after
from .bounds import Bounds
from .connecting import Connector, Dial, dial_tcp
from .resolver import Resolver, system_resolver
from .transport import TARGET, CheckedTransport
from .unlogged import unlogged

SCHEMES: Final = ("http", "https")

AGENT: Final = "triphase"


@asynccontextmanager
async def open_sender(
    *,
    allowed: Allowed | None = None,
    bounds: Bounds | None = None,
    tls: ssl.SSLContext | None = None,
    resolver: Resolver | None = None,
    dial: Dial | None = None,
    clock: Clock | None = None,
    client: httpx.AsyncClient | None = None,
) -> AsyncGenerator[HttpSender]:
    """Open a sender of webhooks, as an async context manager.

    Leave the block when nothing is sent any more; its connections are closed then.

    Args:
      allowed: which addresses may be reached although they are not public.
      bounds: what a receiver can cost.
      tls: whom to trust; None is whom the machine trusts.
      resolver: looks names up, instead of the machine.
      dial: makes connections, instead of TCP.
      clock: the wall clock, by which a receiver may name the time of the next try.
      client: sends instead of a client of its own, as it is set up: with its headers, its auth,
        its cookies and those that answers set, its proxy. It is not closed. Which addresses it
        reaches, and whom it trusts, is its own affair: `allowed`, `tls`, `resolver` and `dial`
        are not asked, and of `bounds` only `total` and `answer`, which is then of the
        body. What its hooks or its auth read of an answer is not bounded. It follows no
        redirect, whatever it is set to.
    """
    bounds = bounds or Bounds()
    clock = clock or SystemClock()
    if client is not None:
        yield HttpSender(client, bounds, clock)
        return
    connector = Connector(
        allowed=allowed or Allowed(),
        bounds=bounds,
        resolver=resolver or system_resolver(),
        dial=dial or dial_tcp,
    )
    async with _own_client(connector, tls or ssl.create_default_context()) as own:
        yield HttpSender(own, bounds, clock)


def _own_client(connector: Connector, tls: ssl.SSLContext) -> httpx.AsyncClient:
    # The connections have time limits of their own.
    client = httpx.AsyncClient(
        transport=CheckedTransport(connector, tls), timeout=None, trust_env=False
    )
    # The library's own say that it unpacks what it is answered.
    client.headers.clear()
    client.headers["user-agent"] = AGENT
    return client


class HttpSender:
    """Sends webhooks over connections that are used again. Made by `open_sender`."""

    def __init__(self, client: httpx.AsyncClient, bounds: Bounds, clock: Clock) -> None:
        self._client = client
        self._bounds = bounds
        self._clock = clock

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a body to a URL and return what is answered, of whatever status.

        Once the status is there it counts, whatever becomes of the rest of the answer.

        A checkpoint. Cancelled, it may have been received or not.

        Raises:
          SendFailed: if no answer came, or the URL cannot be sent to. What it says begins with
            the host, if there is one, and holds nothing of the headers.
        """
        target, line = _target(url)
        answer: httpx.Response | None = None
        begin = bytearray()
        problem: BaseException | None = None
        try:
            with trio.fail_after(self._bounds.total) as scope, unlogged():
                request = self._client.build_request(
                    "POST", target, headers=headers, content=body, extensions={TARGET: line}
                )
                request.stream = _Content(body)
                answer = await self._client.send(request, stream=True, follow_redirects=False)
                async with aclosing(answer):
                    await self._read(answer, begin, scope)
        except* _FAILURES as group:
            problem = _first(group)
        if answer is None and isinstance(problem, httpx.HTTPStatusError):
            # A client may be set up to raise it: the status is an answer all the same.
            answer = problem.response
        if answer is None:
            raise self._failure(target.raw_host.decode(), problem) from problem
        return Answer(
            status=answer.status_code,
            retry_after=read_retry_after(answer.headers.get("retry-after"), self._clock.now()),
            excerpt=excerpt_of(bytes(begin)),
        )

    async def _read(
        self, answer: httpx.Response, begin: bytearray, scope: trio.CancelScope
    ) -> None:
        if answer.is_stream_consumed:
            # A client may have read it for itself, as one does that logs.
            with suppress(httpx.ResponseNotRead):
                begin += answer.content[:EXCERPT_MOST]
            return
        left = self._bounds.answer
        async for part in answer.aiter_raw():
            begin += part[: EXCERPT_MOST - len(begin)]
            left -= len(part)
            if left <= 0:
                # Not a `break`: it would leave the library's generators half-way, of which trio
                # complains. So the next read ends them all.
                scope.cancel()

    def _failure(self, host: str, problem: BaseException | None) -> SendFailed:
        if isinstance(problem, trio.TooSlowError):
            return SendFailed(f"{host}: no answer within {self._bounds.total:g} s", retry=True)
        name = type(problem).__name__
        if isinstance(problem, _LOCAL):
            # What it says itself may be a header with a secret in it.
            return SendFailed(f"{host}: the request cannot be sent: {name}", retry=False)
        return SendFailed(f"{host}: {str(problem) or name}", retry=True)


_LOCAL: Final = (
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    UnicodeError,
)
"""The request itself is at fault: another try cannot end otherwise."""

_FAILURES: Final = (trio.TooSlowError, httpx.HTTPError, *_LOCAL)


def _first(error: BaseException) -> BaseException:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return _first(group.exceptions[0])
    return error


def _target(url: str) -> tuple[httpx.URL, str]:
    """Return a URL as the library reads it, and its path and query as they were written.

    Raises:
      SendFailed: if nothing can be sent to it. What it says holds no password.
    """
    try:
        parts = urlsplit(url)
        problem = _problem(url, parts)
        target = httpx.URL(url if problem is None else "")
    except (ValueError, httpx.InvalidURL):
        # The error may show what was to be a password and reads as a port.
        raise SendFailed("nothing can be sent to the URL: it cannot be read", retry=False) from None
    if problem is None and target.raw_host.decode() != parts.hostname:
        problem = "its host can be read in two ways"
    if problem is not None:
        raise SendFailed(f"nothing can be sent to the URL: {problem}", retry=False)
    return target, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _problem(url: str, parts: SplitResult) -> str | None:
    if parts.scheme not in SCHEMES:
        return f"its scheme is {parts.scheme!r:.20}, and not http or https"
    if "@" in parts.netloc:
        return "it has a user name or a password in it"
    if not parts.hostname:
        return "it has no host"
    if parts.port == 0:
        return "it has the port 0"
    if not all("!" <= c <= "~" for c in url):
        return "it has a character that is not written so in a URL"
    return None


class _Content(httpx.AsyncByteStream):
    """The body of a request, in one part, as often as it is asked for.

    The library's own is an async generator, which trio complains of when it is left half-way.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._body)


class _Once:
    def __init__(self, part: bytes) -> None:
        self._left = [part]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()
