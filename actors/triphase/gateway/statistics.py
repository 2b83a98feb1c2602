"""A gateway in numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .fanout import Fanout
    from .peer import Peer


@attrs.define
class Sent:
    """What subscribers were sent since the gateway began."""

    batches: int = 0
    """Messages that the fan-out made, each for all who follow the same topic."""

    deliveries: int = 0
    """Events, each as often as it was sent."""

    bytes: int = 0
    """Bytes of the messages they were in."""

    lagged: int = 0
    """How often a subscriber was too slow for the ring, and read on from the log."""

    def note(self, events: int, size: int) -> None:
        """Count one message to one subscriber. Never waits."""
        self.deliveries += events
        self.bytes += size


@attrs.frozen(kw_only=True)
class GatewayStatistics:
    """A gateway at one moment; what was sent is counted since it began."""

    connections: int
    """WebSocket connections."""

    subscriptions: int
    """Topics that they follow, all together."""

    waits: int
    """Jobs that they wait for, all together."""

    catching_up: int
    """Subscriptions that do not have every event yet, and are sent what they lack."""

    lag_max: int
    """How many events the subscriber that is farthest behind has not been sent."""

    lagged: int
    """How often a subscriber was too slow for the ring, and read on from the log."""

    batches: int
    """Messages that the fan-out made, each for all who follow the same topic."""

    deliveries: int
    """Events that were sent to subscribers, each as often as it was sent."""

    bytes: int
    """Bytes of the messages they were in."""


def statistics_of(peers: Iterable[Peer], fanout: Fanout) -> GatewayStatistics:
    """Return what the connections of a gateway, and its fan-out, do now."""
    connections = list(peers)
    requests = [peer.requests for peer in connections if peer.requests is not None]
    subscriptions = [each for one in requests for each in one.subscriptions.values()]
    sent = fanout.sent
    return GatewayStatistics(
        connections=len(connections),
        subscriptions=len(subscriptions),
        waits=sum(one.waits for one in requests),
        catching_up=sum(not fanout.is_live(each) for each in subscriptions),
        lag_max=max((fanout.cursor - each.cursor for each in subscriptions), default=0),
        lagged=sent.lagged,
        batches=sent.batches,
        deliveries=sent.deliveries,
        bytes=sent.bytes,
    )
