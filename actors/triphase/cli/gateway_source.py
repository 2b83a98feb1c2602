"""A gateway as a source: it tells what happens, and nobody looks again and again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

import attrs
import trio

from triphase.client import Client, Unreachable, connect
from triphase.store.backend import Query
from triphase_protocol import (
    Event,
    EventType,
    Hook,
    HookNotFound,
    HookState,
    Job,
    JobNotFound,
)
from triphase_protocol.wire import Reset

from .places import Gateway
from .sources import current
from .tasks import open_tasks

PAGE: Final = 100
"""The most jobs that are asked for at once: they have to fit into one message."""

WAITS_AT_ONCE: Final = 500
"""Jobs that are waited for at once; a gateway allows a connection 1000, unless told otherwise."""

RESETS: Final = {
    "epoch": "the gateway has another log now; it is read from its beginning",
    "ahead": "the gateway's log is shorter than it was; it is read from its beginning",
    "pruned": "events after number {after} have been deleted; it goes on with those that are left",
}
"""What to tell who reads on at another place than where they were."""


@attrs.frozen(eq=False)
class GatewaySource:
    """See the module's text, and `Source`."""

    client: Client
    name: str
    note: Callable[[str], None]
    """Tells a person something."""

    async def get(self, id: str) -> Job | None:
        """See `Source.get`."""
        try:
            return await self.client.get(id)
        except JobNotFound:
            return None

    async def find(self, query: Query) -> list[Job]:
        """See `Source.find`."""
        jobs: list[Job] = []
        after = query.after
        while len(jobs) < query.limit:
            page = await self.client.find(
                states=query.states,
                types=query.types,
                queues=query.queues,
                labels=query.labels,
                prefix=query.prefix,
                newest_first=query.newest_first,
                after=after,
                limit=min(query.limit - len(jobs), PAGE),
            )
            jobs += page.jobs
            after = page.next
            if after is None:
                break
        return jobs

    async def hook(self, id: str) -> Hook | None:
        """See `Source.hook`."""
        try:
            return await self.client.hook(id)
        except HookNotFound:
            return None

    async def hooks(
        self,
        *,
        job: str | None,
        states: Sequence[HookState],
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[Hook]:
        """See `Source.hooks`."""
        return await self.client.hooks(job=job, states=states, after=after, limit=limit)

    async def corrupt(self) -> int:
        """See `Source.corrupt`; a gateway does not say."""
        return 0

    async def head(self) -> int:
        """See `Source.head`."""
        return int((await self.client.statistics())["feed"]["last_seq"])

    async def log(
        self, after: int, job: str | None = None, types: Collection[EventType] = ()
    ) -> AsyncGenerator[Event]:
        """See `Source.log`."""
        # The gateway only tells of the events that are asked for: that there are no more of
        # them is only seen by one that is known to be there, and no condition may hide that.
        record, head = None if job is None else await current(self, job), await self.head()
        begin = after if record is None else 0
        if begin >= head:
            return
        async with aclosing(self.follow(begin, job)) as events:
            async for event in events:
                if event.seq > after and (not types or event.type in types):
                    yield event
                if event.seq >= head or (record and event.version >= record.version):
                    return

    async def follow(
        self, after: int | None, job: str | None = None, types: Collection[EventType] = ()
    ) -> AsyncGenerator[Event]:
        """See `Source.follow`."""
        events, told = self.client.events(after=after, job=job, types=types), None
        try:
            async for event in events:
                if events.reset is not told:
                    told = self._told(events.reset)
                yield event
        finally:
            events.close()

    async def records(self, id: str) -> AsyncGenerator[Job]:
        """See `Source.records`."""
        head = await self.head()
        job = await current(self, id)
        yield job
        async with aclosing(self.follow(head, id)) as events:
            async for event in events:
                # Of several at once, the first leads to a record that knows of all.
                if event.version > job.version:
                    job = await current(self, id)
                    yield job

    async def ended(self, ids: Iterable[str], tell: Callable[[Job], None]) -> None:
        """See `Source.ended`."""
        turns = trio.CapacityLimiter(WAITS_AT_ONCE)

        async def tell_the_end(id: str) -> None:
            async with turns:
                job = None
                # Who is fast enough starts it over before it is looked at.
                while job is None or not job.terminal:
                    await self.client.wait(id)
                    job = await current(self, id)
            tell(job)

        async with open_tasks() as nursery:
            for id in ids:
                nursery.start_soon(tell_the_end, id)

    def hint(self, jobs: Iterable[Job]) -> str | None:
        """See `Source.hint`."""
        return None

    def _told(self, reset: Reset | None) -> Reset | None:
        if reset is not None:
            text = RESETS.get(reset.reason, f"the log is another one: {reset.reason}")
            self.note(text.format(after=reset.after))
        return reset


@asynccontextmanager
async def open_gateway(
    gateway: Gateway, note: Callable[[str], None], *, lasting: bool = False
) -> AsyncGenerator[GatewaySource]:
    """Connect to a gateway.

    Args:
      gateway: which.
      note: tells a person something.
      lasting: when the connection is lost, say so, and go on when there is another. Else
        whoever asks something is told that it is lost.

    Raises:
      TriphaseError: if it cannot be reached, or does not want to talk with us.
    """

    def lost(why: str) -> None:
        text = f"the connection to {gateway.url} was lost: {why}"
        if not lasting:
            raise Unreachable(text)
        note(f"{text}; it goes on when there is another")

    try:
        async with connect(gateway.url, token=gateway.token, on_lost=lost) as client:
            yield GatewaySource(client, gateway.url, note)
    except Unreachable as exc:
        raise Unreachable(_why(gateway.url, exc)) from exc


def _why(url: str, exc: Unreachable) -> str:
    """Return why there is no talking with a gateway, for people."""
    if _is_refused(exc):
        return f"nobody listens at {url}: is `triphase serve` running there?"
    text = str(exc)
    return text if url in text else f"{url}: {text}"


def _is_refused(exc: BaseException | None) -> bool:
    """Return whether what is behind an error is that nobody listens at any address."""
    several: tuple[BaseException, ...] = getattr(exc, "exceptions", ())
    if several:
        return all(map(_is_refused, several))
    return isinstance(exc, ConnectionRefusedError) or (
        exc is not None and _is_refused(exc.__cause__)
    )
