"""The tree of actors of a runtime, and the order in which they start and end.

    root supervisor             escalates: RuntimeCrashed
    ├─ committer                the one writer; publishes what committed
    ├─ hooks                    sends what is in the outbox
    ├─ jobs                     one job actor for each active job
    ├─ reconciler               puts back what a dead owner left, before anything starts
    ├─ leftovers                stops commands that nobody waits for
    └─ scheduler                starts what there is a slot for

The root supervisor starts its children from the top and stops them from the bottom, each
only when the one below has ended: no new run is started, then the runs end and are put back, what
is still being sent is broken off, and the committer, which they need for that, is the last. A
cancel from outside takes the same way. What the outbox gets of their ends is sent by the next
runtime.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from .actor import ActorRef, ActorStopped, Strategy, Supervisor, open_supervisor
from .clock import Clock
from .directory import Directory, JobSupervisor
from .entropy import Entropy
from .feed import Entry, Feed
from .handler import Places
from .handlers import Handlers
from .hooks import Deliverer, Deliveries, Endpoints, HookSupervisor, Keyring, Sending
from .job_actor import Surroundings
from .journal import Journal
from .orders import Orders
from .outbox import Outbox
from .parts import Parts
from .reconciler import Alarm, Keeping, Leftovers, Look, Reconciler, Sweeps
from .registry import Registry
from .runtime import Runtime
from .scheduler import Scheduler, Signals, Tally, Wake
from .store.backend import Store
from .store.committer import Committer, Counts, Writer
from .store.operations import Applied
from .waiters import Waiters

M = TypeVar("M")

COMMITS_WAITING = 10_000
"""The most writers that wait in the store actor's mailbox; more wait before it."""


class Tree:
    """The tree of actors, before and while it lives."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        places: Places,
        feed: Feed,
        limit: int,
        keeping: Keeping,
        progress_interval: float,
        clock: Clock,
        entropy: Entropy,
        outbox: Outbox,
        keyring: Keyring,
        sending: Sending,
    ) -> None:
        self.registry = registry
        self.store = store
        self.places = places
        self.feed = feed
        self.limit = limit
        self.keeping = keeping
        self.progress_interval = progress_interval
        self.clock = clock
        self.entropy = entropy
        self.outbox = outbox
        self.keyring = keyring
        self.sending = sending
        self.deliveries = Deliveries(Endpoints(sending.limit_each, sending.tripping))
        self.owner = entropy.id()
        self.waiters = Waiters()
        self.counts, self.tally, self.sweeps = Counts(), Tally(), Sweeps()
        self.signals = Signals()
        self.handlers = Handlers(places.threads)
        self.alarm = Alarm()
        self.scheduler: ActorRef[Wake] | None = None
        self.reconciler: ActorRef[Look] | None = None

    @asynccontextmanager
    async def open(self, drain_timeout: float) -> AsyncGenerator[Runtime]:
        """Start the actors, top down; stop them, bottom up."""
        await self.handlers.open()
        try:
            # An actor relies on those above it: when one of them fails, it starts anew too.
            async with open_supervisor(name="runtime", strategy=Strategy.REST_FOR_ONE) as root:
                runtime = await self._start(root)
                try:
                    yield runtime
                    await runtime.drain(drain_timeout)
                finally:
                    # What the jobs that are put back lead to is not begun, to be broken off.
                    self.deliveries.settled = True
        finally:
            self.handlers.close()
            self.feed.close()
            self.waiters.close()

    async def _start(self, root: Supervisor) -> Runtime:
        published = self.feed.last_seq
        committer = await root.start(
            lambda: Committer(self.store, self._publish, self.counts, self.outbox.address),
            name="committer",
            capacity=COMMITS_WAITING,
        )
        parts = self._parts(Writer(committer))
        await root.start(
            lambda: HookSupervisor(self.deliveries, lambda: self._new_deliverer(parts)),
            name="hooks",
        )
        await root.start(lambda: JobSupervisor(parts.directory), name="jobs")
        self.reconciler = await root.start(
            lambda: self._new_reconciler(parts), name="reconciler", capacity=1
        )
        await root.start(
            lambda: Leftovers(self.store, self.places.commands, self.sweeps), name="leftovers"
        )
        # One wake-up waiting is as good as many.
        self.scheduler = await root.start(
            lambda: self._new_scheduler(parts), name="scheduler", capacity=1
        )
        if self.feed.last_seq > published:
            # It was published before both could be woken.
            _wake(self.reconciler, Look())
            self._look_everywhere()
        return Runtime(parts)

    def _parts(self, writer: Writer) -> Parts:
        journal = Journal(writer, self.clock)
        directory = Directory(
            Surroundings(
                journal,
                self.registry,
                self.clock,
                self.entropy,
                self.places,
                self.handlers,
                self.progress_interval,
            )
        )
        return Parts(
            owner=self.owner,
            store=self.store,
            writer=writer,
            registry=self.registry,
            limit=self.limit,
            clock=self.clock,
            entropy=self.entropy,
            handlers=self.handlers,
            processes=self.places.processes,
            orders=Orders(self.store, journal, directory, self.registry, self.places.commands),
            directory=directory,
            feed=self.feed,
            waiters=self.waiters,
            counts=self.counts,
            tally=self.tally,
            sweeps=self.sweeps,
            signals=self.signals,
            queue_turn=trio.Lock(),
            look=self._look_everywhere,
            keyring=self.keyring,
            deliveries=self.deliveries,
        )

    def _new_reconciler(self, parts: Parts) -> Reconciler:
        return Reconciler(
            self.store,
            parts.writer,
            self.registry,
            parts.directory,
            parts.orders,
            self.clock,
            self.owner,
            self.keeping,
            self.sweeps,
            self.alarm,
        )

    def _new_scheduler(self, parts: Parts) -> Scheduler:
        return Scheduler(
            self.store,
            parts.writer,
            self.registry,
            parts.directory,
            self.clock,
            self.limit,
            self.owner,
            self.tally,
            self.signals,
        )

    def _new_deliverer(self, parts: Parts) -> Deliverer:
        return Deliverer(
            self.store,
            parts.writer,
            self.sending,
            self.keyring,
            self.deliveries,
            self.clock,
            self.entropy,
        )

    def _look_everywhere(self) -> None:
        """What may start is another than it was, though no job has changed."""
        self.signals.set()
        _wake(self.scheduler, Wake())

    def _publish(self, applied: Sequence[Applied]) -> None:
        """Tell everybody what has just become durable. Never waits."""
        events = [event for each in applied for event in each.events]
        self.feed.publish([Entry.of(event, each.job) for each in applied for event in each.events])
        jobs = [each.job for each in applied]
        self.waiters.publish(jobs)
        if self.signals.note(events):
            _wake(self.scheduler, Wake())
        if self.alarm.note(jobs):
            _wake(self.reconciler, Look())
        if self.outbox.made:
            self.outbox.made = False
            self.deliveries.look()


def _wake(actor: ActorRef[M] | None, message: M) -> None:
    """Have an actor look. Never waits."""
    if actor is not None:
        with contextlib.suppress(trio.WouldBlock, ActorStopped):
            # It will look anyway, or never again.
            actor.send_nowait(message, control=True)
