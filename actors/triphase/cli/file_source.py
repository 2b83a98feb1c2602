"""A store file as a source, which another process may be writing at this moment.

Nothing tells a reader of a file that it was written: whoever commits is another process. So
what waits here looks again every `LOOK_EVERY` seconds, at one number that the database keeps
for this (`data_version`), and reads only when it has changed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from triphase.store.backend import Query
from triphase.store.sqlite import Reader, open_reader, owner_of
from triphase_protocol import Event, EventType, Hook, HookState, Job

from .sources import current

LOOK_EVERY: Final = 0.1
"""Seconds between two looks at a file that somebody else writes."""


@attrs.frozen(eq=False)
class FileSource:
    """See the module's text, and `Source`."""

    reader: Reader
    path: str
    name: None = None

    async def get(self, id: str) -> Job | None:
        """See `Source.get`."""
        return await self.reader.get(id)

    async def find(self, query: Query) -> list[Job]:
        """See `Source.find`."""
        return await self.reader.find(query)

    async def hook(self, id: str) -> Hook | None:
        """See `Source.hook`."""
        return await self.reader.hook(id)

    async def hooks(
        self,
        *,
        job: str | None,
        states: Sequence[HookState],
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[Hook]:
        """See `Source.hooks`."""
        return await self.reader.hooks(job=job, states=states, after=after, limit=limit)

    async def corrupt(self) -> int:
        """See `Source.corrupt`."""
        return (await self.reader.statistics()).corrupt

    async def head(self) -> int:
        """See `Source.head`."""
        return (await self.reader.statistics()).last_seq

    async def log(
        self, after: int, job: str | None = None, types: Collection[EventType] = ()
    ) -> AsyncGenerator[Event]:
        """See `Source.log`."""
        while page := await self.reader.events(after=after, job=job):
            after = page[-1].seq
            for event in page:
                if not types or event.type in types:
                    yield event

    async def follow(
        self, after: int | None, job: str | None = None, types: Collection[EventType] = ()
    ) -> AsyncGenerator[Event]:
        """See `Source.follow`."""
        place = await self.head() if after is None else after
        changes = Changes(self.reader)
        while True:
            await changes.wait()
            # Not by types in the database: so the place moves on past what is not wanted, and
            # the next look does not begin with it again.
            while page := await self.reader.events(after=place, job=job):
                place = page[-1].seq
                for event in page:
                    if not types or event.type in types:
                        yield event

    async def records(self, id: str) -> AsyncGenerator[Job]:
        """See `Source.records`."""
        changes, version = Changes(self.reader), 0
        while True:
            await changes.wait()
            job = await current(self, id)
            if job.version != version:
                version = job.version
                yield job

    async def ended(self, ids: Iterable[str], tell: Callable[[Job], None]) -> None:
        """See `Source.ended`."""
        changes, waiting = Changes(self.reader), list(ids)
        while waiting:
            await changes.wait()
            for id in list(waiting):
                job = await current(self, id)
                if job.terminal:
                    waiting.remove(id)
                    tell(job)

    def hint(self, jobs: Iterable[Job]) -> str | None:
        """See `Source.hint`."""
        waiting = [job for job in jobs if not job.terminal]
        if not waiting or owner_of(self.path) is not None:
            return None
        which = f"{len(waiting)} of the jobs have not ended"
        if len(waiting) == 1:
            which = f"job {waiting[0].id} is {waiting[0].state.value}"
        return f"{which}, and no process runs the jobs of this store now"


@asynccontextmanager
async def open_file(path: str) -> AsyncGenerator[FileSource]:
    """Open a store file for reading.

    Raises:
      StoreError: if it cannot be read; its subclass says why.
    """
    async with open_reader(path) as reader:
        yield FileSource(reader, path)


@attrs.define
class Changes:
    """Tells when the file has been written since the last time."""

    reader: Reader
    _seen: int | None = attrs.field(default=None, init=False)

    def any(self) -> bool:
        """Return whether there is something new; true the first time. Never waits."""
        # The number is taken before what is read next, so nothing can slip between.
        version = self.reader.data_version()
        changed, self._seen = version != self._seen, version
        return changed

    async def wait(self) -> None:
        """Return when there is something new; at once the first time. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while not self.any():  # noqa: ASYNC110 - another process commits: no event of ours tells
            await trio.sleep(LOOK_EVERY)
