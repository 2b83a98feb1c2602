"""Who asks: a web page of some origin, under some name of this host, with some token or none."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from triphase_protocol.wire import Unauthorized

from .access import Access, Identity
from .exchanges import Headers, Refusal, Request

METHODS: Final = "GET, HEAD, POST"
HEADERS: Final = "authorization, content-type, last-event-id"
REMEMBERED: Final = "600"
"""Seconds for which a browser may remember what a page of another host may do."""


def check_page(request: Request, access: Access) -> None:
    """Check that no foreign web page is behind a request.

    Raises:
      Refusal: if one is, or may be.
    """
    host, origin = request.one("host"), request.one("origin")
    if not access.admits(origin, host):
        raise Refusal(403, "forbidden", "a page of this origin may not do this")
    # A page can give its own name this host's address: to the browser it is then the same
    # origin. A token would stop it; without one only the name tells.
    if not access.tokens and host is not None and _may_be_borrowed(host, access):
        raise Refusal(
            403,
            "forbidden",
            f"{host!r} may be a foreign page's name for this host: use its address, a token, "
            f"or name the origin",
        )


def identity_of(request: Request, access: Access) -> Identity | None:
    """Return who asks: by the token that came with a request; None if none came.

    Raises:
      Unauthorized: if nobody has that token.
    """
    if not access.tokens:
        return access.identify(None)
    values = request.all("authorization")
    if not values:
        return None
    scheme, _, secret = values[0].partition(" ")
    identity = None
    if len(values) == 1 and scheme.lower() == "bearer":
        identity = access.identify(secret.strip())
    if identity is None:
        raise Unauthorized("nobody has this token")
    return identity


def page_headers(request: Request, access: Access) -> Headers:
    """Return the headers that let a page of another host, which is admitted, read an answer."""
    origin = request.one("origin")
    if origin is None or origin not in access.origins:
        return ()
    return (("access-control-allow-origin", origin), ("vary", "Origin"))


def preflight_headers() -> Headers:
    """Return the headers that tell a browser what a page of another host may send."""
    return (
        ("access-control-allow-methods", METHODS),
        ("access-control-allow-headers", HEADERS),
        ("access-control-max-age", REMEMBERED),
    )


def _may_be_borrowed(host: str, access: Access) -> bool:
    """Return whether a host's name may be one that a foreign page has given it."""
    known = {urlsplit(origin).netloc.lower() for origin in access.origins}
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return True
    if host.lower() in known or "." not in name or name.endswith(".localhost"):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return True
    return False
