"""The runtime as a user holds it: submit jobs, look at them, wait for them, follow them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

import attrs
import trio

from triphase_protocol import (
    CancelJob,
    CorruptRecord,
    DefinitionChanged,
    EventType,
    Job,
    JobNotFound,
    JobState,
    NotFound,
    Outcome,
    RetryJob,
    StopCause,
    TimedOut,
    UnknownJobType,
    WaitTimeout,
    outcome_of,
)

from .actor import ActorStopped
from .admission import Blocker, blockers, room
from .arguments import (
    checked_after,
    checked_limit,
    checked_words,
    event_type,
    id_of,
    job_state,
    names,
)
from .errors import RuntimeClosed
from .feed import EventStream, FeedStatistics
from .handle import JobHandle
from .handlers import HandlersStatistics
from .lifecycle import decide
from .parts import Parts
from .reconciler import ReconcilerStatistics
from .scheduler import SchedulerStatistics
from .store.backend import Query
from .store.committer import CommitterStatistics
from .store.operations import Applied, Submit as SubmitOperation
from .submission import check_same, submission


@attrs.frozen(kw_only=True)
class RuntimeStatistics:
    """A runtime at one moment; cheap to take."""

    owner: str
    """The runtime's own id: the `owner` of the jobs that it runs."""

    active: int
    """Jobs that it runs now."""

    waiting: int
    """Tasks that wait for a job to end."""

    handlers: HandlersStatistics

    committer: CommitterStatistics
    scheduler: SchedulerStatistics
    reconciler: ReconcilerStatistics
    feed: FeedStatistics


@attrs.frozen(kw_only=True)
class Page:
    """Some of the jobs that `find` found."""

    jobs: tuple[Job, ...]
    """The jobs, in the order that was asked for."""

    next: str | None
    """Pass this as `after=` for the next page; None if this is the last."""


class Runtime:
    """An open runtime; made by `open_runtime`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __repr__(self) -> str:
        state = "closed" if self._parts.feed.closed else f"{len(self._parts.directory)} active"
        return f"<Runtime {self._parts.owner}: {state}>"

    async def submit(
        self,
        job: object,
        *,
        key: str | None = None,
        delay: float | None = None,
        at: float | datetime.datetime | None = None,
        priority: int = 0,
        queue: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> JobHandle:
        """Accept a job; return once it is durable.

        A checkpoint. When it is cancelled the job was accepted or it was not: submit it again
        with the same *key* to be sure that there is one.

        Args:
          job: an instance of one of the runtime's job types.
          key: an idempotency key, unique in the store. A second submit with the same key, type
            and payload returns the job that is there; its other options are not looked at.
          delay: seconds before the job may start.
          at: a time before which it may not start: an aware datetime, or seconds since the
            epoch. One of *delay* and *at*.
          priority: higher starts earlier within a queue.
          queue: another queue than the job type's.
          labels: names and values to find the job by.

        Raises:
          UnknownJobType: if the job's class is not among the runtime's job types.
          UnknownQueue: if the queue is neither declared nor named by a job type.
          InvalidPayload: if a field has the wrong type.
          InvalidValue: if an option is out of range.
          KeyConflict: if the key belongs to a job with another type or payload.
          StoreUnavailable: if the store refuses; nothing was stored.
          RuntimeClosed: if the runtime's block has been left.
        """
        parts = self._open()
        now = parts.clock.now()
        command = submission(
            parts.registry,
            job,
            id=parts.entropy.id(),
            now=now,
            key=key,
            delay=delay,
            at=at,
            priority=priority,
            queue=queue,
            labels=labels,
        )
        decision = decide(None, command, now)
        operation = SubmitOperation(job=decision.job, events=decision.events)
        try:
            result = await parts.writer.commit(operation)
        except ActorStopped as exc:
            raise RuntimeClosed("the runtime is closed; nothing was submitted") from exc
        if isinstance(result, Applied):
            return JobHandle(result.job.id, self)
        if result.current is None:
            raise CorruptRecord(f"the job that has the key {key!r} cannot be read back")
        check_same(result.current, command)
        return JobHandle(result.current.id, self)

    def handle(self, id: str) -> JobHandle:
        """Return a handle for a job id, without a look whether there is such a job."""
        return JobHandle(id, self)

    async def get(self, id: str | JobHandle) -> Job:
        """Return a job's record. A checkpoint.

        Args:
          id: the whole id, or a handle.

        Raises:
          JobNotFound: if there is no job of that id.
          CorruptRecord: if its row cannot be read back.
          RuntimeClosed: if the runtime's block has been left.
        """
        job = await self._open().store.get(id_of(id))
        if job is None:
            raise JobNotFound(f"there is no job {id_of(id)!r}")
        return job

    async def cancel(
        self, id: str | JobHandle, *, reason: str | None = None, by: str | None = None
    ) -> Job:
        """Cancel a job; return its record once that is durable.

        A job that does not run is `cancelled` at once. A running one is `stopping`: its handler
        is asked to stop, and `cancelled` is committed when it has, or when it is abandoned
        after its phase's `stop_grace`; `wait` tells. A job that is being cancelled already is
        left as it is. A checkpoint.

        Args:
          id: the job's id, or a handle.
          reason: why, for people; kept in the record and the event.
          by: who asks; kept in the record and the event.

        Raises:
          IllegalTransition: if the job has ended; the message says how.
          JobNotFound: if there is no job of that id.
          RuntimeClosed: if the runtime's block has been left.
        """
        job = await self.get(id)
        if job.state is JobState.STOPPING and job.stop and job.stop.cause is StopCause.CANCEL:
            return job
        command = CancelJob(
            reason=checked_words("reason", reason),
            by=checked_words("by", by),
            grace=self._grace_of(job),
        )
        return await self._parts.orders.give(job.id, command)

    async def retry(
        self, id: str | JobHandle, *, from_phase: str | None = None, by: str | None = None
    ) -> Job:
        """Start a job that has ended over; return its record once it is queued again.

        Results of the phases before the one it starts from are kept, byte for byte, and those
        phases are not run again. Attempts and errors of the others are forgotten. A checkpoint.

        Args:
          id: the job's id, or a handle.
          from_phase: the phase to start from; None is the first that has not completed, and the
            first phase's name starts from the beginning. A phase after the first unfinished
            one starts from that.
          by: who asks; kept in the event.

        Raises:
          IllegalTransition: if the job has not ended, or has completed and no phase is named.
          DefinitionChanged: if the job type has other phases now than the job.
          UnknownPhase: if the job has no phase of that name.
          UnknownJobType: if the job's type is not among the runtime's job types.
          JobNotFound: if there is no job of that id.
          RuntimeClosed: if the runtime's block has been left.
        """
        job = await self.get(id)
        changed = self._parts.registry.named(job.type).changed_since(job)
        if changed is not None:
            raise DefinitionChanged(f"job {job.id} cannot be retried: {changed}")
        command = RetryJob(from_phase=from_phase, by=checked_words("by", by))
        return await self._parts.orders.give(job.id, command)

    async def explain(self, id: str | JobHandle) -> tuple[Blocker, ...]:
        """Return what stands in the way of a job's start, as values; nothing if it starts next.

        The answer is the scheduler's own: the function that admits jobs is asked about this one.
        A checkpoint.

        Args:
          id: the job's id, or a handle.

        Raises:
          JobNotFound: if there is no job of that id.
          RuntimeClosed: if the runtime's block has been left.
        """
        parts = self._open()
        job = await self.get(id)
        holders = await parts.store.slots()
        queues, limit = parts.registry.queues, parts.limit
        ahead: list[Job] = []
        for queue, most in room(queues=queues, limit=limit, holders=holders).items():
            ahead += await parts.store.queued(queue, parts.registry.names, most)
        return blockers(
            job,
            ahead,
            types=parts.registry.names,
            queues=queues,
            limit=limit,
            holders=holders,
            now=parts.clock.now(),
            draining=parts.signals.draining,
        )

    async def find(
        self,
        *,
        states: JobState | str | Iterable[JobState | str] = (),
        types: str | Iterable[str] = (),
        queues: str | Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        key: str | None = None,
        newest_first: bool = True,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return a page of the jobs for which every given condition holds. A checkpoint.

        Args:
          states: in one of these states.
          types: of one of these types.
          queues: in one of these queues.
          labels: with at least these labels.
          key: with this idempotency key.
          newest_first: the order: last submitted first, or first submitted first.
          after: the `next` of the page before.
          limit: the most jobs on a page, from 1 to 1000.

        Raises:
          InvalidValue: if a state or the limit is not valid.
          JobNotFound: if there is no job of the id *after*.
          RuntimeClosed: if the runtime's block has been left.
        """
        query = Query(
            states=tuple(job_state(state) for state in names(states)),
            types=names(types),
            queues=names(queues),
            labels=labels or {},
            key=key,
            newest_first=newest_first,
            after=after,
            limit=checked_limit(limit),
        )
        jobs = await self._open().store.find(query)
        return Page(jobs=tuple(jobs), next=jobs[-1].id if len(jobs) == limit else None)

    async def wait(self, id: str | JobHandle, timeout: float | None = None) -> Outcome:
        """Wait until a job has ended, and return how.

        Returns at once if it has ended already. Nobody polls: the commit that ends the job
        wakes who waits. A checkpoint; cancelling the wait does nothing to the job.

        Args:
          id: the job's id.
          timeout: seconds; None waits as long as it takes.

        Raises:
          WaitTimeout: if the job has not ended in that time. It goes on.
          JobNotFound: if there is no job of that id.
          RuntimeClosed: if the runtime closes before the job has ended.
        """
        job = id_of(id)
        if timeout is None:
            return await self._wait(job)
        with trio.move_on_after(timeout):
            return await self._wait(job)
        raise WaitTimeout(f"job {job} has not ended in {timeout:g} s")

    async def wait_all(
        self, ids: Iterable[str | JobHandle], timeout: float | None = None
    ) -> dict[str, Outcome | TimedOut | NotFound]:
        """Wait until all of several jobs have ended.

        A checkpoint. An id that does not exist and a job that does not end in time are values
        in the answer, so that one of them does not hide how the others ended.

        Args:
          ids: the jobs' ids.
          timeout: seconds for all of them together; None waits as long as it takes.

        Returns:
          One value for each id, in the order of *ids*.

        Raises:
          RuntimeClosed: if the runtime closes before that.
        """
        answers: dict[str, Outcome | TimedOut | NotFound] = {
            id: TimedOut(job=id) for id in map(id_of, ids)
        }
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            # One after the other costs no time: each wait that is over returns at once.
            for id in answers:
                try:
                    answers[id] = await self._wait(id)
                except JobNotFound:
                    answers[id] = NotFound(job=id)
            return answers
        for id, answer in answers.items():
            if isinstance(answer, TimedOut):
                answers[id] = await self._look(id)
        return answers

    def events(
        self,
        *,
        after: int | None = None,
        job: str | JobHandle | None = None,
        types: EventType | str | Iterable[EventType | str] = (),
    ) -> EventStream:
        """Return the committed events as an async iterator, from the log and then live.

        It costs nothing to leave it, and it ends when the runtime closes. Every event comes
        once, in the order of `seq`, and only when it is durable.

        Args:
          after: the `seq` of the last event you have: 0 begins with the first of the log. None
            begins with the next that is committed after this call.
          job: only events of this job.
          types: only events of these types.

        Raises:
          InvalidValue: if *after* is not in the log, or a type is not one.
          RuntimeClosed: if the runtime's block has been left.
        """
        return self._open().feed.subscribe(
            after=checked_after(after),
            job=None if job is None else id_of(job),
            types=[event_type(each) for each in names(types)],
        )

    def events_of(self, id: str | JobHandle, *, after: int = 0) -> EventStream:
        """Return one job's events from its first one on; they end when the job has ended.

        Args:
          id: the job's id.
          after: begin after the event of this `seq`.

        Raises:
          InvalidValue: if *after* is not in the log.
          RuntimeClosed: if the runtime's block has been left.
        """
        return self._open().feed.subscribe(
            after=checked_after(after), job=id_of(id), until_end=True
        )

    async def drain(self, timeout: float | None = None) -> bool:
        """Start no more jobs, and wait until those that run have ended.

        Jobs can still be submitted; they wait for the next runtime on this store. There is no
        way back: close the runtime and open another. A checkpoint.

        Args:
          timeout: seconds; None waits as long as it takes.

        Returns:
          True if nothing runs any more, False if the timeout passed before.
        """
        self._parts.signals.draining = True
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            await self._parts.writer.flush()
            await self._parts.directory.wait_idle()
            return True
        return False

    def statistics(self) -> RuntimeStatistics:
        """Return what the runtime does now. Cheap; also after the runtime has closed."""
        parts = self._parts
        return RuntimeStatistics(
            owner=parts.owner,
            active=len(parts.directory),
            waiting=len(parts.waiters),
            handlers=parts.handlers.statistics(),
            committer=parts.counts.statistics(),
            scheduler=parts.tally.statistics(),
            reconciler=parts.sweeps.statistics(),
            feed=parts.feed.statistics(),
        )

    def _grace_of(self, job: Job) -> float:
        """Return the stop grace of the phase that may run; 0 if nobody knows."""
        try:
            return self._parts.registry.named(job.type).phases[job.current or 0].stop_grace
        except (UnknownJobType, IndexError):
            return 0.0

    async def _wait(self, id: str) -> Outcome:
        waiters = self._open().waiters
        wait = waiters.enter(id)
        try:
            outcome = outcome_of(await self.get(id))
            if outcome is None:
                await wait.woken.wait()
                outcome = None if wait.job is None else outcome_of(wait.job)
        finally:
            waiters.leave(id, wait)
        if outcome is None:
            raise RuntimeClosed(f"the runtime closed before job {id} ended")
        return outcome

    async def _look(self, id: str) -> Outcome | TimedOut | NotFound:
        try:
            return outcome_of(await self.get(id)) or TimedOut(job=id)
        except JobNotFound:
            return NotFound(job=id)

    def _open(self) -> Parts:
        if self._parts.feed.closed:
            raise RuntimeClosed("the runtime's block has been left")
        return self._parts
