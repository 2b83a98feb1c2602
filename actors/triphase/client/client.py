"""The client: the runtime's verbs, over a connection to a gateway."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from triphase.arguments import (
    checked_place,
    checked_timeout,
    event_type,
    hook_state,
    id_of,
    job_state,
    names,
)
from triphase.checks import Webhooks
from triphase.definition import definition_of
from triphase.handle import JobHandle
from triphase.runtime import Page
from triphase.submission import given_webhooks
from triphase_protocol import (
    Approval,
    Blocker,
    EventType,
    Gate,
    Hook,
    HookState,
    InvalidPayload,
    InvalidValue,
    Job,
    JobState,
    Json,
    NotFound,
    Outcome,
    Queue,
    QueueState,
    TimedOut,
    WaitTimeout,
    storable,
    structure,
)
from triphase_protocol.wire import (
    Approve,
    Cancel,
    Explain,
    Find,
    FindHooks,
    Found,
    FoundHooks,
    Get,
    GetHook,
    Got,
    ListQueues,
    Pause,
    Redeliver,
    Reject,
    Resume,
    Retry,
    SetLimit,
    Statistics,
    Submit,
    Submitted,
    Topic,
    Wait,
    WaitAll,
    Waited,
    WaitedAll,
    cursor_of,
)

from .events import ClientEvents
from .session import Session


class Client:
    """A client of a gateway; made by `connect`. Its verbs are those of `Runtime`.

    Every verb is a checkpoint, and waits while the connection is away. What only reads or waits is
    asked again on the next connection, and so is a submit with a key; another verb raises
    `ConnectionLost` if the connection is lost before its answer has come.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<Client: {self._session.connections} connections so far>"

    @property
    def epoch(self) -> str | None:
        """The id of the gateway's log: the numbers of another log mean nothing in it."""
        return self._session.epoch

    def handle(self, id: str) -> JobHandle:
        """Return a handle for a job id, without a look whether there is such a job."""
        return JobHandle(id, self)

    async def submit(
        self,
        job: object,
        payload: Mapping[str, Json] | None = None,
        *,
        key: str | None = None,
        delay: float | None = None,
        at: float | datetime.datetime | None = None,
        priority: int = 0,
        queue: str | None = None,
        labels: Mapping[str, str] | None = None,
        queue_timeout: float | None = None,
        approval: Approval | bool | None = None,
        webhook: Webhooks | None = None,
    ) -> JobHandle:
        """Submit a job; return once it is durable. See `Runtime.submit`.

        Args:
          job: an instance of a job type, or the name of one.
          payload: the job's fields, if *job* is a name.
          key: an idempotency key. With one, a lost connection is no reason to ask who has it: it is
            submitted again, and then the handle's `created` says nothing of the first time.
          delay: see `Runtime.submit`, here and below.
          at: a time before which it may not start.
          priority: higher starts earlier within a queue.
          queue: another queue than the job type's.
          labels: names and values to find the job by.
          queue_timeout: seconds that it may wait in its queue.
          approval: it waits until somebody approves it.
          webhook: where its events are POSTed.

        Raises:
          TriphaseError: as `Runtime.submit` does, and `ConnectionLost`.
        """
        name, fields = _named(job, payload)
        timeout = approval.timeout if isinstance(approval, Approval) else None
        webhooks = given_webhooks(webhook)
        result = await self._session.ask(
            lambda n: Submit(
                id=n,
                job=name,
                payload=fields,
                key=key,
                delay=delay,
                at=_seconds(at),
                priority=priority,
                queue=queue,
                labels=dict(labels or {}),
                queue_timeout=queue_timeout,
                approval=bool(approval),
                approval_timeout=timeout,
                webhooks=webhooks,
            )
        )
        submitted = structure(result, Submitted, lenient=True)
        return JobHandle(submitted.job, self, created=submitted.created)

    async def get(self, id: str | JobHandle) -> Job:
        """Return a job's record; see `Runtime.get`."""
        result = await self._session.ask(lambda n: Get(id=n, job=id_of(id)))
        return structure(result, Got, lenient=True).job

    async def find(
        self,
        *,
        states: JobState | str | Iterable[JobState | str] = (),
        types: str | Iterable[str] = (),
        queues: str | Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        key: str | None = None,
        prefix: str = "",
        newest_first: bool = True,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return a page of jobs; see `Runtime.find`.

        It may have fewer than *limit* if their records are large; `Page.next` tells.
        """
        request = Find(
            id="",
            states=tuple(job_state(state) for state in names(states)),
            types=names(types),
            queues=names(queues),
            labels=dict(labels or {}),
            key=key,
            prefix=prefix,
            newest_first=newest_first,
            after=after,
            limit=limit,
        )
        result = await self._session.ask(lambda n: attrs.evolve(request, id=n))
        found = structure(result, Found, lenient=True)
        return Page(jobs=found.jobs, next=found.next)

    async def wait(self, id: str | JobHandle, timeout: float | None = None) -> Outcome:
        """Wait until a job has ended; see `Runtime.wait`. Nobody polls."""
        timeout = checked_timeout(timeout)
        result = await self._session.ask(
            lambda n: Wait(id=n, job=id_of(id), timeout=timeout), timeout=timeout
        )
        outcome = structure(result, Waited, lenient=True).outcome
        if isinstance(outcome, TimedOut):
            raise WaitTimeout(f"job {id_of(id)} has not ended in {timeout:g} s")
        return outcome

    async def wait_all(
        self, ids: Iterable[str | JobHandle], timeout: float | None = None
    ) -> dict[str, Outcome | TimedOut | NotFound]:
        """Wait until all of several jobs have ended; see `Runtime.wait_all`.

        If the connection is away as the timeout passes, all of them are `TimedOut`: nobody has
        said that they ended.
        """
        jobs, timeout = tuple(map(id_of, ids)), checked_timeout(timeout)
        try:
            result = await self._session.ask(
                lambda n: WaitAll(id=n, jobs=jobs, timeout=timeout), timeout=timeout
            )
        except WaitTimeout:
            return {job: TimedOut(job=job) for job in jobs}
        return dict(structure(result, WaitedAll, lenient=True).outcomes)

    async def cancel(
        self, id: str | JobHandle, *, reason: str | None = None, by: str | None = None
    ) -> Job:
        """Cancel a job; see `Runtime.cancel`. Who asks is whom the token names, not *by*."""
        result = await self._session.ask(lambda n: Cancel(id=n, job=id_of(id), reason=reason))
        return structure(result, Job, lenient=True)

    async def retry(
        self, id: str | JobHandle, *, from_phase: str | None = None, by: str | None = None
    ) -> Job:
        """Start a job that has ended over; see `Runtime.retry`."""
        result = await self._session.ask(
            lambda n: Retry(id=n, job=id_of(id), from_phase=from_phase)
        )
        return structure(result, Job, lenient=True)

    async def approve(
        self,
        id: str | JobHandle,
        *,
        phase: str | None = None,
        asked_in: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Gate:
        """Approve a job that waits for it; see `Runtime.approve`."""
        result = await self._session.ask(
            lambda n: Approve(id=n, job=id_of(id), phase=phase, asked_in=asked_in, reason=reason)
        )
        return structure(result, Gate, lenient=True)

    async def reject(
        self,
        id: str | JobHandle,
        *,
        phase: str | None = None,
        asked_in: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Gate:
        """Reject a job that waits for approval; see `Runtime.reject`."""
        result = await self._session.ask(
            lambda n: Reject(id=n, job=id_of(id), phase=phase, asked_in=asked_in, reason=reason)
        )
        return structure(result, Gate, lenient=True)

    async def explain(self, id: str | JobHandle) -> tuple[Blocker, ...]:
        """Return what stands in the way of a job's start; see `Runtime.explain`."""
        result = await self._session.ask(lambda n: Explain(id=n, job=id_of(id)))
        found: tuple[Blocker, ...] = structure(result, tuple[Blocker, ...], lenient=True)
        return found

    async def queues(self) -> Mapping[str, Queue]:
        """Return the queues by name, as they are now."""
        result = await self._session.ask(lambda n: ListQueues(id=n))
        found: Mapping[str, Queue] = structure(result, Mapping[str, Queue], lenient=True)
        return found

    async def queue_states(self) -> Mapping[str, QueueState]:
        """Return the queues by name, with how many jobs they have; see `Runtime.queue_states`."""
        result = await self._session.ask(lambda n: ListQueues(id=n))
        found: Mapping[str, QueueState] = structure(result, Mapping[str, QueueState], lenient=True)
        return found

    async def pause(self, queue: str) -> None:
        """Start none of a queue's jobs, until `resume`; see `Runtime.pause`."""
        await self._session.ask(lambda n: Pause(id=n, queue=queue))

    async def resume(self, queue: str) -> None:
        """Start a queue's jobs again; see `Runtime.resume`."""
        await self._session.ask(lambda n: Resume(id=n, queue=queue))

    async def set_limit(self, queue: str, limit: int | None) -> None:
        """Set how many of a queue's jobs may hold a slot at once; see `Runtime.set_limit`."""
        await self._session.ask(lambda n: SetLimit(id=n, queue=queue, limit=limit))

    async def hook(self, id: str) -> Hook:
        """Return a delivery of a webhook, with what is sent; see `Runtime.hook`."""
        result = await self._session.ask(lambda n: GetHook(id=n, hook=id))
        return structure(result, Hook, lenient=True)

    async def hooks(
        self,
        *,
        job: str | JobHandle | None = None,
        states: HookState | str | Iterable[HookState | str] = (),
        after: tuple[int, str] | None = None,
        limit: int = 50,
    ) -> list[Hook]:
        """Return deliveries of webhooks, without what is sent; see `Runtime.hooks`."""
        place = checked_place(after)
        request = FindHooks(
            id="",
            job=None if job is None else id_of(job),
            states=tuple(hook_state(state) for state in names(states)),
            after=None if place is None else cursor_of(place),
            limit=limit,
        )
        result = await self._session.ask(lambda n: attrs.evolve(request, id=n))
        return list(structure(result, FoundHooks, lenient=True).hooks)

    async def redeliver(self, id: str) -> Hook:
        """Have a delivery tried now; see `Runtime.redeliver`."""
        result = await self._session.ask(lambda n: Redeliver(id=n, hook=id))
        return structure(result, Hook, lenient=True)

    async def statistics(self) -> dict[str, Any]:
        """Return what the runtime does now, as JSON; see `RuntimeStatistics`."""
        result: dict[str, Any] = await self._session.ask(lambda n: Statistics(id=n))
        return result

    def events(
        self,
        *,
        after: int | None = None,
        job: str | JobHandle | None = None,
        types: EventType | str | Iterable[EventType | str] = (),
        job_types: str | Iterable[str] = (),
        queues: str | Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
    ) -> ClientEvents:
        """Return the committed events as an async iterator, from the log and then live.

        Args:
          after: the `seq` of the last event you have: 0 begins with the first of the log. None
            begins with what comes.
          job: only events of this job.
          types: only events of these types.
          job_types: only events of jobs of these types.
          queues: only events of jobs of these queues.
          labels: only events of jobs with all of these.

        Raises:
          InvalidValue: if a type is not one, or *job* is given with a condition about jobs.
        """
        topic = Topic(
            job=None if job is None else id_of(job),
            events=frozenset(event_type(each) for each in names(types)),
            types=frozenset(names(job_types)),
            queues=frozenset(names(queues)),
            labels=frozenset((labels or {}).items()),
        )
        if topic.job is not None and topic.about_jobs:
            raise InvalidValue("job= says which job: no job_types, queues or labels")
        return ClientEvents(self._session, topic, after)

    def events_of(self, id: str | JobHandle, *, after: int = 0) -> ClientEvents:
        """Return one job's events from its first one on; they end when the job has ended."""
        return ClientEvents(self._session, Topic(job=id_of(id)), after, until_end=True)


def _named(job: object, payload: Mapping[str, Json] | None) -> tuple[str, Json]:
    if isinstance(job, str):
        fields = dict(payload or {})
        storable(fields, what=f"payload of {job}", error=InvalidPayload)
        return job, fields
    if payload is not None:
        raise InvalidValue("payload: only with the name of a job type; a job has its own fields")
    definition = definition_of(type(job))
    return definition.name, definition.payload_of(job)


def _seconds(at: float | datetime.datetime | None) -> float | None:
    if isinstance(at, datetime.datetime):
        if at.tzinfo is None:
            raise InvalidValue(f"at={at!r}: a datetime needs a time zone")
        return at.timestamp()
    return at
