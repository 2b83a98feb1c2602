"""What a database must do for triphase: the interface that every store implements.

Only the store actor calls `write`, one call at a time. Reads may come from any task at
any moment and see everything whose write has returned.

`tests/actors/store/test_conformance.py` holds every implementation to this text.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence

import attrs

from triphase_protocol import Event, EventType, Hook, HookState, Job, JobState

from .operations import Operation, Result

PAGE_MOST = 1000
"""The most rows that one read returns."""


@attrs.frozen(kw_only=True)
class Query:
    """Which jobs to find. Every condition that is given must hold."""

    states: tuple[JobState, ...] = ()
    """In one of these states; empty is any."""

    types: tuple[str, ...] = ()
    """Of one of these types; empty is any."""

    queues: tuple[str, ...] = ()
    """In one of these queues; empty is any."""

    labels: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """With at least these labels."""

    key: str | None = None
    """With this idempotency key."""

    prefix: str = ""
    """With an id that begins so."""

    newest_first: bool = True
    """Last submitted first; else first submitted first."""

    after: str | None = None
    """Only jobs that come after the job of this id in that order: the cursor of a page."""

    limit: int = 50
    """At most so many, from 1 to `PAGE_MOST`."""


@attrs.frozen
class QueueSetting:
    """What was set for a queue while the runtime ran, and outlives it."""

    paused: bool | None = None
    """Nothing is to be started from it; None is as declared."""

    slots: int | None = None
    """How many of its jobs may hold a slot at once; None is as declared."""


@attrs.frozen(kw_only=True)
class StoreStatistics:
    """A store at one moment."""

    jobs: Mapping[JobState, int]
    """Jobs in each state; states without jobs are left out."""

    last_seq: int
    """The sequence number of the last committed event; 0 if there is none."""

    hooks: Mapping[HookState, int] = attrs.field(factory=dict[HookState, int])
    """Deliveries in each state; states without any are left out."""

    corrupt: int
    """Rows that could not be read back since the store was opened, and were skipped."""


@attrs.frozen(kw_only=True)
class Extent:
    """Which log a store has, and how far it reaches."""

    epoch: str
    """The id of the log, made with the store: the numbers of another log mean nothing in it."""

    floor: int
    """The highest `seq` of an event that was pruned; 0 if none was.

    Who has read up to here, or further, has missed nothing for which no other event stands: of a
    job that was deleted, its `job.deleted` is left until it is pruned.
    """

    head: int
    """The last `seq` that was given; 0 if none was."""


class Store(abc.ABC):
    """A database of jobs and events; see the module's text.

    Every method is a checkpoint unless it says otherwise, and raises `StoreClosed` when the
    store is not open and `StoreUnavailable` when the database refuses.
    """

    @property
    def folder(self) -> str | None:
        """A path beside the store at which a folder for its jobs' files may be made, or None.

        The store itself never makes it. No checkpoint; the store need not be open.
        """
        return None

    @abc.abstractmethod
    async def open(self) -> None:
        """Take ownership, create or migrate what is there, and be ready.

        Raises:
          StoreLocked: if another process owns it.
          StoreTooNew: if a newer triphase wrote it.
          NotAStore: if it is something else.
          StoreUnavailable: if it cannot be read or written.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Give up ownership. Everything written is durable. Closing twice does nothing."""

    @abc.abstractmethod
    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """Apply operations in order, in one transaction, and return when it is durable.

        A cancel never leaves it half done: once begun, it runs to its end.

        Returns:
          One result for each operation, in the same order.

        Raises:
          StoreUnavailable: nothing of it was written.
        """

    @abc.abstractmethod
    async def get(self, job: str) -> Job | None:
        """Return the job of this id, or None.

        Raises:
          CorruptRecord: if its row cannot be read back.
        """

    @abc.abstractmethod
    async def find(self, query: Query) -> list[Job]:
        """Return the jobs that a query asks for. Corrupt rows are skipped and counted.

        A page that is to come after a job that was deleted goes on from where that job stood.

        Raises:
          JobNotFound: if there never was a job of the id that the page is to come after, or
            its `job.deleted` was pruned.
        """

    @abc.abstractmethod
    async def gone(self, job: str) -> bool:
        """Return whether there was a job of this id, and it was deleted.

        False if there is a job of this id, and once its `job.deleted` has been pruned.
        """

    @abc.abstractmethod
    async def events(
        self,
        *,
        after: int = 0,
        job: str | None = None,
        types: Sequence[EventType] = (),
        limit: int = PAGE_MOST,
    ) -> list[Event]:
        """Return committed events with a `seq` above *after*, in that order.

        Args:
          after: a `seq`; 0 is from the beginning.
          job: only those of this job; of one that was deleted, its `job.deleted` is left.
          types: only those of these types; empty is any.
          limit: at most so many.
        """

    @abc.abstractmethod
    async def extent(self) -> Extent:
        """Return which log this is, and how far it reaches."""

    @abc.abstractmethod
    async def queued(self, queue: str, types: Sequence[str], limit: int) -> list[Job]:
        """Return the first queued jobs of a queue, of these types, as they are to be started.

        Higher priority first, then lower `position`. Corrupt rows are skipped and counted.
        """

    @abc.abstractmethod
    async def due(self, now: float, limit: int) -> list[Job]:
        """Return scheduled jobs with `due_at` at or before *now*, earliest first.

        Corrupt rows are skipped and counted.
        """

    @abc.abstractmethod
    async def next_due(self) -> float | None:
        """Return the earliest `due_at` of the scheduled jobs, or None if there are none.

        Rows that were found to be corrupt are passed over.
        """

    @abc.abstractmethod
    async def overdue(self, now: float, limit: int) -> list[Job]:
        """Return jobs with a `deadline` at or before *now*, earliest first, in any state.

        Corrupt rows are skipped and counted.
        """

    @abc.abstractmethod
    async def next_deadline(self) -> float | None:
        """Return the earliest `deadline` of all jobs, or None if none has one.

        Rows that were found to be corrupt are passed over.
        """

    @abc.abstractmethod
    async def ended(
        self, state: JobState, before: float, limit: int, *, fresh: bool = False
    ) -> list[Job]:
        """Return jobs with a `finished_at` at or before *before*, earliest first.

        Corrupt rows are skipped and counted.

        Args:
          state: in this terminal state.
          before: a time.
          limit: at most so many.
          fresh: only those that are not marked as stale.
        """

    @abc.abstractmethod
    async def hook(self, id: str) -> Hook | None:
        """Return the delivery of this id, with its body, or None.

        Raises:
          CorruptRecord: if its row cannot be read back.
        """

    @abc.abstractmethod
    async def hooks(
        self,
        *,
        job: str | None = None,
        states: Sequence[HookState] = (),
        after: tuple[int, str] | None = None,
        limit: int = PAGE_MOST,
    ) -> list[Hook]:
        """Return deliveries in the order of their `place`, without their bodies.

        Corrupt rows are skipped and counted.

        Args:
          job: only those of the job of this id, which may have been deleted.
          states: only those in one of these states; empty is any.
          after: the `place` of the last one of the page before.
          limit: at most so many.
        """

    @abc.abstractmethod
    async def due_hooks(
        self,
        now: float,
        limit: int,
        *,
        taken: Collection[str] = (),
        resting: Collection[str] = (),
    ) -> list[Hook]:
        """Return deliveries that may be tried, with their bodies.

        Those are the first pending ones, by their `place`, of their job and URL: what stands behind
        another is not due before that has ended. Earliest `due_at` first, and then in the order of
        their `place`. Corrupt rows are skipped and counted, and nothing stands behind one that was
        found.

        Args:
          now: only those with a `due_at` at or before it.
          limit: at most so many.
          taken: none of these ids; what stands behind them is not due.
          resting: none to these URLs.
        """

    @abc.abstractmethod
    async def next_hook(
        self, *, taken: Collection[str] = (), resting: Collection[str] = ()
    ) -> float | None:
        """Return the earliest `due_at` of the deliveries that `due_hooks` looks at, or None.

        Rows that were found to be corrupt are passed over.

        Args:
          taken: as in `due_hooks`.
          resting: as in `due_hooks`.
        """

    @abc.abstractmethod
    async def disabled(self, urls: Collection[str]) -> Mapping[str, float]:
        """Return which of these URLs are gone, as their receivers said, and since when."""

    @abc.abstractmethod
    async def slots(self) -> Mapping[str, int]:
        """Return how many jobs hold a slot, by queue, counted from the rows."""

    @abc.abstractmethod
    async def backlog(self) -> Mapping[str, int]:
        """Return how many jobs are queued, by queue. Costs a pass over an index."""

    @abc.abstractmethod
    async def queue_settings(self) -> Mapping[str, QueueSetting]:
        """Return what was last set for each queue, by name; queues never set are left out."""

    @abc.abstractmethod
    async def statistics(self) -> StoreStatistics:
        """Return counts over the whole store. Costs a pass over an index."""
