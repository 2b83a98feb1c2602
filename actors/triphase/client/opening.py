"""Connecting to a gateway."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from urllib.parse import SplitResult

import trio

from triphase.entropy import Entropy

from .client import Client
from .link import Dial, place_of
from .session import Session


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str | None = None,
    patience: float = 0.0,
    tls: ssl.SSLContext | None = None,
    entropy: Entropy | None = None,
    dial: Dial | None = None,
    on_lost: Callable[[str], None] | None = None,
) -> AsyncGenerator[Client]:
    """Connect to a gateway: `async with triphase.connect("ws://127.0.0.1:7117/ws") as client:`.

    A connection that is lost is made again, after pauses that grow to 30 s, for as long as the
    block lasts; meanwhile the client's verbs wait.

    Args:
      url: the gateway's, as `ws://host:port/ws` or `wss://…`.
      token: who asks.
      patience: seconds to try for the first connection; 0 tries once.
      tls: for `wss`: whom to trust; None trusts whom the system does.
      entropy: for the pauses between tries.
      dial: makes the byte stream, instead of TCP.
      on_lost: called with the reason each time the connection is lost, before it is made again;
        a `TriphaseError` that it raises ends the client instead.

    Raises:
      InvalidValue: if the URL is none.
      Unreachable: if there is no gateway, or TLS finds that it is another than it should be:
        the latter at once, whatever *patience* says.
      Unauthorized: if it does not know the token.
    """
    place = place_of(url)
    session = Session(dial or _tcp(place, tls), place, token, entropy or Entropy(), on_lost)
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(session.run, patience)
                yield Client(session)
            except Exception as exc:
                # Raised outside of the nursery, which would wrap it.
                failure = exc
            finally:
                session.close()
                nursery.cancel_scope.cancel(reason="the client's block has been left")
    finally:
        if failure is not None:
            # Also if it was cancelled from outside at that moment: else this would be lost.
            raise failure


def _tcp(place: SplitResult, tls: ssl.SSLContext | None) -> Dial:
    host = place.hostname or ""
    if place.scheme == "ws":
        port = place.port or 80

        async def dial() -> trio.abc.Stream:
            return await trio.open_tcp_stream(host, port)

        return dial
    context = tls or ssl.create_default_context()

    async def dial_tls() -> trio.abc.Stream:
        stream = await trio.open_ssl_over_tcp_stream(
            host, place.port or 443, ssl_context=context, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    return dial_tls
