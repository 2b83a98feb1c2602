"""A session: what a client has asked for, over as many connections as that takes.

While the connection is away, requests wait. When it is back, subscriptions go on after the last
event that was heard, and what is safe to ask twice is asked again.
"""

from __future__ import annotations

import itertools
import logging
import math
import weakref
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias
from urllib.parse import SplitResult

import attrs
import trio

from triphase.entropy import Entropy
from triphase_protocol import InvalidValue, Json, TriphaseError, WaitTimeout
from triphase_protocol.wire import (
    Abandon,
    Answer,
    Done,
    Error,
    Events,
    Lagging,
    Limits,
    Reply,
    Request,
    Snapshot,
    Topic,
    Unsubscribe,
    write,
)

from .asked import Asked, check, name_of
from .errors import ClientClosed, ConnectionLost, Unreachable, error_from
from .link import Dial, Link, LinkLost, open_link

log: Final = logging.getLogger("triphase.client")

BACKOFF_FIRST: Final = 0.5
BACKOFF_MOST: Final = 30.0
"""Seconds between two tries to connect: a random part of a time that doubles up to this."""

LATE: Final = 1.0
"""Seconds that the answer to a wait may be late, before it is over without one."""

ENDING: Final = ("closed", "crashed", "store_closed")
"""The codes of a runtime that ends. Its connections end too, and the next one answers."""

STEADY: Final = 10.0
"""A connection that lasted for so many seconds was a good one: the pauses begin anew."""

Piece: TypeAlias = Snapshot | Events | Lagging | Done
"""What comes of a topic."""


class Follower(Protocol):
    """Who follows a topic. Nothing of it ever waits."""

    def take(self, piece: Piece) -> None:
        """Take what comes of the topic."""

    def restart(self) -> None:
        """Hear that nothing more comes of it, until it is subscribed to again."""


class Session:
    """See the module's text.

    Args:
      dial: makes byte streams.
      place: the gateway's URL.
      token: who asks.
      entropy: for the pauses between tries.
      on_lost: see `connect`.
    """

    def __init__(
        self,
        dial: Dial,
        place: SplitResult,
        token: str | None,
        entropy: Entropy,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self.epoch: str | None = None
        """The id of the gateway's log, once it is known."""

        self.head = 0
        """The last `seq` that the gateway has told of."""

        self.limits = Limits()
        self.connections = 0
        """How often it was connected."""

        self._dial = dial
        self._place = place
        self._token = token
        self._entropy = entropy
        self._on_lost = on_lost
        self._numbers = itertools.count(1)
        self._asked: dict[str, Asked] = {}
        # Weak: who has been dropped by everybody else follows nothing any more.
        self._followers: dict[str, Callable[[], Follower | None]] = {}
        self._link: Link | None = None
        self._news = trio.Event()
        self._failure: TriphaseError | None = None

    async def run(self, patience: float, task_status: trio.TaskStatus[None]) -> None:
        """Be connected, again and again. A checkpoint.

        Args:
          patience: seconds to try for the first connection.
          task_status: told when it is there.

        Raises:
          TriphaseError: if the first connection cannot be made.
        """
        tries, deadline = 0, trio.current_time() + patience
        while True:
            pause, began = 0.0, math.inf
            try:
                async with open_link(self._dial, self._place, self._token) as link:
                    began = trio.current_time()
                    self._adopt(link)
                    if self.connections == 1:
                        task_status.started()
                    await self._use(link)
            except LinkLost as exc:
                log.debug("%s: %s", self._place.netloc, exc)
                if not self.connections and trio.current_time() >= deadline:
                    raise Unreachable(f"{self._place.geturl()}: {exc}") from exc
                if not self._goes_on(str(exc)):
                    return
                pause = exc.retry_after
            except TriphaseError as exc:
                if not self.connections:
                    raise
                self.fail(exc)
                return
            finally:
                self._lose()
            # One that is made and lost at once, again and again, is no better than none.
            tries = 0 if trio.current_time() - began >= STEADY else tries
            await trio.sleep(pause + backoff(tries) * self._entropy.draw())
            tries += 1

    async def ask(
        self,
        make: Callable[[str], Request],
        *,
        timeout: float | None = None,
        on_result: Callable[[Json], None] | None = None,
    ) -> Json:
        """Ask something, and return the result. A checkpoint.

        When it is cancelled, what was asked for may be done all the same; the gateway is told that
        nobody waits any more.

        Args:
          make: makes the request with an id.
          timeout: for waits: seconds after which the gateway is to answer. It may be a moment
            late; then the wait is over without it.
          on_result: called with the result before anything that came after it is looked at.

        Raises:
          TriphaseError: as the gateway says; `ConnectionLost` if it could not, and
            `InvalidValue` if it cannot be sent as it is. `WaitTimeout` if a wait is over
            without an answer.
        """
        self.check()
        asked = self._new(make)
        asked.on_result = on_result
        if timeout is not None:
            asked.deadline = trio.current_time() + timeout
        try:
            with trio.move_on_at(asked.deadline + LATE):
                await asked.answered.wait()
        finally:
            self._asked.pop(asked.request.id, None)
            if not asked.answered.is_set():
                self._abandon(asked)
        if not asked.answered.is_set():
            raise WaitTimeout(f"no answer came in {timeout:g} s: the connection is away or slow")
        if asked.error is not None:
            raise asked.error
        return asked.result

    def follow(self, topic: Topic, follower: Follower) -> str:
        """Have what comes of a topic given to somebody; return its name. Never waits."""
        for gone in [name for name, known in self._followers.items() if _is_gone(known)]:
            self.unfollow(gone)
        name, numbers = str(topic), itertools.count(2)
        while name in self._followers:
            name = str(attrs.evolve(topic, fragment=str(next(numbers))))
        self._followers[name] = weakref.ref(follower)
        return name

    def unfollow(self, name: str) -> None:
        """Give what comes of a topic to nobody any more. Never waits."""
        if name in self._followers:
            # The name is taken until the gateway has heard of it.
            self._followers[name] = _nobody
            if self._link is None or self._failure is not None:
                self.forget(name)
                return
            asked = self._new(lambda n: Unsubscribe(id=n, topic=name))
            asked.on_end = lambda: self.forget(name)

    def forget(self, name: str) -> None:
        """Free the name of a topic that the gateway does not know of. Never waits."""
        self._followers.pop(name, None)

    def check(self) -> None:
        """Check that it is of use.

        Raises:
          TriphaseError: why it is not.
        """
        if self._failure is not None:
            # Each time it is raised, it would hold the frames of the times before.
            raise self._failure.with_traceback(None)

    def fail(self, error: TriphaseError) -> None:
        """Be of no use from now on: whoever waits for something is told. Never waits."""
        if self._failure is None:
            self._failure = error
        for asked in list(self._asked.values()):
            asked.end(error=error)
        self._restart_all()

    def close(self) -> None:
        """End it. Never waits."""
        self.fail(ClientClosed("the client's block has been left"))

    def _abandon(self, asked: Asked) -> None:
        """Have the gateway wait no longer, if it does: nobody hears the answer. Never waits."""
        if asked.waits and asked.said:
            id = asked.request.id
            self._new(lambda n: Abandon(id=n, request=id))

    # One connection

    def _adopt(self, link: Link) -> None:
        self._link = link
        self.connections += 1
        self.head, self.limits = link.welcome.head, link.welcome.limits
        self.epoch = link.welcome.epoch
        self._tell()

    def _goes_on(self, why: str) -> bool:
        """Tell of a connection that is lost; return whether there is to be another."""
        if self._link is None or self._on_lost is None:
            return True
        # First, so that who asked for what may have been done is told that.
        self._lose()
        try:
            self._on_lost(why)
        except TriphaseError as exc:
            self.fail(exc)
        return self._failure is None

    async def _use(self, link: Link) -> None:
        """Say what is to be said, and hear what comes, until the connection is over."""
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                nursery.start_soon(self._say_all, link)
                while True:
                    self._take(await link.hear())
            except (LinkLost, TriphaseError) as exc:
                failure = exc
            nursery.cancel_scope.cancel(reason="the connection is over")
        assert failure is not None, "nothing else ends it"
        raise failure

    async def _say_all(self, link: Link) -> None:
        try:
            while True:
                news = self._news
                # In a frame of its own: while this one waits it would keep who asked last.
                await self._say_unsaid(link)
                await news.wait()
        except LinkLost:
            # Whoever hears will be told as well.
            return

    async def _say_unsaid(self, link: Link) -> None:
        for id, asked in list(self._asked.items()):
            # Who asked may have given it up while others were sent.
            if not asked.said and id in self._asked:
                await self._say(link, asked)

    async def _say(self, link: Link, asked: Asked) -> None:
        data, most = write(asked.remaining()), link.welcome.limits.message_bytes
        if len(data) > most:
            # The gateway would close the connection, which others need.
            del self._asked[asked.request.id]
            words = f"{len(data):,} bytes, more than the {most:,} that the gateway takes"
            asked.end(error=InvalidValue(f"{name_of(asked.request)}: {words}"))
            return
        asked.said = True
        await link.say(data)

    def _lose(self) -> None:
        if self._link is None:
            # It was a try, and nobody has heard of anything.
            return
        self._link = None
        self._restart_all()
        for id, asked in list(self._asked.items()):
            if not asked.outlives():
                del self._asked[id]
                words = f"the connection was lost during a {name_of(asked.request)}"
                asked.end(error=ConnectionLost(f"{words}: whether it was done is not known"))
            asked.said = False

    def _take(self, reply: Reply) -> None:
        match reply:
            case Answer():
                if (asked := self._asked.pop(reply.id, None)) is not None:
                    asked.end(result=reply.result)
            case Error():
                asked = self._asked.get(reply.id or "")
                if asked is not None and not (reply.code in ENDING and asked.waits_for_another()):
                    del self._asked[asked.request.id]
                    asked.end(error=error_from(reply))
            case Snapshot() | Events() | Lagging() | Done():
                if isinstance(reply, Events):
                    self.head = max(self.head, reply.to)
                self._pass_on(reply)
            case _:
                pass

    def _pass_on(self, piece: Piece) -> None:
        known = self._followers.get(piece.topic)
        follower = None if known is None else known()
        if follower is not None:
            follower.take(piece)
        elif known is not None and _is_gone(known):
            self.unfollow(piece.topic)

    def _restart_all(self) -> None:
        followers, self._followers = self._followers, {}
        for known in followers.values():
            follower = known()
            if follower is not None:
                follower.restart()

    def _new(self, make: Callable[[str], Request]) -> Asked:
        """Note a request, which is sent as soon as there is a connection."""
        request = make(str(next(self._numbers)))
        check(request)
        asked = Asked(request)
        self._asked[asked.request.id] = asked
        self._tell()
        return asked

    def _tell(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()


def backoff(tries: int) -> float:
    """Return the most seconds before the next try, after so many that came to nothing."""
    # More doublings than that are more than a float can hold, a day later.
    return min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(tries, 16))


def _nobody() -> None:
    """Stand for a follower that there is not any more."""


def _is_gone(known: Callable[[], Follower | None]) -> bool:
    """Return whether a follower has been dropped, and the gateway has not been told yet."""
    return known is not _nobody and known() is None
