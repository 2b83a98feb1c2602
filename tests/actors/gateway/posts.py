"""A receiver of webhooks in memory, and what a runtime is told so that it sends there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

import triphase
from triphase.hooks import Answer, Sending
from triphase_protocol import EventType, Retry

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eSBieXRlcyBvciBzbw=="
ENDS: Final = (EventType.HOOK_DELIVERED, EventType.HOOK_DEAD)


@attrs.define(eq=False)
class Posts:
    """Takes every webhook, and answers with the status that is set."""

    status: int = 200
    ids: list[str] = attrs.field(factory=list[str])
    """What came, by the deliveries' ids, in its order."""

    bodies: list[bytes] = attrs.field(factory=list[bytes])

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """See `Sender.send`."""
        self.ids.append(headers["webhook-id"])
        self.bodies.append(body)
        return Answer(status=self.status)

    def options(self, *, tries: int = 1) -> dict[str, Any]:
        """Return how a runtime is opened that sends here, so often before it gives up."""
        return {
            "sending": Sending(sender=self, retry=Retry(attempts=tries)),
            "secrets": {"main": SECRET},
        }


async def ended(runtime: triphase.Runtime, count: int) -> None:
    """Wait until so many deliveries have ended since the log began, one way or the other."""
    async for _ in runtime.events(after=0, types=ENDS):
        count -= 1
        if not count:
            return
