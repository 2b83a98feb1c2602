"""The reconciler's actor: when it looks, and at what."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

import attrs
import trio

from triphase.actor import Actor, Mailbox
from triphase.clock import Clock
from triphase.directory import Directory
from triphase.errors import RuntimeClosed
from triphase.orders import Orders
from triphase.registry import Registry
from triphase.store.backend import PAGE_MOST, Query, Store
from triphase.store.committer import Writer
from triphase_protocol import (
    Cause,
    Expire,
    IllegalTransition,
    Interrupt,
    Job,
    JobNotFound,
    TriphaseError,
    states_where,
)

from .batches import BATCH, Batches
from .counts import SWEEP_EVERY, Sweeps
from .retention import Keeping, RetentionPass

log = logging.getLogger("triphase.reconciler")


@attrs.frozen
class Look:
    """A deadline has been set that is earlier than the one that is waited for."""


@attrs.define(eq=False)
class Alarm:
    """The deadline that is waited for. Outlives restarts of the reconciler."""

    at: float = math.inf
    """Wall-clock seconds; infinity if there is none, and while it is being read."""

    def note(self, jobs: Iterable[Job]) -> bool:
        """Take note of jobs as they were committed; True if the reconciler should look."""
        return any(job.deadline is not None and job.deadline < self.at for job in jobs)


@attrs.define(eq=False)
class Reconciler(Actor[Look]):
    """See the package's text."""

    store: Store
    writer: Writer
    registry: Registry
    directory: Directory
    orders: Orders
    clock: Clock
    owner: str
    """The runtime's id: whose runs are not lost."""

    keeping: Keeping
    sweeps: Sweeps
    alarm: Alarm
    _suspects: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    """Runs of our own that had no actor at the last look, by job."""

    _passed: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    """Versions of jobs that could not be ended, by id."""

    _ending: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    """Versions of jobs whose commands are being stopped, by id."""

    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    """Where commands are stopped: beside the loop that everybody's deadlines are on."""

    async def started(self) -> None:
        """Put back what a dead owner left, before anything new starts."""
        await self._recover()
        await self._expire()

    async def run(self, mailbox: Mailbox[Look]) -> None:
        """Wait for the next deadline, or for the next sweep."""
        self._ending.clear()
        async with trio.open_nursery() as self._nursery:
            await self._keep_looking(mailbox)

    async def _keep_looking(self, mailbox: Mailbox[Look]) -> None:
        retention = RetentionPass(self.store, self._batches, self.keeping, self.sweeps)
        sweep_at = trio.current_time()
        while True:
            if trio.current_time() >= sweep_at:
                await self._recover()
                await self._expire()
                await retention.run(self.clock.now())
                self.sweeps.done += 1
                self.sweeps.last_at = self.clock.now()
                sweep_at = trio.current_time() + SWEEP_EVERY
            elif self.alarm.at <= self.clock.now():
                await self._expire()
            asked = False
            with trio.move_on_at(min(sweep_at, self._ring_at())):
                (await mailbox.receive()).answer()
                asked = True
            if asked:
                await self._set_alarm()

    @property
    def _batches(self) -> Batches:
        return Batches(self.writer, self.clock)

    def _ring_at(self) -> float:
        """Return when the alarm goes off, by trio's clock."""
        return trio.current_time() + max(0.0, self.alarm.at - self.clock.now())

    async def _set_alarm(self) -> None:
        # Before the read: what is committed meanwhile is noted, and looked at next.
        self.alarm.at = math.inf
        if not self._passed and not self._ending:
            deadline = await self.store.next_deadline()
        else:
            # What cannot be ended, or not at once, must not make the alarm ring for ever.
            found = await self.store.overdue(math.inf, 1 + len(self._passed) + len(self._ending))
            deadline = next((job.deadline for job in found if not self._is_left(job)), None)
        if deadline is not None:
            self.alarm.at = deadline

    async def _recover(self) -> None:
        """Put back the runs that nobody runs."""
        # A claim that is durable but not answered yet has no actor yet either.
        await self.writer.flush()
        lost: list[Job] = []
        suspects: dict[str, int] = {}
        after: str | None = None
        while True:
            page = await self.store.find(
                Query(
                    states=states_where(holds_slot=True),
                    newest_first=False,
                    after=after,
                    limit=PAGE_MOST,
                )
            )
            for job in page:
                if job.owner != self.owner:
                    lost.append(job)
                elif job.id not in self.directory:
                    # It may have been claimed a moment ago: lost only if it still is next time.
                    suspects[job.id] = job.run
                    if self._suspects.get(job.id) == job.run:
                        lost.append(job)
            if len(page) < PAGE_MOST:
                break
            after = page[-1].id
        self._suspects = suspects
        done, failed = await self._batches.move(lost, self._interrupt)
        self.sweeps.recovered += done
        self.sweeps.failed += failed

    def _interrupt(self, job: Job) -> Interrupt:
        return Interrupt(
            cause=Cause.LOST,
            reason=f"its owner {job.owner} is gone",
            policy=self.registry.recovery_of(job.type),
        )

    async def _expire(self) -> None:
        """End the jobs that have waited too long, and set the alarm for the next."""
        while True:
            most = BATCH + len(self._passed) + len(self._ending)
            found = await self.store.overdue(self.clock.now(), most)
            page = [job for job in found if not self._is_left(job)]
            if not page:
                break
            # One whose command may run on has to be stopped first.
            kept = {job.id: job for job in page if self.registry.kept_command(job) is not None}
            plain = [job for job in page if job.id not in kept]
            done, failed = await self._batches.move(plain, lambda _: Expire())
            self.sweeps.expired += done
            self.sweeps.failed += failed
            for job in kept.values():
                self._ending[job.id] = job.version
                if self._nursery is not None:
                    self._nursery.start_soon(self._expire_kept, job, name=f"expiring:{job.id}")
            if not done:
                self._passed |= {job.id: job.version for job in plain}
        await self._set_alarm()

    def _is_left(self, job: Job) -> bool:
        """True if it could not be ended, or is being ended."""
        return job.version in (self._ending.get(job.id), self._passed.get(job.id))

    async def _expire_kept(self, job: Job) -> None:
        """Stop the command of a job that has waited too long, and end the job."""
        try:
            await self.orders.give(job.id, Expire())
            self.sweeps.expired += 1
        except (IllegalTransition, JobNotFound, RuntimeClosed) as exc:
            log.debug("job %s need not be ended any more: %s", job.id, exc)
        except TriphaseError as exc:
            log.warning("job %s cannot be ended: %s", job.id, exc)
            self.sweeps.failed += 1
            self._passed[job.id] = job.version
        if self._ending.get(job.id) == job.version:
            del self._ending[job.id]
