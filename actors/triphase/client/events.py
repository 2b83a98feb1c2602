"""The events of a topic, as a client reads them: across connections, each once and in order."""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from triphase_protocol import (
    TERMINAL_EVENTS,
    Event,
    EventType,
    Json,
    TriphaseError,
    structure,
)
from triphase_protocol.wire import Events, Lagging, Reset, Subscribe, Subscribed, Topic

from .errors import ClientClosed, ConnectionLost
from .session import Piece, Session

BUFFER: Final = 5000
"""Events that wait to be read: with more, the topic is followed no further until they are."""


class ClientEvents:
    """An async iterator of events; leave it whenever you like.

    Whatever becomes of the connection meanwhile, every event comes once, in the order of `seq`.
    It ends when the client's block is left.

    Args:
      session: the connection.
      topic: what it is about; no other reader has the same.
      after: the `seq` of the last event that is not wanted; None is from now on.
      until_end: end after an event that ended the job.
    """

    def __init__(
        self, session: Session, topic: Topic, after: int | None, *, until_end: bool = False
    ) -> None:
        self.reset: Reset | None = None
        """Why it could not go on where it was, if that was so the last time."""

        self.lagged = 0
        """How often the gateway has said that this reader is too slow for the live stream."""

        self._session = session
        self._topic = topic
        self._name: str | None = None
        self._cursor = after
        self._epoch: str | None = None
        self._until_end = until_end
        self._ended = False
        self._ready: deque[Event] = deque()
        self._news = trio.Event()

    def __aiter__(self) -> ClientEvents:
        return self

    @property
    def cursor(self) -> int | None:
        """Pass this as `after=` to go on where this reader is; None before it has begun."""
        return self._ready[0].seq - 1 if self._ready else self._cursor

    async def __anext__(self) -> Event:
        """Return the next event. A checkpoint; when it is cancelled no event is lost.

        Raises:
          JobNotFound: if it is a reader of one job, and there is none of that id.
          TriphaseError: if the gateway refuses, or the connection cannot be made again.
        """
        await trio.lowlevel.checkpoint()
        while not self._ready:
            if self._until_end and self._ended:
                self.close()
                raise StopAsyncIteration
            try:
                await self._more()
            except ClientClosed:
                raise StopAsyncIteration from None
        event = self._ready.popleft()
        if event.type in TERMINAL_EVENTS or event.type is EventType.JOB_DELETED:
            self._ended = True
        elif event.type is EventType.JOB_RETRIED:
            self._ended = False
        return event

    def close(self) -> None:
        """Read no further. Never waits; needless, if nobody holds the iterator any more."""
        name, self._name = self._name, None
        if name is not None:
            self._session.unfollow(name)

    def take(self, piece: Piece) -> None:
        """Take what comes of the topic. Never waits."""
        match piece:
            case Lagging():
                self.lagged += 1
            case Events():
                if self._fits(piece):
                    known = self._cursor or 0
                    self._ready.extend(each for each in piece.events if each.seq > known)
                    self._cursor = max(piece.to, known)
                    self._tell()
                else:
                    # It is asked for again, from here on, when all that waits has been read.
                    self.close()
                    self._tell()
            case _:
                pass

    def restart(self) -> None:
        """Hear that the connection is another. Never waits."""
        self._name = None
        self._tell()

    def _fits(self, piece: Events) -> bool:
        """Return whether nothing is missing before these events, and there is room for them."""
        gap = self._cursor is not None and piece.from_ > self._cursor
        return not gap and len(self._ready) <= BUFFER

    async def _more(self) -> None:
        """Return when there may be more."""
        self._session.check()
        if self._name is not None:
            await self._news.wait()
            return
        name = self._name = self._session.follow(self._topic, self)
        try:
            await self._session.ask(
                lambda n: Subscribe(id=n, topic=name, after=self._cursor, epoch=self._epoch),
                on_result=self._begin,
            )
        except ConnectionLost:
            # It will be back, and is asked then; if not, the session says so when asked.
            return
        except TriphaseError:
            self._session.forget(name)
            self._name = None
            raise
        except BaseException:
            self.close()
            raise

    def _begin(self, answer: Json) -> None:
        begun = structure(answer, Subscribed, lenient=True)
        self.reset, self._epoch = begun.reset, begun.epoch
        if self._cursor is None or begun.reset is not None:
            self._cursor = begun.after

    def _tell(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()
