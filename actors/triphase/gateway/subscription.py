"""A subscription: one connection's cursor in one topic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs
import trio

from triphase.feed import Feed
from triphase.store.backend import Query, Store
from triphase.websocket import Socket, SocketClosed
from triphase_protocol import Event, Job, encode
from triphase_protocol.wire import Lagging, Snapshot, Topic, write

from .batches import batch, wants, without_old_progress
from .belonging import belonging, job_of
from .pages import fitting

if TYPE_CHECKING:
    from .fanout import Fanout

SNAPSHOT_PAGE: Final = 100
"""Records in one message of a snapshot."""


@attrs.frozen(eq=False)
class Sources:
    """Where a subscription's events come from."""

    feed: Feed
    store: Store
    fanout: Fanout


@attrs.define(eq=False)
class Subscription:
    """See the module's text.

    It is live, which means that the fan-out serves it; or it catches up, in a task of its own,
    from the ring or the log, until it has everything.
    """

    topic: Topic
    name: str
    cursor: int
    """The `seq` up to which the client was sent everything."""

    told: int
    """The `seq` up to which the client knows that: the next batch begins there."""

    sources: Sources
    socket: Socket
    spawn: Callable[[Subscription], None]
    """Runs `catch_up` in a task of the connection. Never waits."""

    patience: float
    """Seconds that one send may take, before the connection is given up."""

    snapshot: bool = False
    """Records are to be sent before the first events."""

    _behind: bool = False
    """It was live: if it reads from the log now, it is too slow."""

    _over: bool = False
    _idle: trio.Event = attrs.field(factory=trio.Event)

    def offer(self, message: bytes) -> bool:
        """Send a frame, if the connection takes it at once. Never waits."""
        if not self.socket.send_nowait(message):
            return False
        if self.socket.wire.unsent:
            # It was taken, but somebody has to send the rest of it.
            self.fall_behind()
        return True

    def fall_behind(self) -> None:
        """Leave the fan-out, and catch up. Never waits."""
        self.sources.fanout.leave(self)
        self._behind = True
        self._idle = trio.Event()
        self.spawn(self)

    async def catch_up(self) -> None:
        """Send what is missing until the fan-out takes over. A checkpoint.

        A client that takes nothing for too long loses its connection.
        """
        try:
            if self.socket.wire.unsent:
                await self._patiently(self.socket.wire.flush)
            if self.snapshot:
                self.snapshot = False
                await self._send_snapshot()
            fanout = self.sources.fanout
            while not self._over:
                if self.cursor > fanout.cursor:
                    await fanout.served()
                elif self.cursor < fanout.cursor:
                    await self._send_page(fanout.cursor)
                elif self.told < self.cursor:
                    # What the group is sent next begins somewhere above.
                    await self._send_batch([], self.cursor)
                elif fanout.join(self):
                    break
        except SocketClosed:
            pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.socket.wire.abort()
        finally:
            self._idle.set()

    async def end(self) -> None:
        """Send nothing more; return when nothing is being sent. A checkpoint."""
        self._over = True
        self.sources.fanout.leave(self)
        await self._idle.wait()

    def abandon(self) -> None:
        """Send nothing more, as the connection is over, or it was never begun. Never waits."""
        self._over = True
        self.sources.fanout.leave(self)
        self._idle.set()

    async def _send_page(self, most: int) -> None:
        """Send some of the events above the cursor, but none above *most*."""
        entries = self.sources.feed.entries(self.cursor)
        if entries is None:
            await self._tell_that_it_lags()
            events, to = await self._read_log(most)
            chosen = [encode(event) for event in events]
        else:
            entries = [entry for entry in entries if entry.seq <= most]
            chosen = [entry.encoded for entry in entries if wants(self.topic, entry)]
            to = entries[-1].seq
        if chosen:
            await self._send_batch(chosen, to)
        else:
            await trio.lowlevel.checkpoint()
            self.cursor = to

    async def _send_batch(self, chosen: Sequence[bytes], to: int) -> None:
        text = batch(self.name, self.told, to, chosen)
        await self._send(text)
        self.cursor = self.told = to
        self.sources.fanout.sent.note(len(chosen), len(text))

    async def _tell_that_it_lags(self) -> None:
        if self._behind:
            self._behind = False
            self.sources.fanout.sent.lagged += 1
            head = self.sources.feed.last_seq
            await self._send(write(Lagging(topic=self.name, from_=self.cursor, head=head)))

    async def _read_log(self, most: int) -> tuple[list[Event], int]:
        """Return some events above the cursor, and how far they reach."""
        topic = self.topic
        found = await self.sources.feed.read_log(self.cursor, topic.job, topic.events)
        to = min(found.cursor, most)
        events = [event for event in found.events if event.seq <= to]
        return without_old_progress(await belonging(self.sources.store, topic, events)), to

    async def _send_snapshot(self) -> None:
        if self.topic.job is not None:
            job = await job_of(self.sources.store, self.topic.job)
            await self._send_jobs([] if job is None else [job], last=True)
            return
        after: str | None = None
        while not self._over:
            query = Query(
                types=tuple(sorted(self.topic.types)),
                queues=tuple(sorted(self.topic.queues)),
                labels=dict(self.topic.labels),
                newest_first=False,
                after=after,
                limit=SNAPSHOT_PAGE,
            )
            found = await self.sources.store.find(query)
            jobs = fitting(found)
            last = len(jobs) == len(found) < SNAPSHOT_PAGE
            await self._send_jobs(jobs, last=last)
            if last:
                return
            after = jobs[-1].id

    async def _send_jobs(self, jobs: Sequence[Job], *, last: bool) -> None:
        await self._send(write(Snapshot(topic=self.name, jobs=tuple(jobs), last=last)))

    async def _send(self, text: bytes) -> None:
        await self._patiently(lambda: self.socket.send(text))

    async def _patiently(self, send: Callable[[], Awaitable[None]]) -> None:
        with trio.move_on_after(self.patience) as scope:
            await send()
        if scope.cancelled_caught:
            # A close frame could not be sent either.
            self.socket.wire.abort()
            raise SocketClosed(1006, f"nothing was taken for {self.patience:g} s")
