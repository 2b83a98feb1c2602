"""The SQLite store: one file, one owner, one connection that writes and one that reads."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack

import attrs
import trio

from triphase.store.backend import PAGE_MOST, Extent, Query, QueueSetting, Store, StoreStatistics
from triphase.store.operations import Operation, Result
from triphase_protocol import Event, EventType, Hook, HookState, Job, JobState, StoreClosed

from .connection import Durability, check_place, connect_reader, connect_writer, refusals
from .loading import Corrupt, Loader
from .lock import OwnerLock
from .pace import Pace
from .reader import Reader
from .schema import check_existing, migrate
from .writer import Writer


@attrs.frozen
class _Opened:
    """What an open store holds."""

    reader: Reader
    writer: Writer
    closing: ExitStack


class SqliteStore(Store):
    """A store in an SQLite file.

    It needs a local disk: SQLite's write-ahead log does not work over a network file system.
    Beside the file stand its log (`-wal`, `-shm`) while it is open, and a lock file (`-lock`)
    that says which process owns it.

    Writes happen on the trio thread while the disk is quick, and in a thread while it is
    slow; reads always on the trio thread.

    Args:
      path: the file; it is created if it is missing, its folder is not.
      durability: `"full"` has every transaction on the disk before anybody hears of it.
        `"normal"` leaves that to the next checkpoint: the file can never be corrupted, but a
        power cut may take back the last transactions, whose events were published already,
        and give their sequence numbers to others. A crash of the process takes nothing back
        in either.
      inline_below: the seconds below which a commit counts as quick. 0 writes always in a
        thread, infinity never.

    Raises:
      ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "full",
        inline_below: float = 0.001,
    ) -> None:
        if durability not in ("full", "normal"):
            raise ValueError(f"durability={durability!r}: must be 'full' or 'normal'")
        if math.isnan(inline_below) or inline_below < 0:
            raise ValueError(f"inline_below={inline_below!r}: must be 0 or more seconds")
        # Absolute, and one name for one file: its lock and its log stand beside the file itself.
        self.path = os.path.realpath(path)
        """The file, as an absolute path."""

        self.durability: Durability = durability
        """When a transaction is on the disk; see above."""

        self._pace = Pace(inline_below)
        self._turn = trio.Lock()
        # Its own, so that a write never waits for the threads of somebody's phases.
        self._threads = trio.CapacityLimiter(1)
        self._opened: _Opened | None = None

    def __repr__(self) -> str:
        return f"<SqliteStore {self.path!r}: {'open' if self._opened else 'closed'}>"

    @property
    def folder(self) -> str:
        """See `Store.folder`: the file's path and `-files`."""
        return f"{self.path}-files"

    @property
    def inline(self) -> bool:
        """True if the next write will be done on the trio thread."""
        return self._pace.inline

    async def open(self) -> None:
        """See `Store.open`."""
        await trio.lowlevel.checkpoint()
        check_place(self.path)
        with refusals(self.path), ExitStack() as stack:
            check_existing(self.path)
            lock = OwnerLock.take(self.path)
            stack.callback(lock.release)
            connection = connect_writer(self.path, self.durability)
            stack.callback(connection.close)
            migrate(connection, self.path)
            corrupt = Corrupt()
            reader = Reader(connect_reader(self.path, writable=True), self.path, corrupt)
            # Last in, first out: the writer's connection must be the last, as it checkpoints.
            stack.callback(reader.close)
            writer = Writer(connection, self.path, Loader(connection, corrupt))
            self._opened = _Opened(reader, writer, stack.pop_all())

    async def close(self) -> None:
        """See `Store.close`."""
        with trio.CancelScope(shield=True):
            async with self._turn:
                opened, self._opened = self._opened, None
                if opened is not None:
                    with refusals(self.path):
                        opened.closing.close()

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """See `Store.write`."""
        results: list[Result] = []
        async with self._turn:
            writer = self._get().writer
            if self._pace.inline:
                results = writer.write(operations)
                self._pace.took(writer.seconds)
            else:
                self._pace.passed()
                with trio.CancelScope(shield=True):
                    results = await trio.to_thread.run_sync(
                        writer.write, operations, limiter=self._threads
                    )
        return results

    async def get(self, job: str) -> Job | None:
        """See `Store.get`."""
        return await self._get().reader.get(job)

    async def find(self, query: Query) -> list[Job]:
        """See `Store.find`."""
        return await self._get().reader.find(query)

    async def gone(self, job: str) -> bool:
        """See `Store.gone`."""
        return await self._get().reader.gone(job)

    async def events(
        self,
        *,
        after: int = 0,
        job: str | None = None,
        types: Sequence[EventType] = (),
        limit: int = PAGE_MOST,
    ) -> list[Event]:
        """See `Store.events`."""
        return await self._get().reader.events(after=after, job=job, types=types, limit=limit)

    async def queued(self, queue: str, types: Sequence[str], limit: int) -> list[Job]:
        """See `Store.queued`."""
        return await self._get().reader.queued(queue, types, limit)

    async def due(self, now: float, limit: int) -> list[Job]:
        """See `Store.due`."""
        return await self._get().reader.due(now, limit)

    async def next_due(self) -> float | None:
        """See `Store.next_due`."""
        return await self._get().reader.next_due()

    async def overdue(self, now: float, limit: int) -> list[Job]:
        """See `Store.overdue`."""
        return await self._get().reader.overdue(now, limit)

    async def next_deadline(self) -> float | None:
        """See `Store.next_deadline`."""
        return await self._get().reader.next_deadline()

    async def ended(
        self, state: JobState, before: float, limit: int, *, fresh: bool = False
    ) -> list[Job]:
        """See `Store.ended`."""
        return await self._get().reader.ended(state, before, limit, fresh=fresh)

    async def hook(self, id: str) -> Hook | None:
        """See `Store.hook`."""
        return await self._get().reader.hook(id)

    async def hooks(
        self,
        *,
        job: str | None = None,
        states: Sequence[HookState] = (),
        after: tuple[int, str] | None = None,
        limit: int = PAGE_MOST,
    ) -> list[Hook]:
        """See `Store.hooks`."""
        return await self._get().reader.hooks(job=job, states=states, after=after, limit=limit)

    async def due_hooks(
        self,
        now: float,
        limit: int,
        *,
        taken: Collection[str] = (),
        resting: Collection[str] = (),
    ) -> list[Hook]:
        """See `Store.due_hooks`."""
        return await self._get().reader.due_hooks(now, limit, taken=taken, resting=resting)

    async def next_hook(
        self, *, taken: Collection[str] = (), resting: Collection[str] = ()
    ) -> float | None:
        """See `Store.next_hook`."""
        return await self._get().reader.next_hook(taken=taken, resting=resting)

    async def disabled(self, urls: Collection[str]) -> Mapping[str, float]:
        """See `Store.disabled`."""
        return await self._get().reader.disabled(urls)

    async def slots(self) -> Mapping[str, int]:
        """See `Store.slots`."""
        return await self._get().reader.slots()

    async def backlog(self) -> Mapping[str, int]:
        """See `Store.backlog`."""
        return await self._get().reader.backlog()

    async def queue_settings(self) -> Mapping[str, QueueSetting]:
        """See `Store.queue_settings`."""
        return await self._get().reader.queue_settings()

    async def extent(self) -> Extent:
        """See `Store.extent`."""
        return await self._get().reader.extent()

    async def statistics(self) -> StoreStatistics:
        """See `Store.statistics`."""
        return await self._get().reader.statistics()

    def _get(self) -> _Opened:
        if self._opened is None:
            raise StoreClosed(f"{self.path} is not open")
        return self._opened
