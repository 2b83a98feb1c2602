"""Connects to the receiver of a webhook: to an address that was checked, and to no other.

A name is looked up once for a connection, and the connection is made to one of the addresses
that came: there is no second lookup which could say something else.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import trio

from .addresses import Address, Allowed, literal
from .answers import SendFailed
from .bounds import Bounds
from .resolver import Resolver

Dial = Callable[[Address, int], Awaitable[trio.abc.Stream]]
"""Connects to a port of an address; raises OSError if nobody is there."""

ADDRESSES_MOST: Final = 8
"""How many addresses of a name are tried."""


@attrs.frozen
class Connector:
    """Makes connections, by these rules."""

    allowed: Allowed
    bounds: Bounds
    resolver: Resolver
    dial: Dial

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """Return a connection to a host that may be reached.

        A checkpoint.

        Raises:
          SendFailed: if it may not be reached, or cannot. One address that may not is enough:
            who sets such a name up has something in mind.
        """
        given = literal(host)
        addresses = [given] if given is not None else await self._look_up(host, port)
        for address in addresses:
            refusal = self.allowed.refusal(host, address)
            if refusal is not None:
                raise SendFailed(
                    f"{host}: {refusal}, to which nothing is sent unless it is allowed",
                    retry=given is None,
                )
        return await self._first(host, port, addresses[:ADDRESSES_MOST])

    async def _look_up(self, host: str, port: int) -> Sequence[Address]:
        try:
            with trio.fail_after(self.bounds.look_up):
                addresses = await self.resolver(host, port)
        except trio.TooSlowError as exc:
            seconds = self.bounds.look_up
            raise SendFailed(f"{host}: not looked up within {seconds:g} s", retry=True) from exc
        except OSError as exc:
            raise SendFailed(f"{host}: {exc.strerror or exc}", retry=True) from exc
        except UnicodeError as exc:
            raise SendFailed(f"{host!r:.80} is no name of a host: {exc}", retry=False) from exc
        if not addresses:
            raise SendFailed(f"{host}: it has no address", retry=True)
        return [*dict.fromkeys(addresses)]

    async def _first(self, host: str, port: int, addresses: Sequence[Address]) -> trio.abc.Stream:
        problems: list[tuple[Address, str]] = []
        for address in addresses:
            try:
                with trio.fail_after(self.bounds.connect):
                    return await self.dial(address, port)
            except trio.TooSlowError:
                problems.append((address, f"no connection within {self.bounds.connect:g} s"))
            except OSError as exc:
                problems.append((address, _words(exc)))
        # An address that is the host itself is not named twice.
        given = literal(host)
        said = [words if at == given else f"{at}: {words}" for at, words in problems]
        raise SendFailed(f"{host}: {'; '.join(said)}", retry=True)

    async def secure(
        self, stream: trio.abc.Stream, host: str, context: ssl.SSLContext
    ) -> trio.SSLStream[trio.abc.Stream]:
        """Begin TLS with whoever can prove to be the host.

        A checkpoint. If it fails or is cancelled, the connection is closed.

        Raises:
          SendFailed: if they cannot.
        """
        secured = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
        try:
            with trio.fail_after(self.bounds.connect):
                await secured.do_handshake()
        except trio.TooSlowError as exc:
            await trio.aclose_forcefully(stream)
            seconds = self.bounds.connect
            raise SendFailed(f"{host}: no TLS within {seconds:g} s", retry=True) from exc
        except trio.BrokenResourceError as exc:
            await trio.aclose_forcefully(stream)
            raise SendFailed(f"{host}: TLS failed: {_tls_reason(exc)}", retry=True) from exc
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured


async def dial_tcp(address: Address, port: int) -> trio.abc.Stream:
    """Connect by TCP. A checkpoint.

    Raises:
      OSError: if nobody is there.
    """
    family = trio.socket.AF_INET if address.version == 4 else trio.socket.AF_INET6
    connection = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    try:
        await connection.connect((str(address), port))
    except BaseException:
        connection.close()
        raise
    return trio.SocketStream(connection)


def _words(error: OSError) -> str:
    """Return what the system says, without the address that trio puts before it."""
    if error.errno is None:
        return str(error)
    return os.strerror(error.errno)


def _tls_reason(error: trio.BrokenResourceError) -> str:
    match error.__cause__:
        case ssl.SSLCertVerificationError() as cause:
            return str(cause.verify_message)
        case ssl.SSLError() as cause:
            return (cause.reason or str(cause)).replace("_", " ").lower()
        case _:
            return "the connection broke"
