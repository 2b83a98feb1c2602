"""The request that asks for a WebSocket, and whether it may have one."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import attrs

from triphase_protocol.wire import SUBPROTOCOL

from .access import Access, Identity
from .exchanges import Refusal, Request
from .visitors import check_page, identity_of

PATH: Final = ("ws",)
"""Where WebSockets are."""

VERSION: Final = "13"
KEY_BYTES: Final = 16


@attrs.frozen
class Upgrade:
    """A request for a WebSocket that may have one."""

    identity: Identity | None
    """Whose token came with it; None if none came: then `hello` brings it."""

    head: bytes
    """A handshake of the same meaning, with nothing in it that was not checked."""


def is_upgrade(request: Request) -> bool:
    """Return whether a request is about a WebSocket."""
    return request.path == PATH


def upgrade(request: Request, access: Access) -> Upgrade:
    """Check a request for a WebSocket (RFC 6455, section 4.2.1).

    Raises:
      Refusal: if it may not have one.
      Unauthorized: if it has a token that nobody knows.
    """
    if request.method != "GET":
        raise Refusal(
            405, "method_not_allowed", "a WebSocket begins with GET", headers=(("allow", "GET"),)
        )
    if request.version != "1.1":
        raise Refusal(400, "bad_request", "a WebSocket begins with HTTP/1.1")
    asked = [word.lower() for word in request.words("upgrade")] == ["websocket"]
    if not asked or "upgrade" not in [word.lower() for word in request.words("connection")]:
        raise _other_version("here is a WebSocket: connect to it with a client that speaks it")
    if request.one("sec-websocket-version") != VERSION:
        raise _other_version(f"version {VERSION} of the WebSocket protocol is spoken here")
    key = _checked_key(request.one("sec-websocket-key"))
    if request.followed or request.length != 0:
        raise Refusal(400, "bad_request", "nothing may follow before the handshake is answered")
    check_page(request, access)
    if SUBPROTOCOL not in request.words("sec-websocket-protocol"):
        raise Refusal(
            400,
            "unsupported_subprotocol",
            f"{SUBPROTOCOL} is spoken here",
            body={"error": "unsupported_subprotocol", "supported": [SUBPROTOCOL]},
        )
    return Upgrade(identity_of(request, access), _handshake(key))


def _checked_key(key: str | None) -> str:
    try:
        sound = key is not None and len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except binascii.Error:
        sound = False
    if key is None or not sound:
        raise Refusal(400, "bad_request", "Sec-WebSocket-Key is not 16 bytes in base64")
    return key


def _handshake(key: str) -> bytes:
    """Return the head for the WebSocket library.

    What the client has sent is not handed on: the library, and the one below it, raise whatever
    their string methods do for odd values of headers, which would be no answer.
    """
    lines = (
        "GET /ws HTTP/1.1",
        "Host: triphase",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Version: {VERSION}",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def _other_version(message: str) -> Refusal:
    return Refusal(
        426,
        "upgrade_required",
        message,
        headers=(
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-version", VERSION),
        ),
    )
