"""What is being delivered, as everybody else sees it: who wakes the deliverer, and waits for it.

The deliverer has a supervisor of its own, `hooks`. When that gives up, all that stands below it in
the tree starts anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Never

import attrs
import trio

from triphase.actor import (
    Actor,
    ActorCrashed,
    ActorRef,
    ActorStopped,
    Mailbox,
    Request,
    open_supervisor,
)

from .counts import HookCounts
from .endpoints import Endpoints


@attrs.frozen
class Look:
    """Something was put into the outbox, or a try has ended."""


@attrs.frozen
class Settle(Request[None]):
    """Begin what is due now, and nothing after that, ever. Answered when nothing is under way."""


Told = Look | Settle
"""What a deliverer receives."""


@attrs.define(eq=False)
class Deliveries:
    """See the module's text. Outlives restarts of the deliverer."""

    endpoints: Endpoints
    counts: HookCounts = attrs.field(factory=HookCounts)
    settled: bool = False
    """Nothing more is begun, ever."""

    _deliverer: ActorRef[Told] | None = attrs.field(default=None, init=False)

    def attach(self, deliverer: ActorRef[Told]) -> None:
        """Say who delivers."""
        self._deliverer = deliverer

    def look(self) -> None:
        """Have the deliverer look. Never waits."""
        if self._deliverer is not None:
            with contextlib.suppress(trio.WouldBlock, ActorStopped):
                # It will look anyway, or never again.
                self._deliverer.send_nowait(Look(), control=True)

    def forgive(self, url: str) -> None:
        """Have it look at what is sent to a URL, too, that was left alone. Never waits."""
        self.endpoints.forgive(url)
        self.look()

    async def settle(self) -> None:
        """Have what is due delivered, and nothing more; return when nothing is under way.

        A checkpoint. When it is cancelled after the deliverer has taken note of it, nothing more is
        begun all the same.
        """
        if self._deliverer is not None:
            with contextlib.suppress(ActorCrashed, ActorStopped):
                await self._deliverer.ask(Settle())


class HookSupervisor(Actor[Never]):
    """Keeps a deliverer alive while it runs.

    A supervisor of its own, above the jobs: the crash of one that stands beside them does not
    break off what is being sent, and what is sent is not broken off before they have ended.
    """

    def __init__(self, deliveries: Deliveries, new: Callable[[], Actor[Told]]) -> None:
        self._deliveries = deliveries
        self._new = new

    async def run(self, mailbox: Mailbox[Never]) -> None:
        """Keep it open until cancelled."""
        async with open_supervisor(name="hooks") as supervisor:
            # One look waiting is as good as many.
            deliverer = await supervisor.start(self._new, name="deliverer", capacity=1)
            self._deliveries.attach(deliverer)
            # What was committed before there was somebody to wake.
            self._deliveries.look()
            await mailbox.receive()
