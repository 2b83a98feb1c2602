"""What the connections of one gateway share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from triphase.runtime import Runtime
from triphase_protocol.wire import Close, Limits

from .access import Access
from .rules import Rules
from .statistics import GatewayStatistics, statistics_of
from .subscription import Sources

if TYPE_CHECKING:
    from .peer import Peer


MISTAKE: Final = "the server made a mistake; its log says which"
"""What a client is told of a failure that is not its own."""


@attrs.frozen(kw_only=True)
class Manners:
    """What a gateway expects of connections, and what it promises; times are in seconds."""

    hello_timeout: float = 10.0
    """How long a client may take to say `hello`."""

    heartbeat: float = 15.0
    """A client hears something at least so often."""

    silence: float = 45.0
    """A connection on which nothing came for so long is dead; it is asked at half of it."""

    write_timeout: float = 30.0
    """How long a client may take none of what it is sent."""

    limits: Limits = attrs.field(factory=Limits)
    """What one WebSocket may take."""

    door: Rules = attrs.field(factory=Rules)
    """What the front door takes."""


@attrs.frozen(eq=False, kw_only=True)
class Host:
    """See the module's text."""

    runtime: Runtime
    access: Access
    sources: Sources
    manners: Manners
    server: str
    """The name and version that the gateway gives itself."""

    epoch: str
    """The id of the log."""

    peers: dict[Peer, None] = attrs.field(factory=dict["Peer", None], repr=False)
    """The WebSocket connections there are now."""

    def statistics(self) -> GatewayStatistics:
        """Return what the gateway does now. Cheap."""
        return statistics_of(self.peers, self.sources.fanout)


class Leave(Exception):
    """A connection is to be closed with this code."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code
