"""What a receiver answers to a webhook, and what is said when no answer came."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import attrs

from triphase_protocol import TriphaseError

RETRY_AFTER_MOST: Final = 86_400.0
"""Seconds: a receiver that asks for more patience than a day is tried again after a day."""

EXCERPT_MOST: Final = 300
"""Bytes of an answer's body that are kept, for whoever looks for the fault."""

REASON_MOST: Final = 500
"""Characters of a reason why no answer came."""


@attrs.frozen(kw_only=True)
class Answer:
    """An HTTP answer, of any status."""

    status: int

    retry_after: float | None = None
    """Seconds until the receiver wants to be tried again, if it says so; at most a day."""

    excerpt: str = ""
    """How the body begins, in one line."""


class SendFailed(TriphaseError):
    """No answer came: the receiver may have got the webhook, or may not."""

    code = "send_failed"

    def __init__(self, message: str, *, retry: bool) -> None:
        # What a receiver says instead of an answer may stand in it.
        long = len(message) > REASON_MOST
        super().__init__(f"{message[: REASON_MOST - 1]}…" if long else message)
        self.retry = retry
        """Whether another try can end otherwise."""


class Sender(Protocol):
    """Sends webhooks: over HTTP, or in a simulation as it likes."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a body to a URL and return what is answered.

        A checkpoint. Cancelled, it may have been received or not.

        Raises:
          SendFailed: if no answer came.
        """
        ...


def read_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a `Retry-After` asks for: 0 to a day; None if it cannot be read.

    Args:
      value: a number of seconds, or an HTTP date.
      now: the wall-clock time.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:300]), RETRY_AFTER_MOST)
    try:
        # An HTTP date is always in GMT, whatever zone is missing.
        at = parsedate_to_datetime(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return min(max(at.timestamp() - now, 0.0), RETRY_AFTER_MOST)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def excerpt_of(body: bytes) -> str:
    """Return how a body begins, as one line that a terminal can show."""
    text = body[:EXCERPT_MOST].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
