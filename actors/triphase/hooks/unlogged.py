"""Keeps the HTTP library's own log silent about webhooks: it shows whole URLs, tokens and all."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_SENDING: Final = ContextVar("triphase.hooks.sending", default=False)


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _SENDING.get()


# On the logger, and not on a handler: whoever configures those does not know of this.
logging.getLogger("httpx").addFilter(_Filter())


@contextmanager
def unlogged() -> Generator[None]:
    """Have the library log nothing of what this task sends in the block. Never waits."""
    token = _SENDING.set(True)
    try:
        yield
    finally:
        _SENDING.reset(token)
