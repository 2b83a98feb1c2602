"""Why a connection was closed: codes of the WebSocket's close frame (RFC 6455, section 7.4)."""

from __future__ import annotations

import enum


class Close(enum.IntEnum):
    """A close code. Those from 4400 to 4499 say that trying again is of no use by itself."""

    NORMAL = 1000
    """The client is done."""

    GOING_AWAY = 1001
    """One of the sides goes away."""

    TOO_LARGE = 1009
    """A message is larger than the limit."""

    INTERNAL = 1011
    """The server made a mistake; try again."""

    RESTART = 1012
    """The server restarts; try again after what `bye` said."""

    TRY_LATER = 1013
    """The server has too many connections; try again later. This version says it before there is
    a WebSocket: with HTTP's 503."""

    BAD_MESSAGE = 4400
    """What came is no message of this protocol."""

    UNAUTHORIZED = 4401
    """There is no token, or one that nobody knows."""

    FORBIDDEN = 4403
    """The token does not allow it. This version says it to a page of a foreign origin, before there
    is a WebSocket: with HTTP's 403."""

    NO_HELLO = 4508
    """No `hello` came in time; try again."""

    SILENT = 4504
    """Nothing came for too long; try again."""

    @property
    def again(self) -> bool:
        """True if a client may connect again by itself."""
        return tries_again(self)


def tries_again(code: int) -> bool:
    """Return whether a client may connect again by itself after a close code, known or not."""
    return not (code in (Close.NORMAL, Close.TOO_LARGE) or 4400 <= code < 4500)
