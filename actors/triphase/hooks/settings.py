"""How webhooks are sent: what a user may set."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import attrs

from triphase.checks import check_whole
from triphase_protocol import DefinitionError, Retry

from .addresses import Allowed
from .answers import Sender
from .bounds import Bounds
from .breaker import TRIPPING, Tripping
from .policy import HOOK_RETRY

if TYPE_CHECKING:
    import httpx

BOUNDS: Final = Bounds()


def _allowed(given: str | Iterable[str] | Allowed) -> Allowed:
    return given if isinstance(given, Allowed) else Allowed.of(given)


@attrs.frozen(kw_only=True, eq=False)
class Sending:
    """How webhooks are sent.

    Raises:
      DefinitionError: if a field is not what is said below.
    """

    allow: Allowed = attrs.field(default=Allowed(), converter=_allowed)
    """Where webhooks may go although it is not public: addresses, networks and host names.

    `["127.0.0.1", "10.0.0.0/8", "hooks.internal"]`.
    """

    limit: int = 50
    """How many are sent at once, to all receivers."""

    limit_each: int = 8
    """How many are sent at once to one URL."""

    retry: Retry = HOOK_RETRY
    """How many tries one has, and how they are spread."""

    tripping: Tripping = TRIPPING
    """When a URL at which nothing succeeds is left alone, and for how long."""

    bounds: Bounds = BOUNDS
    """What one receiver can cost."""

    tls: ssl.SSLContext | None = None
    """Whom to trust; None is whom the machine trusts."""

    client: httpx.AsyncClient | None = None
    """Sends them, instead of a client that the runtime opens.

    It goes wherever its own transport does: `allow` and `tls` are then its own affair. It is not
    closed.
    """

    sender: Sender | None = None
    """Sends them, instead of HTTP: for simulations."""

    def __attrs_post_init__(self) -> None:
        check_whole("Sending(limit)", self.limit, least=1)
        check_whole("Sending(limit_each)", self.limit_each, least=1)
        if self.client is not None and self.sender is not None:
            raise DefinitionError("Sending(client=…, sender=…): one of them sends, not both")
        for name, kind in (("retry", Retry), ("tripping", Tripping), ("bounds", Bounds)):
            if not isinstance(getattr(self, name), kind):
                raise DefinitionError(
                    f"Sending({name}={getattr(self, name)!r}): must be a triphase.{kind.__name__}"
                )
