"""The errors that only a wire has."""

from __future__ import annotations

from triphase_protocol.errors import TriphaseError


class BadMessage(TriphaseError):
    """What came is no message of the protocol: not JSON, an unknown type, a bad field."""

    code = "bad_message"

    def __init__(self, message: str, problems: tuple[str, ...] = (), id: str | None = None) -> None:
        super().__init__(": ".join([message, "; ".join(problems)]) if problems else message)
        self.text = message
        self.problems = problems
        self.id = id


class Unauthorized(TriphaseError):
    """There is no token, or one that nobody knows."""

    code = "unauthorized"


class Forbidden(TriphaseError):
    """The token does not allow it."""

    code = "forbidden"


class LimitReached(TriphaseError):
    """A connection, or the server, has as many of something as it may have."""

    code = "limit"


class RequestAbandoned(TriphaseError):
    """The client waits no longer: it has said so with `abandon`."""

    code = "abandoned"


class NotSubscribed(TriphaseError):
    """The connection does not follow that topic."""

    code = "not_subscribed"


class AlreadySubscribed(TriphaseError):
    """The connection follows that topic already."""

    code = "already_subscribed"


class ServerFailed(TriphaseError):
    """The server made a mistake; its log says which. What was asked for may have been done."""

    code = "internal"
