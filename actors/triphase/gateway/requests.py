"""The requests of one connection: each is carried out in a task of its own, and answered once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from triphase.websocket import Socket, SocketClosed
from triphase_protocol import InvalidValue, JobNotFound, Json, NotFound, TriphaseError, unstructure
from triphase_protocol.wire import (
    SCOPES,
    Abandon,
    Abandoned,
    AlreadySubscribed,
    Answer,
    BadMessage,
    Close,
    Done,
    Error,
    Forbidden,
    Hello,
    LimitReached,
    NotSubscribed,
    Ping,
    Reply,
    Request,
    RequestAbandoned,
    Subscribe,
    Subscribed,
    Topic,
    Unsubscribe,
    Wait,
    WaitAll,
    read_said,
    write,
)

from .access import Identity
from .beginning import beginning
from .commands import carry_out
from .host import MISTAKE, Host, Leave
from .subscription import Subscription

log: Final = logging.getLogger("triphase.gateway")


class Requests:
    """See the module's text.

    Args:
      host: the gateway.
      socket: the connection.
      identity: who asks.
      nursery: where the tasks run.
    """

    def __init__(
        self, host: Host, socket: Socket, identity: Identity, nursery: trio.Nursery
    ) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        """By topic."""

        self._host = host
        self._socket = socket
        self._identity = identity
        self._nursery = nursery
        self._closed = False
        self._ids: set[str] = set()
        # How many jobs each wait is about, and what ends those that have come to nothing yet.
        self._waits: dict[str, int] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._done_topics: dict[str, trio.CancelScope] = {}
        self._slots = trio.CapacityLimiter(host.manners.limits.requests)

    @property
    def waits(self) -> int:
        """Jobs that it waits for."""
        return sum(self._waits.values()) + len(self._done_topics)

    def close(self) -> None:
        """Take what it follows out of the fan-out, for good. Never waits."""
        # A task that is about to be cancelled may still take one step, and subscribe.
        self._closed = True
        for subscription in self.subscriptions.values():
            subscription.abandon()

    async def read(self) -> None:
        """Take requests until the connection is over. A checkpoint.

        Raises:
          SocketClosed: when it is.
          Leave: if the client does not keep to the protocol.
        """
        while True:
            data = await self._socket.receive()
            if isinstance(data, bytes):
                raise Leave(Close.BAD_MESSAGE, "messages are text, not binary")
            try:
                said = read_said(data)
            except BadMessage as exc:
                await self._send(error_of(exc, exc.id))
                if exc.id is None:
                    raise Leave(Close.BAD_MESSAGE, exc.text) from exc
                continue
            if isinstance(said, Hello):
                raise Leave(Close.BAD_MESSAGE, "hello comes once")
            if said.id in self._ids:
                raise Leave(Close.BAD_MESSAGE, f"id {said.id!r} is in use")
            await self._begin(said)

    async def _begin(self, request: Request) -> None:
        """Start a request's task, as soon as there is room for it."""
        refusal = self._refusal(request)
        if refusal is not None:
            await self._send(error_of(refusal, request.id))
            return
        if isinstance(request, Abandon):
            # Here, so that there is room again for what is said next.
            found = Abandoned(found=self._abandon(request.request))
            await self._send(Answer(id=request.id, result=unstructure(found)))
            return
        jobs = _jobs_waited_for(request)
        if jobs:
            self._waits[request.id] = jobs
            self._scopes[request.id] = trio.CancelScope()
        else:
            # Given back by the task that it is for.
            await self._slots.acquire_on_behalf_of(request.id)
        self._ids.add(request.id)
        self._nursery.start_soon(self._serve, request)

    def _refusal(self, request: Request) -> TriphaseError | None:
        scope, most = SCOPES[type(request)], self._host.manners.limits.waits
        if not self._identity.may(scope):
            return Forbidden(f"this needs a token with the scope {scope}")
        if self.waits + _jobs_waited_for(request) > most:
            return LimitReached(f"a connection may wait for {most} jobs at once")
        return None

    async def _serve(self, request: Request) -> None:
        try:
            match request:
                case Subscribe():
                    await self._serve_subscribe(request)
                case Unsubscribe():
                    await self._answer(request, lambda: self._unsubscribe(request))
                case Ping():
                    await self._send(Answer(id=request.id))
                case Wait() | WaitAll():
                    await self._answer(request, lambda: self._wait(request))
                case _:
                    await self._answer(request, lambda: self._carry_out(request))
        except SocketClosed:
            # Whoever reads from the connection hears of it too.
            pass
        finally:
            self._ids.discard(request.id)
            if _jobs_waited_for(request):
                self._waits.pop(request.id, None)
            else:
                self._slots.release_on_behalf_of(request.id)

    async def _carry_out(self, request: Request) -> Json:
        return await carry_out(self._host, request, self._identity.name)

    async def _answer(self, request: Request, result: Callable[[], Awaitable[Json]]) -> None:
        """Send what comes of a request."""
        reply: Reply
        try:
            reply = Answer(id=request.id, result=await result())
        except TriphaseError as exc:
            reply = error_of(exc, request.id)
        except SocketClosed:
            raise
        except Exception:
            log.exception("a request failed: %r", request)
            reply = Error(id=request.id, code="internal", message=MISTAKE)
        await self._send(reply)

    # Waits

    async def _wait(self, request: Wait | WaitAll) -> Json:
        scope, result = self._scopes[request.id], None
        try:
            with scope:
                result = await self._carry_out(request)
        except TriphaseError:
            if not scope.cancel_called:
                raise
        finally:
            del self._scopes[request.id]
        # Also if it came to something at that moment: the client was told that it has not.
        if scope.cancel_called:
            raise RequestAbandoned("the client waits no longer")
        return result

    def _abandon(self, id: str) -> bool:
        """End a wait, and give back its room; False if it is none, or has an answer already."""
        scope = self._scopes.get(id)
        if scope is None or scope.cancel_called:
            return False
        del self._waits[id]
        scope.cancel(reason="the client waits no longer")
        return True

    # Subscriptions

    async def _serve_subscribe(self, request: Subscribe) -> None:
        made: list[Callable[[], None]] = []

        async def subscribe() -> Json:
            topic, name = self._new_topic(request.topic)
            if topic.done:
                scope = self._done_topics[name] = trio.CancelScope()
                made.append(lambda: self._tell_later(topic, name, scope))
                head = self._host.sources.feed.last_seq
                epoch = self._host.epoch
                return unstructure(Subscribed(topic=name, epoch=epoch, after=head, head=head))
            subscription, answer = await self._subscription(topic, name, request)
            made.append(lambda: self._catch_up(subscription))
            return unstructure(answer)

        await self._answer(request, subscribe)
        for begin in made:
            begin()

    def _new_topic(self, text: str) -> tuple[Topic, str]:
        limits = self._host.manners.limits
        topic = Topic.parse(text)
        name = str(topic)
        if name in self.subscriptions or name in self._done_topics:
            raise AlreadySubscribed(f"this connection follows {name!r} already")
        if topic.done:
            if self.waits >= limits.waits:
                raise LimitReached(f"a connection may wait for {limits.waits} jobs at once")
        elif len(self.subscriptions) >= limits.subscriptions:
            raise LimitReached(f"a connection may follow {limits.subscriptions} topics at once")
        return topic, name

    async def _subscription(
        self, topic: Topic, name: str, request: Subscribe
    ) -> tuple[Subscription, Subscribed]:
        sources, patience = self._host.sources, self._host.manners.write_timeout
        head = sources.feed.last_seq
        subscription = Subscription(
            topic, name, head, head, sources, self._socket, self._catch_up, patience
        )
        # Entered before the first await: of two requests for one topic, one is refused.
        self.subscriptions[name] = subscription
        try:
            if topic.job is not None:
                await self._host.runtime.get(topic.job)
            extent = await sources.store.extent()
            begin, reset = beginning(extent, head=head, after=request.after, epoch=request.epoch)
        except BaseException:
            del self.subscriptions[name]
            subscription.abandon()
            raise
        if request.snapshot and (request.after is None or reset is not None):
            subscription.snapshot, begin = True, head
        subscription.cursor = subscription.told = begin
        return subscription, Subscribed(
            topic=name, epoch=extent.epoch, after=begin, head=head, reset=reset
        )

    def _catch_up(self, subscription: Subscription) -> None:
        if self._closed:
            subscription.abandon()
        else:
            self._nursery.start_soon(subscription.catch_up)

    async def _unsubscribe(self, request: Unsubscribe) -> Json:
        name = str(Topic.parse(request.topic))
        if name in self._done_topics:
            self._done_topics.pop(name).cancel(reason="unsubscribed")
            return None
        subscription = self.subscriptions.get(name)
        if subscription is None:
            raise NotSubscribed(f"this connection does not follow {name!r}")
        await subscription.end()
        # It may have come to nothing meanwhile, and another been made.
        if self.subscriptions.get(name) is subscription:
            del self.subscriptions[name]
        return None

    def _tell_later(self, topic: Topic, name: str, scope: trio.CancelScope) -> None:
        self._nursery.start_soon(self._tell_the_end, topic, name, scope)

    async def _tell_the_end(self, topic: Topic, name: str, scope: trio.CancelScope) -> None:
        """Send the one message of a topic `job:done:ID`."""
        assert topic.job is not None, "it is a job's end"
        done: Done | None = None
        # Cancelled already, if it was unsubscribed before the answer was sent.
        with scope:
            try:
                outcome = await self._host.runtime.wait(topic.job)
                done = Done(topic=name, job=topic.job, outcome=outcome)
            except JobNotFound:
                done = Done(topic=name, job=topic.job, outcome=NotFound(job=topic.job))
            except TriphaseError as exc:
                # The runtime closes: so does the connection.
                log.debug("%s: %s", name, exc)
        if done is not None and self._done_topics.get(name) is scope:
            del self._done_topics[name]
            with contextlib.suppress(SocketClosed):
                await self._send(done)

    async def _send(self, reply: Reply) -> None:
        with trio.move_on_after(self._host.manners.write_timeout) as scope:
            await self._socket.send(write(reply))
        if scope.cancelled_caught:
            raise SocketClosed(1006, "nothing was taken")


def error_of(exc: TriphaseError, id: str | None) -> Error:
    """Return an error as it travels."""
    problems = exc.problems if isinstance(exc, InvalidValue | BadMessage) else ()
    text = exc.text if isinstance(exc, BadMessage) else str(exc)
    return Error(id=id, code=exc.code, message=text, problems=problems)


def _jobs_waited_for(request: Request) -> int:
    match request:
        case Wait():
            return 1
        case WaitAll():
            return max(1, len(request.jobs))
        case _:
            return 0
