"""Where the commands that read find jobs and events, whatever is behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

from triphase.store.backend import Query
from triphase_protocol import (
    AmbiguousId,
    Event,
    EventType,
    Hook,
    HookState,
    Job,
    JobNotFound,
)

from .options import store_at
from .places import Gateway, Place

CANDIDATES: Final = 5
"""How many ids an error names when a prefix fits several."""


class Source(Protocol):
    """A place with jobs and events. What it returns is as it is when it is asked for."""

    @property
    def name(self) -> str | None:
        """What to call it, if a person should be told that it is not the store file."""
        ...

    async def get(self, id: str) -> Job | None:
        """Return a job's record, or None if there is no such job."""
        ...

    async def find(self, query: Query) -> list[Job]:
        """Return the jobs that a query finds."""
        ...

    async def hook(self, id: str) -> Hook | None:
        """Return a delivery with what is sent, or None if there is no such delivery."""
        ...

    async def hooks(
        self,
        *,
        job: str | None,
        states: Sequence[HookState],
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[Hook]:
        """Return a page of deliveries, without what is sent; see `Store.hooks`."""
        ...

    async def corrupt(self) -> int:
        """Return how many rows could not be read back, as far as that is known."""
        ...

    async def head(self) -> int:
        """Return the `seq` of the last event."""
        ...

    def log(
        self, after: int, job: str | None = None, types: Collection[EventType] = ()
    ) -> AsyncGenerator[Event]:
        """Return the events above a `seq` that there are; no types are all of them."""
        ...

    def follow(
        self, after: int | None, job: str | None = None, types: Collection[EventType] = ()
    ) -> AsyncGenerator[Event]:
        """Return the events above a `seq`, and those that come; None is from now on."""
        ...

    def records(self, id: str) -> AsyncGenerator[Job]:
        """Return a job's record, and again each time that it is another.

        Raises:
          JobNotFound: if there is no such job any more.
        """
        ...

    async def ended(self, ids: Iterable[str], tell: Callable[[Job], None]) -> None:
        """Tell of each of some jobs once it has ended; return when all have.

        Raises:
          JobNotFound: if there is no such job any more.
        """
        ...

    def hint(self, jobs: Iterable[Job]) -> str | None:
        """Return what to tell who waits for jobs that nobody runs; None if somebody may."""
        ...


@asynccontextmanager
async def opened(
    place: Place, note: Callable[[str], None], *, lasting: bool = False
) -> AsyncGenerator[Source]:
    """Open what the options name.

    Args:
      place: the options.
      note: tells a person something.
      lasting: go on when the connection to a gateway is lost, as soon as there is another.

    Raises:
      UsageError: if the options do not go together.
      TriphaseError: if the store cannot be read, or the gateway cannot be reached.
    """
    where = place.located()
    if isinstance(where, Gateway):
        # Not at the top: a command that reads a file does not need a WebSocket, and what is there
        # needs this.
        from .gateway_source import open_gateway

        async with open_gateway(where, note, lasting=lasting) as gateway:
            yield gateway
    else:
        from .file_source import open_file

        async with open_file(store_at(where).path) as file:
            yield file


async def job_of(source: Source, prefix: str) -> Job:
    """Return the one job whose id is, or begins with, *prefix*.

    Raises:
      JobNotFound: if there is none.
      AmbiguousId: if there are several.
    """
    if not prefix.isascii():
        # No id is so, and what the shell passes need not even be text.
        raise JobNotFound(f"there is no job {prefix!r}")
    # An id in full is found even if it is also the beginning of another.
    exact = await source.get(prefix)
    if exact is not None:
        return exact
    # An empty prefix would be no condition, and fit every job.
    jobs = await source.find(Query(prefix=prefix, limit=CANDIDATES + 1)) if prefix else []
    if not jobs:
        raise JobNotFound(f"there is no job {prefix!r}")
    if len(jobs) > 1:
        shown = ", ".join(job.id for job in jobs[:CANDIDATES])
        more = ", …" if len(jobs) > CANDIDATES else ""
        raise AmbiguousId(f"{prefix!r} is the beginning of several ids: {shown}{more}")
    return jobs[0]


async def jobs_of(source: Source, prefixes: Iterable[str]) -> dict[str, Job]:
    """Return the jobs of several ids, or of beginnings of ids, by id; see `job_of`."""
    jobs = [await job_of(source, prefix) for prefix in prefixes]
    return {job.id: job for job in jobs}


async def current(source: Source, id: str) -> Job:
    """Return a job's record as it is now.

    Raises:
      JobNotFound: if it has been deleted.
    """
    job = await source.get(id)
    if job is None:
        raise JobNotFound(f"job {id} is no longer in the store")
    return job
