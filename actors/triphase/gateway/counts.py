"""What the front door counts."""

from __future__ import annotations

from collections import Counter

import attrs


def _none() -> Counter[str]:
    return Counter()


@attrs.define(kw_only=True)
class Counts:
    """What the front door has done, and does now."""

    connections: int = 0
    """Connections that are open, of every kind."""

    sockets: int = 0
    """WebSockets that are open."""

    handshakes: int = 0
    """WebSockets that are about to be opened."""

    streams: int = 0
    """Streams of events over HTTP that are open."""

    opened: int = 0
    """WebSockets that were ever opened."""

    refused: Counter[str] = attrs.field(factory=_none)
    """WebSockets that were refused, by the error's code."""

    answers: Counter[str] = attrs.field(factory=_none)
    """Answers to HTTP requests, by their status."""

    failures: int = 0
    """Mistakes of the server: each has its place in the log."""
