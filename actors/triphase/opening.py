"""Opening a runtime: the store, the tree of actors, and the order in which they end.

    root supervisor             escalates: RuntimeCrashed
    ├─ committer                the one writer; publishes what committed
    ├─ jobs                     one job actor for each active job
    ├─ reconciler               puts back what a dead owner left, before anything starts
    └─ scheduler                starts what there is a slot for

The root supervisor starts its children from the top and stops them from the bottom, each
only when the one below has ended: no new run is started, then the runs end and are put back,
and the committer, which they need for that, is the last. A cancel from outside takes the
same way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from os import PathLike

import trio

from triphase_protocol import DefinitionError, Queue

from .actor import ActorRef, ActorStopped, Strategy, Supervisor, SupervisorFailed, open_supervisor
from .clock import Clock, SystemClock
from .definition import check_seconds
from .directory import Directory, JobSupervisor
from .entropy import Entropy
from .errors import RuntimeCrashed
from .feed import Feed
from .handlers import Handlers
from .job_actor import Surroundings
from .journal import Journal
from .orders import Orders
from .parts import Parts
from .reconciler import Reconciler, Sweeps
from .registry import Registry
from .runtime import Runtime
from .scheduler import Scheduler, Signals, Tally, Wake
from .store.backend import Store
from .store.committer import Committer, Counts, Writer
from .store.location import store_from
from .store.operations import Applied
from .threads import Threads
from .waiters import Waiters

COMMITS_WAITING = 10_000
"""The most writers that wait in the store actor's mailbox; more wait before it."""


@asynccontextmanager
async def open_runtime(
    jobs: Iterable[type],
    *,
    store: str | PathLike[str] | Store,
    queues: Mapping[str, Queue] | None = None,
    limit: int = 100,
    drain_timeout: float = 30.0,
    progress_interval: float = 0.25,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> AsyncGenerator[Runtime]:
    """Open a runtime; entered, it has recovered what a dead process left, and runs jobs.

    Left normally, it starts no more jobs and waits up to *drain_timeout* for those that run;
    left by an exception or a cancel, it does not wait. Jobs that still run then are stopped
    and put back into their queues, to be resumed from their interrupted phase at the next
    open. An exception of the body leaves the block as it is. A checkpoint on both ends.

    Args:
      jobs: the job types: classes that `@job` decorated.
      store: a path, "sqlite://…", "memory:", or a `Store`.
      queues: settings by name; a queue that a job type names has the default ones otherwise.
      limit: how many jobs may run at once, over all queues.
      drain_timeout: seconds.
      progress_interval: seconds between two recorded progresses of one job, at least.
      clock: where the wall-clock time comes from.
      entropy: where ids and random draws come from.

    Raises:
      DefinitionError: if a class is no job type, or an argument is out of range.
      StoreError: if the store cannot be opened; its subclass says why.
      RuntimeCrashed: if the runtime's own tasks failed; the body was cancelled.
    """
    registry = Registry(jobs, queues)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise DefinitionError(f"limit={limit!r}: must be a whole number from 1")
    check_seconds("drain_timeout", drain_timeout, least=0.0)
    check_seconds("progress_interval", progress_interval, least=0.0)
    opened = store_from(store)
    await opened.open()
    threads = Threads()
    threads.open()
    try:
        last_seq = (await opened.statistics()).last_seq
        tree = _Tree(
            registry,
            opened,
            threads,
            Feed(opened, last_seq),
            limit,
            progress_interval,
            clock or SystemClock(),
            entropy or Entropy(),
        )
        async with tree.open(drain_timeout) as runtime:
            yield runtime
    except SupervisorFailed as exc:
        raise RuntimeCrashed("the runtime's own tasks failed") from (exc.__cause__ or exc)
    finally:
        threads.close()
        with trio.CancelScope(shield=True):
            await opened.close()


async def serve_runtime(
    jobs: Iterable[type],
    *,
    store: str | PathLike[str] | Store,
    queues: Mapping[str, Queue] | None = None,
    limit: int = 100,
    progress_interval: float = 0.25,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    task_status: trio.TaskStatus[Runtime] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a runtime until cancelled: `runtime = await nursery.start(serve_runtime, [Transcode])`.

    For keyword arguments use `functools.partial`. They, and the errors, are those of
    `open_runtime`; the runtime is what `nursery.start` returns. A cancel does not wait for what
    runs: call `runtime.drain` before it if you want that.
    """
    async with open_runtime(
        jobs,
        store=store,
        queues=queues,
        limit=limit,
        progress_interval=progress_interval,
        clock=clock,
        entropy=entropy,
    ) as runtime:
        task_status.started(runtime)
        await trio.sleep_forever()


class _Tree:
    """The tree of actors, before and while it lives."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        threads: Threads,
        feed: Feed,
        limit: int,
        progress_interval: float,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.registry = registry
        self.store = store
        self.threads = threads
        self.feed = feed
        self.limit = limit
        self.progress_interval = progress_interval
        self.clock = clock
        self.entropy = entropy
        self.owner = entropy.id()
        self.waiters = Waiters()
        self.counts, self.tally, self.sweeps = Counts(), Tally(), Sweeps()
        self.signals = Signals()
        self.handlers = Handlers(threads)
        self.scheduler: ActorRef[Wake] | None = None

    @asynccontextmanager
    async def open(self, drain_timeout: float) -> AsyncGenerator[Runtime]:
        """Start the actors, top down; stop them, bottom up."""
        await self.handlers.open()
        try:
            # An actor relies on those above it: when one of them fails, it starts anew too.
            async with open_supervisor(name="runtime", strategy=Strategy.REST_FOR_ONE) as root:
                runtime = await self._start(root)
                yield runtime
                await runtime.drain(drain_timeout)
        finally:
            self.handlers.close()
            self.feed.close()
            self.waiters.close()

    async def _start(self, root: Supervisor) -> Runtime:
        committer = await root.start(
            lambda: Committer(self.store, self._publish, self.counts),
            name="committer",
            capacity=COMMITS_WAITING,
        )
        writer = Writer(committer)
        directory = Directory(
            Surroundings(
                Journal(writer, self.clock),
                self.registry,
                self.clock,
                self.entropy,
                self.threads,
                self.handlers,
                self.progress_interval,
            )
        )
        await root.start(lambda: JobSupervisor(directory), name="jobs")
        await root.start(
            lambda: Reconciler(
                self.store, writer, self.registry, directory, self.clock, self.owner, self.sweeps
            ),
            name="reconciler",
        )
        self.scheduler = await root.start(
            lambda: Scheduler(
                self.store,
                writer,
                self.registry,
                directory,
                self.clock,
                self.limit,
                self.owner,
                self.tally,
                self.signals,
            ),
            name="scheduler",
            # One wake-up waiting is as good as many.
            capacity=1,
        )
        return Runtime(
            Parts(
                owner=self.owner,
                store=self.store,
                writer=writer,
                registry=self.registry,
                limit=self.limit,
                clock=self.clock,
                entropy=self.entropy,
                handlers=self.handlers,
                orders=Orders(self.store, Journal(writer, self.clock), directory, self.registry),
                directory=directory,
                feed=self.feed,
                waiters=self.waiters,
                counts=self.counts,
                tally=self.tally,
                sweeps=self.sweeps,
                signals=self.signals,
            )
        )

    def _publish(self, applied: Sequence[Applied]) -> None:
        """Tell everybody what has just become durable. Never waits."""
        events = [event for each in applied for event in each.events]
        self.feed.publish(events)
        self.waiters.publish([each.job for each in applied])
        if self.signals.note(events) and self.scheduler is not None:
            try:
                self.scheduler.send_nowait(Wake(), control=True)
            except (trio.WouldBlock, ActorStopped):
                # It will look anyway, or never again.
                return
