"""Events over HTTP: one reader of the feed for each client, as `text/event-stream`.

It is only a cursor: what a client does not take stays in the ring or in the log, and one that
takes nothing is cut by the timeout of its writes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote, urlencode

import attrs
import trio

from triphase.feed import Feed
from triphase.runtime import Runtime
from triphase.store.backend import Store
from triphase_protocol import InvalidValue, TriphaseError, encode, unstructure
from triphase_protocol.wire import Reset, Topic

from .batches import wants
from .beginning import beginning
from .belonging import belonging
from .counts import Counts
from .exchanges import Request, Response

log: Final = logging.getLogger("triphase.gateway")

KEEP_ALIVE: Final = 15.0
"""Seconds after which something is said, if there is nothing to say."""

RETRY: Final = 2000
"""Milliseconds after which a browser connects again."""

PIECE: Final = 64 * 1024
"""Bytes from which on no event is added to what is sent at once."""

HEADERS: Final = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-store"),
    ("x-accel-buffering", "no"),
)


@attrs.frozen
class Said:
    """An event as it is sent."""

    seq: int
    type: str
    encoded: bytes

    @property
    def block(self) -> bytes:
        """The lines that stand for it."""
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (self.seq, self.type.encode(), self.encoded)


@attrs.define(eq=False)
class EventSource:
    """A stream that begins after a `seq`."""

    feed: Feed
    store: Store
    topic: Topic
    cursor: int
    """The `seq` up to which everything was sent that belongs to it."""

    reset: Reset | None
    """Why it does not begin where the client was."""

    counts: Counts

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield what is to be sent, until the feed is closed and all of it was read."""
        self.counts.streams += 1
        try:
            yield self._opening()
            due = trio.current_time() + KEEP_ALIVE
            while True:
                news = True
                with trio.CancelScope(deadline=due):
                    news = await self.feed.wait(self.cursor)
                if not news:
                    return
                chosen, to = await self._read()
                for piece in _pieces(chosen):
                    yield piece
                    due = trio.current_time() + KEEP_ALIVE
                self.cursor = to
                # The same sum as above: the seconds since then may be a little less, for ever.
                if trio.current_time() >= due:
                    # The id goes on also where no event does: a client of few events that was
                    # away would else come back with one that is not kept any more.
                    yield b": keep-alive\nid: %d\n\n" % self.cursor
                    due = trio.current_time() + KEEP_ALIVE
        except TriphaseError as exc:
            # It ends as if it were complete: the client comes back, and hears then what is wrong.
            log.warning("a stream of events ends: %s", exc)
        finally:
            self.counts.streams -= 1

    def _opening(self) -> bytes:
        lines = b"retry: %d\nid: %d\n\n" % (RETRY, self.cursor)
        if self.reset is not None:
            lines += b"event: reset\ndata: %b\n\n" % encode(unstructure(self.reset))
        return lines

    async def _read(self) -> tuple[Sequence[Said], int]:
        """Return some events above the cursor, and how far they reach. A checkpoint."""
        entries = self.feed.entries(self.cursor)
        if entries is not None:
            await trio.lowlevel.checkpoint()
            chosen = [
                Said(entry.seq, entry.event.type.value, entry.encoded)
                for entry in entries
                if wants(self.topic, entry)
            ]
            return chosen, entries[-1].seq if entries else self.cursor
        return await self._read_log()

    async def _read_log(self) -> tuple[Sequence[Said], int]:
        found = await self.feed.read_log(self.cursor, self.topic.job, self.topic.events)
        chosen = await belonging(self.store, self.topic, found.events)
        return [Said(event.seq, event.type.value, encode(event)) for event in chosen], found.cursor


async def event_stream(runtime: Runtime, request: Request, counts: Counts) -> Response:
    """Return the response that is a stream of the events that a request asks for. A checkpoint.

    Raises:
      InvalidValue: if a condition of the query, or the `seq` to begin after, is not valid.
      JobNotFound: if it is about one job, and there is none of that id.
    """
    parts = runtime.parts
    topic = _topic(request)
    # Of a browser that connects again, the query is the old one, and the header is new.
    known = request.one("last-event-id")
    after = request.asked("after") if known is None else known
    begin = None if after is None else _seq(after)
    head = parts.feed.last_seq
    if topic.job is not None:
        await runtime.get(topic.job)
    extent = await parts.store.extent()
    cursor, reset = beginning(extent, head=head, after=begin, epoch=request.asked("epoch"))
    source = EventSource(parts.feed, parts.store, topic, cursor, reset, counts)
    return Response(status=200, headers=HEADERS, body=source.pieces())


def _topic(request: Request) -> Topic:
    """Return the topic of a query; its conditions are those of the wire's topics, and `job`."""
    job = request.asked("job")
    place = "jobs" if job is None else f"job:{quote(job, safe='')}"
    query = urlencode([pair for pair in request.query if pair[0] not in ("after", "epoch", "job")])
    return Topic.parse(f"{place}?{query}" if query else place)


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidValue(f"after: {text!r:.80} is no seq of an event")
    return int(text)


def _pieces(events: Iterable[Said]) -> Iterator[bytes]:
    """Yield events in pieces of a size that is sent at once; none is empty."""
    blocks: list[bytes] = []
    size = 0
    for event in events:
        blocks.append(event.block)
        size += len(blocks[-1])
        if size >= PIECE:
            yield b"".join(blocks)
            blocks, size = [], 0
    if blocks:
        yield b"".join(blocks)
