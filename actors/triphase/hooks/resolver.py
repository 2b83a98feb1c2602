"""Names into addresses: by the machine's resolver, or by what a simulation puts in its place."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Final

import trio

from .addresses import Address

LOOKUPS: Final = 16
"""How many names are looked up at once."""

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Returns the addresses of a host, the best first; raises OSError if there is none."""


def system_resolver(lookups: int = LOOKUPS) -> Resolver:
    """Return a resolver that asks the machine.

    A lookup is a call into the C library, in a thread. It is a checkpoint; cancelled, the thread
    is left to itself and keeps its place until it ends. The places are its own, so that names
    which hang keep no other thread waiting.

    Args:
      lookups: how many at once.
    """
    places = trio.CapacityLimiter(lookups)

    async def resolve(host: str, port: int) -> Sequence[Address]:
        def look_up() -> list[Address]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return [ip_address(entry[4][0]) for entry in found]

        return await trio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=places)

    return resolve
