"""A mailbox whose actor is the test."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.actor import ActorRef, ActorStopped, Envelope, Mailbox


class Desk:
    """A mailbox without an actor: the test receives."""

    def __init__(self, capacity: int = 3) -> None:
        self.mailbox: Mailbox[Any] = Mailbox("desk", capacity)
        self.ref = ActorRef(self.mailbox)
        self.taken: list[Envelope[Any]] = []
        self.returned: list[Any] = []

    async def send(self, message: object, *, control: bool = False) -> None:
        await self.ref.send(message, control=control)
        self.returned.append(message)

    async def ask(self, message: object, **options: bool) -> None:
        self.returned.append(await self.ref.ask(message, **options))

    async def refused(self, message: object, *, control: bool = False) -> None:
        with pytest.raises(ActorStopped) as exc:
            await self.ref.ask(message, control=control)
        self.returned.append(f"{message}: {exc.value}")

    async def take(self, count: int) -> list[Any]:
        for _ in range(count):
            self.taken.append(await self.mailbox.receive())
        return [envelope.message for envelope in self.taken[-count:]]


async def wait_then_cancel(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()
