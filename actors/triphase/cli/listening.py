"""Where a gateway is to listen, and for whom: what `triphase serve` is told, checked."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

import attrs

from triphase_protocol import Queue

from .exits import UsageError

PORT_MOST = 2**16 - 1


@attrs.frozen
class Address:
    """A host and a port; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of(cls, text: str) -> Address:
        """Return what `HOST:PORT` means; an IPv6 address stands in brackets.

        Raises:
          UsageError: if it is not that.
        """
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not (host and port.isascii() and port.isdecimal() and int(port) <= PORT_MOST):
            raise UsageError(f"--listen {text}: must be HOST:PORT, such as 127.0.0.1:7117")
        return cls(host, int(port))


def tls_from(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what makes it `wss`, or None without a certificate.

    Raises:
      UsageError: if they cannot be used.
    """
    if cert is None:
        if key is not None:
            raise UsageError("--tls-key: needs a --tls-cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # An empty password: else it would be asked for, and there may be nobody.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as exc:
        where = f"--tls-cert {cert}" + ("" if key is None else f" --tls-key {key}")
        raise UsageError(f"{where}: {exc}") from exc
    return context


def queues_from(pairs: Sequence[str] | None) -> dict[str, Queue]:
    """Return queues by name, as `NAME=LIMIT` declares them.

    Raises:
      UsageError: if one is not that, or a name comes twice.
      DefinitionError: if a limit is none.
    """
    queues: dict[str, Queue] = {}
    for pair in pairs or ():
        name, _, limit = pair.rpartition("=")
        if not (name and limit.isascii() and limit.isdecimal()):
            raise UsageError(f"--queue {pair}: must be NAME=LIMIT")
        if name in queues:
            raise UsageError(f"--queue {pair}: {name} has a limit already")
        queues[name] = Queue(limit=int(limit))
    return queues
