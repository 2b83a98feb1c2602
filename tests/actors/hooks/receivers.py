"""Receivers that answer as they are told, and a runtime whose webhooks go to them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

import triphase
from triphase.clock import TrioClock
from triphase.entropy import Entropy
from triphase.hooks import Answer, SendFailed, Sending
from triphase.store import Disk, SimulatedStore
from triphase_protocol import EventType

URL = "https://hooks.example/in"
OTHER = "https://other.example/in"
SECRET = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eSBieXRlcyBvciBzbw=="
E = EventType


@triphase.job(name="echo")
class Echo:
    """Does nothing."""

    text: str = ""

    @triphase.phase
    async def say(self, ctx: triphase.Context) -> str:
        return self.text


@attrs.frozen
class Sent:
    """One try that a receiver saw."""

    at: float
    url: str
    id: str
    headers: Mapping[str, str]
    body: bytes


@attrs.define(eq=False)
class Receivers:
    """Answers what is sent, as it is told."""

    answer: Callable[[Sent, int], Answer | SendFailed | Exception] = lambda sent, nth: Answer(
        status=200
    )
    """Given what is sent, and how often it was sent before."""

    seconds: float = 0.0
    """How long an answer takes."""

    sent: list[Sent] = attrs.field(factory=list[Sent])
    at_once: int = 0
    most_at_once: int = 0
    came: trio.Event = attrs.field(factory=trio.Event)

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """See `Sender.send`."""
        sent = Sent(trio.current_time(), url, headers["webhook-id"], headers, body)
        nth = len(self.tries(sent.id))
        self.sent.append(sent)
        self.came.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        answer = self.answer(sent, nth)
        if isinstance(answer, Answer):
            return answer
        raise answer

    def tries(self, id: str) -> list[Sent]:
        """The tries of one delivery."""
        return [each for each in self.sent if each.id == id]


_SEEDS: Final = itertools.count()


@asynccontextmanager
async def opened(
    receivers: Receivers, disk: Disk | None = None, **options: Any
) -> AsyncGenerator[triphase.Runtime]:
    """A runtime on a simulated store, whose webhooks go to these receivers."""
    sending = options.pop("sending", {})
    options.setdefault("webhooks", URL)
    async with triphase.open_runtime(
        [Echo],
        store=options.pop("store", None) or SimulatedStore(disk or Disk()),
        clock=TrioClock(),
        # Another one for each runtime on a disk: ids are not drawn twice.
        entropy=Entropy(next(_SEEDS)),
        sending=Sending(sender=receivers, **sending),
        **options,
    ) as runtime:
        yield runtime


async def told(
    runtime: triphase.Runtime, job: triphase.JobHandle, most: int = 1
) -> list[triphase.Event]:
    """Wait for so many events about deliveries of a job, and return them."""
    events: list[triphase.Event] = []
    async for event in runtime.events(after=0, job=job):
        if event.type.value.startswith("hook."):
            events.append(event)
            if len(events) == most:
                break
    return events
