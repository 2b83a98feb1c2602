"""What the front door takes, and how long it waits."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Patience:
    """How long a client of the front door may take, in seconds."""

    head: float = 10.0
    """For a whole head: the first from the connection's begin, others from their first byte."""

    idle: float = 60.0
    """Between two requests."""

    body: float = 60.0
    """For a whole body."""

    write: float = 30.0
    """For each piece of an answer."""

    handshake: float = 10.0
    """For the handshake of a WebSocket, once its head is there."""


@attrs.frozen(kw_only=True)
class Rules:
    """What the front door takes: whoever comes when there is no room is told so, and cut."""

    connections: int = 12_000
    """Connections of every kind at once."""

    sockets: int = 10_000
    """WebSockets at once."""

    streams: int = 1_000
    """Streams of events over HTTP at once."""

    handshakes: int = 64
    """WebSockets that may be about to be opened at once."""

    retry_after: int = 5
    """Seconds after which those who are refused for want of room are told to come back."""

    patience: Patience = attrs.field(factory=Patience)
    """How long a client may take."""
