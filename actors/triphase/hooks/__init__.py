"""Webhooks: how they are signed and verified, where they may go, and how they are sent.

`sending` is imported by who opens a sender: the HTTP library behind it is not light.
"""

from __future__ import annotations

from .addresses import Allowed
from .answers import Answer, Sender, SendFailed
from .bounds import Bounds
from .breaker import Tripping
from .counts import HooksStatistics
from .deliverer import Deliverer
from .deliveries import Deliveries, HookSupervisor
from .endpoints import Endpoints
from .keyring import Keyring
from .settings import Sending
from .signing import (
    InvalidWebhook,
    ReceivedWebhook,
    Secret,
    WebhookProblem,
    read_secrets,
    signed_headers,
    verify_webhook,
)

__all__ = [
    "Allowed",
    "Answer",
    "Bounds",
    "Deliverer",
    "Deliveries",
    "Endpoints",
    "HookSupervisor",
    "HooksStatistics",
    "InvalidWebhook",
    "Keyring",
    "ReceivedWebhook",
    "Secret",
    "SendFailed",
    "Sender",
    "Sending",
    "Tripping",
    "WebhookProblem",
    "read_secrets",
    "signed_headers",
    "verify_webhook",
]
