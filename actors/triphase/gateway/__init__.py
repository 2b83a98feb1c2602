"""The gateway: one port for WebSockets and plain HTTP, in front of a runtime."""

from __future__ import annotations

from .access import Identity, Token, token_of_environment, tokens_from
from .gateway import Gateway, serve_gateway
from .host import Manners
from .rules import Patience, Rules
from .statistics import GatewayStatistics

__all__ = [
    "Gateway",
    "GatewayStatistics",
    "Identity",
    "Manners",
    "Patience",
    "Rules",
    "Token",
    "serve_gateway",
    "token_of_environment",
    "tokens_from",
]
