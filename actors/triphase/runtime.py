"""The runtime as a user holds it: submit jobs, look at them, wait for them, follow them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import trio

from triphase_protocol import (
    CorruptRecord,
    EventType,
    InvalidValue,
    Job,
    JobNotFound,
    JobState,
    NotFound,
    Outcome,
    TimedOut,
    WaitTimeout,
    outcome_of,
)

from .actor import ActorStopped
from .clock import Clock
from .directory import Directory
from .entropy import Entropy
from .errors import RuntimeClosed
from .feed import EventStream, Feed, FeedStatistics
from .lifecycle import decide
from .reconciler import ReconcilerStatistics, Sweeps
from .registry import Registry
from .scheduler import SchedulerStatistics, Signals, Tally
from .store.backend import PAGE_MOST, Query, Store
from .store.committer import CommitterStatistics, Counts, Writer
from .store.operations import Applied, Submit as SubmitOperation
from .submission import check_same, submission
from .threads import Threads
from .waiters import Waiters


@attrs.frozen(kw_only=True)
class RuntimeStatistics:
    """A runtime at one moment; cheap to take."""

    owner: str
    """The runtime's own id: the `owner` of the jobs that it runs."""

    active: int
    """Jobs that it runs now."""

    waiting: int
    """Tasks that wait for a job to end."""

    threads: int
    """Threads that run a handler now, abandoned ones included."""

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


@attrs.frozen(kw_only=True, eq=False)
class Parts:
    """What a runtime is made of."""

    owner: str
    store: Store
    writer: Writer
    registry: Registry
    clock: Clock
    entropy: Entropy
    threads: Threads
    directory: Directory
    feed: Feed
    waiters: Waiters
    counts: Counts
    tally: Tally
    sweeps: Sweeps
    signals: Signals


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
        job = await self._open().store.get(_id_of(id))
        if job is None:
            raise JobNotFound(f"there is no job {_id_of(id)!r}")
        return job

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
            states=tuple(_state(state) for state in _names(states)),
            types=_names(types),
            queues=_names(queues),
            labels=labels or {},
            key=key,
            newest_first=newest_first,
            after=after,
            limit=_checked_limit(limit),
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
        job = _id_of(id)
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
            id: TimedOut(job=id) for id in map(_id_of, ids)
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
            after=_checked_after(after),
            job=None if job is None else _id_of(job),
            types=[_event_type(each) for each in _names(types)],
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
            after=_checked_after(after), job=_id_of(id), until_end=True
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
            threads=parts.threads.working,
            committer=parts.counts.statistics(),
            scheduler=parts.tally.statistics(),
            reconciler=parts.sweeps.statistics(),
            feed=parts.feed.statistics(),
        )

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


@attrs.frozen
class JobHandle:
    """One job of a runtime: the runtime's verbs without the id."""

    id: str
    """The job's id."""

    _runtime: Runtime = attrs.field(repr=False, eq=False)

    async def get(self) -> Job:
        """Return the job's record; see `Runtime.get`."""
        return await self._runtime.get(self.id)

    async def wait(self, timeout: float | None = None) -> Outcome:
        """Wait until the job has ended, and return how; see `Runtime.wait`."""
        return await self._runtime.wait(self.id, timeout)

    def events(self, *, after: int = 0) -> EventStream:
        """Return the job's events, from its first one on; ends when the job has ended.

        Args:
          after: begin after the event of this `seq`.
        """
        return self._runtime.events_of(self.id, after=after)


def _state(state: JobState | str) -> JobState:
    try:
        return JobState(state)
    except ValueError:
        known = ", ".join(each.value for each in JobState)
        raise InvalidValue(f"{state!r} is not a job state; there are: {known}") from None


def _event_type(event_type: EventType | str) -> EventType:
    try:
        return EventType(event_type)
    except ValueError:
        raise InvalidValue(f"{event_type!r} is not an event type") from None


def _id_of(job: object) -> str:
    if isinstance(job, JobHandle):
        return job.id
    if isinstance(job, str):
        return job
    raise InvalidValue(f"{job!r} is neither a job's id nor a handle")


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple: a str is one name, not its letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def _checked_after(after: object) -> Any:
    if after is not None and (not isinstance(after, int) or isinstance(after, bool)):
        raise InvalidValue(f"after={after!r}: must be a whole number")
    return after


def _checked_limit(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= PAGE_MOST:
        raise InvalidValue(f"limit={limit!r}: must be from 1 to {PAGE_MOST}")
    return limit
