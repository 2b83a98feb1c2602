"""What holds up everything that clients send."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import attrs
import trio


@attrs.define
class Valve:
    """What clients send waits while it is shut."""

    opened: trio.Event = attrs.field(factory=trio.Event)
    waiting: int = 0


@contextmanager
def shut(valve: Valve) -> Generator[None]:
    """Hold up what is sent within a block."""
    valve.opened = trio.Event()
    try:
        yield
    finally:
        valve.opened.set()
