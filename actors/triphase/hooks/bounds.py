"""What one receiver of webhooks can cost: time, bytes and connections."""

from __future__ import annotations

import attrs

from triphase.checks import check_seconds, check_whole


@attrs.frozen(kw_only=True)
class Bounds:
    """What one receiver can cost.

    Raises:
      DefinitionError: if a number is out of its range.
    """

    look_up: float = 5.0
    """Seconds to look its name up."""

    connect: float = 5.0
    """Seconds to connect to one of its addresses, and as many again for TLS."""

    write: float = 10.0
    """Seconds in which it takes the request."""

    read: float = 10.0
    """Seconds in which something more of its answer comes."""

    total: float = 20.0
    """Seconds for all of a try, the above included."""

    answer: int = 64 * 1024
    """Bytes of an answer that are read, head and body together."""

    idle: int = 20
    """How many connections are kept for what is sent next."""

    idle_for: float = 30.0
    """Seconds for which they are."""

    def __attrs_post_init__(self) -> None:
        for name in ("look_up", "connect", "write", "read", "total", "idle_for"):
            check_seconds(f"Bounds({name})", getattr(self, name))
        for name, least in (("answer", 1), ("idle", 0)):
            check_whole(f"Bounds({name})", getattr(self, name), least=least)
