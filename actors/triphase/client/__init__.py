"""A client of a gateway: the runtime's verbs, from another process or machine."""

from __future__ import annotations

from .client import Client
from .errors import ClientClosed, ConnectionLost, Unreachable
from .events import ClientEvents
from .opening import connect

__all__ = ["Client", "ClientClosed", "ClientEvents", "ConnectionLost", "Unreachable", "connect"]
