"""The fan-out: events to everybody who follows a topic, framed once for all of them.

One task reads the ring of the feed, and for each topic that somebody follows makes one message of
what is new, frames it, and writes the same bytes to each subscriber's connection without waiting.
A subscriber whose connection does not take them at once leaves the group, and catches up by itself:
it is nothing but a cursor, costs no memory, and delays nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from triphase.feed import Entry, Feed
from triphase.websocket import frame
from triphase_protocol.wire import Topic

from .batches import batch, wants
from .statistics import Sent
from .subscription import Subscription

log: Final = logging.getLogger("triphase.gateway")

TURN: Final = 64
"""Subscribers that are written to before other tasks have a turn."""


@attrs.frozen
class Message:
    """What a group is sent."""

    frame: bytes
    events: int
    """How many are in it."""


@attrs.define(eq=False)
class Group:
    """Those who follow one topic and have everything."""

    topic: Topic
    name: str
    sent: int
    """The `seq` up to which everybody in it has everything."""

    members: dict[Subscription, None] = attrs.field(factory=dict[Subscription, None])

    def message(self, entries: Sequence[Entry], to: int) -> Message | None:
        """Return the message of new entries, up to a `seq`; None if the topic has none of them."""
        chosen = [entry.encoded for entry in entries if wants(self.topic, entry)]
        if not chosen:
            return None
        data, self.sent = frame(batch(self.name, self.sent, to, chosen)), to
        return Message(data, len(chosen))


class Fanout:
    """See the module's text.

    Args:
      feed: where events come from.
      tick: seconds between two flushes, at least: what comes meanwhile shares one.
    """

    def __init__(self, feed: Feed, tick: float) -> None:
        self.cursor = feed.last_seq
        """The `seq` up to which the groups have been served."""

        self.sent = Sent()
        """What subscribers were sent, by this task and by their own."""

        self._feed = feed
        self._tick = tick
        self._groups: dict[str, Group] = {}
        self._served = trio.Event()

    @property
    def groups(self) -> int:
        """Topics that somebody follows."""
        return len(self._groups)

    async def run(self) -> None:
        """Serve the groups until nothing more is published. A checkpoint."""
        flushed = -self._tick
        while await self._feed.wait(self.cursor):
            pause = flushed + self._tick - trio.current_time()
            if pause > 0:
                await trio.sleep(pause)
            flushed = trio.current_time()
            entries = self._feed.entries(self.cursor)
            if entries is None:
                self._part(self._feed.last_seq)
            else:
                await self._serve(entries)

    def join(self, subscription: Subscription) -> bool:
        """Take in a subscriber that has come as far; False if it has not. Never waits."""
        if subscription.cursor != self.cursor:
            return False
        group = self._groups.get(subscription.name)
        if group is None:
            group = Group(subscription.topic, subscription.name, subscription.cursor)
            self._groups[subscription.name] = group
        group.members[subscription] = None
        return True

    def leave(self, subscription: Subscription) -> None:
        """Let a subscriber go, if it is in. Never waits."""
        group = self._groups.get(subscription.name)
        if group is not None:
            group.members.pop(subscription, None)
            if not group.members:
                del self._groups[subscription.name]

    def is_live(self, subscription: Subscription) -> bool:
        """Return whether a subscriber is served here."""
        group = self._groups.get(subscription.name)
        return group is not None and subscription in group.members

    async def served(self) -> None:
        """Wait until the groups have been served again. A checkpoint."""
        await self._served.wait()

    async def settled(self) -> None:
        """Wait until what is published by now has been offered to the groups. A checkpoint."""
        last = self._feed.last_seq
        await trio.lowlevel.checkpoint()
        while self.cursor < last:
            await self.served()

    def sign_of_life(self, subscription: Subscription) -> bytes:
        """Return the frame of an empty batch, which tells how far a live subscriber has come."""
        return frame(batch(subscription.name, subscription.told, self.cursor, []))

    def has_told(self, subscription: Subscription) -> None:
        """Note that a subscriber was given that sign. Never waits."""
        subscription.cursor = subscription.told = self.cursor

    async def _serve(self, entries: Sequence[Entry]) -> None:
        # Decided for all groups at once: who joins while some are being served is beyond it.
        self.cursor = to = entries[-1].seq
        plan = [(group.message(entries, to), list(group.members)) for group in self._each()]
        self.sent.batches += sum(message is not None for message, _ in plan)
        served = 0
        for message, members in plan:
            for member in members:
                if self.is_live(member):
                    self._offer_safely(member, message, to)
                served += 1
                if served % TURN == 0:
                    await trio.lowlevel.checkpoint()
        self._tell()
        await trio.lowlevel.checkpoint()

    def _offer_safely(self, member: Subscription, message: Message | None, to: int) -> None:
        """Offer a message; a mistake with one member is the end of that member's connection."""
        try:
            self._offer(member, message, to)
        except Exception:
            log.exception("a subscriber of %r cannot be served, and is given up", member.name)
            self.leave(member)
            member.socket.wire.abort()

    def _offer(self, member: Subscription, message: Message | None, to: int) -> None:
        """Send one member what is new in its topic, or let it go."""
        if message is None:
            member.cursor = to
        elif member.offer(message.frame):
            member.cursor = member.told = to
            self.sent.note(message.events, len(message.frame))
        else:
            member.fall_behind()

    def _part(self, to: int) -> None:
        """Let everybody read on from the log: the ring has gone on without this task."""
        for group in self._each():
            for member in list(group.members):
                member.fall_behind()
        self.cursor = to
        self._tell()

    def _tell(self) -> None:
        served, self._served = self._served, trio.Event()
        served.set()

    def _each(self) -> list[Group]:
        return list(self._groups.values())
