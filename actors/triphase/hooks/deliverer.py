"""The deliverer: has sent what the outbox holds, when it is due.

It is woken by commits that put something into the outbox, by the end of a try, and by the next
due time. A wake-up only says where to look: what is sent comes from the store. Nobody has to read
a job, or wait for it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import attrs
import trio

from triphase.actor import Actor, Envelope, Mailbox
from triphase.clock import Clock
from triphase.entropy import Entropy
from triphase.store.backend import Store
from triphase.store.committer import Writer
from triphase_protocol import StoreUnavailable

from .ahead import Due, ReadAhead
from .answers import Sender
from .courier import Courier
from .deliveries import Deliveries, Settle, Told
from .keyring import Keyring
from .settings import Sending

log = logging.getLogger("triphase.hooks")

LOOK_AGAIN: Final = 10.0
"""Seconds between two looks while something is pending; also how late a clock step is noticed."""


@attrs.define(eq=False)
class Deliverer(Actor[Told]):
    """See the module's text."""

    store: Store
    writer: Writer
    sending: Sending
    keyring: Keyring
    deliveries: Deliveries
    clock: Clock
    entropy: Entropy

    _under_way: set[str] = attrs.field(factory=set[str], init=False)
    """The ids of the hooks that are being tried."""

    _ahead: ReadAhead = attrs.field(init=False)
    _next_at: float = attrs.field(default=math.inf, init=False)
    """When the next hook is due: wall-clock seconds; infinity if none is."""

    _courier: Courier | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._ahead = ReadAhead(self.sending.limit_each)

    async def run(self, mailbox: Mailbox[Told]) -> None:
        """Look, sleep until something may have changed, and look again."""
        waiting: list[Envelope[Told]] = []
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            while True:
                if not self.deliveries.settled:
                    await self._look(stack, nursery)
                envelope = await self._next(mailbox)
                if envelope is not None and isinstance(envelope.message, Settle):
                    # The last look: what has ended just now is still sent.
                    await self._look(stack, nursery)
                    self.deliveries.settled = True
                    waiting.append(envelope)
                elif envelope is not None:
                    envelope.answer()
                if not self._under_way:
                    while waiting:
                        waiting.pop().answer()

    async def _next(self, mailbox: Mailbox[Told]) -> Envelope[Told] | None:
        """Return what somebody wants; None if time has passed."""
        with trio.move_on_after(self._seconds_to_next()):
            return await mailbox.receive()
        return None

    def _seconds_to_next(self) -> float:
        if self.deliveries.settled:
            return math.inf
        opens_in = self.deliveries.endpoints.opens_at(trio.current_time()) - trio.current_time()
        if math.isinf(self._next_at):
            return opens_in
        return min(opens_in, LOOK_AGAIN, max(0.0, self._next_at - self.clock.now()))

    async def _look(self, stack: AsyncExitStack, nursery: trio.Nursery) -> None:
        try:
            await self._begin_due(stack, nursery)
        except StoreUnavailable as exc:
            log.warning("the outbox cannot be read: %s", exc)
            self._next_at = self.clock.now() + LOOK_AGAIN

    async def _begin_due(self, stack: AsyncExitStack, nursery: trio.Nursery) -> None:
        """Begin a try of each hook that is due, as far as there is room."""
        self._next_at, endpoints = math.inf, self.deliveries.endpoints
        while not self.deliveries.settled and len(self._under_way) < self.sending.limit:
            taken = self._under_way | self._ahead.ids()
            resting = [*endpoints.resting(trio.current_time()), *self._ahead.enough()]
            # As many as one URL has room for: with what is sent comes what it is about.
            hooks = await self.store.due_hooks(
                self.clock.now(), self.sending.limit_each, taken=taken, resting=resting
            )
            if not hooks:
                next_at = await self.store.next_hook(taken=taken, resting=resting)
                self._next_at = math.inf if next_at is None else next_at
                break
            disabled = await self.store.disabled({hook.url for hook in hooks})
            if self._courier is None:
                self._courier = await self._new_courier(stack)
            for hook in hooks:
                self._take(self._courier, Due(hook, hook.url in disabled), nursery)
        self.deliveries.counts.resting = endpoints.open(trio.current_time())

    def _take(self, courier: Courier, due: Due, nursery: trio.Nursery) -> None:
        """Begin a try of what is due, or keep it until its URL has room, or leave it."""
        endpoints, url = self.deliveries.endpoints, due.hook.url
        has_room = len(self._under_way) < self.sending.limit
        if endpoints.is_full(url):
            self._ahead.add(due)
        elif has_room and endpoints.admits(url, trio.current_time()):
            self._begin(courier, due, nursery)

    def _begin(self, courier: Courier, due: Due, nursery: trio.Nursery) -> None:
        hook = due.hook
        self._under_way.add(hook.id)
        self.deliveries.counts.sending += 1
        round = self.deliveries.endpoints.begin(hook.url, trio.current_time())
        nursery.start_soon(self._try, courier, due, round, nursery, name=f"hook:{hook.id}")

    async def _try(self, courier: Courier, due: Due, round: int, nursery: trio.Nursery) -> None:
        hook = due.hook
        try:
            gone = await courier.deliver(hook, round, disabled=due.disabled)
        finally:
            self.deliveries.endpoints.ended(hook.url, round)
            self.deliveries.counts.sending -= 1
            self._under_way.discard(hook.id)
        admitted = self.deliveries.endpoints.admits(hook.url, trio.current_time())
        if gone or self.deliveries.settled or not admitted:
            # Those that were read ahead are read again when their time has come.
            self._ahead.drop(hook.url)
        following = self._ahead.take(hook.url)
        if following is None:
            self.deliveries.look()
        else:
            self._begin(courier, following, nursery)

    async def _new_courier(self, stack: AsyncExitStack) -> Courier:
        return Courier(
            self.writer,
            await stack.enter_async_context(_open_sender(self.sending, self.clock)),
            self.keyring,
            self.sending.retry,
            self.deliveries.endpoints,
            self.deliveries.counts,
            self.clock,
            self.entropy,
        )


@asynccontextmanager
async def _open_sender(sending: Sending, clock: Clock) -> AsyncGenerator[Sender]:
    """Open what sends; a checkpoint."""
    if sending.sender is not None:
        yield sending.sender
        return
    # Not light, and not needed where nothing is sent.
    from .sending import open_sender

    async with open_sender(
        allowed=sending.allow,
        bounds=sending.bounds,
        tls=sending.tls,
        client=sending.client,
        clock=clock,
    ) as sender:
        yield sender
