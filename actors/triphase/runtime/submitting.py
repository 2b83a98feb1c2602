"""Submitting jobs, and finding them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

import attrs

from triphase.actor import ActorStopped
from triphase.arguments import checked_limit, job_state, names
from triphase.checks import Webhooks
from triphase.errors import RuntimeClosed
from triphase.handle import JobHandle
from triphase.lifecycle import decide
from triphase.store.backend import Query
from triphase.store.operations import Applied, Submit as SubmitOperation
from triphase.submission import check_same, submission
from triphase_protocol import (
    Approval,
    CorruptRecord,
    DefinitionError,
    InvalidValue,
    Job,
    JobState,
    Json,
    Submit,
)

from .base import Base


@attrs.frozen(kw_only=True)
class Page:
    """Some of the jobs that `find` found."""

    jobs: tuple[Job, ...]
    """The jobs, in the order that was asked for."""

    next: str | None
    """Pass this as `after=` for the next page; None if this is the last."""


class Submitting(Base):
    """The verbs that make jobs, and that look for them."""

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
        queue_timeout: float | None = None,
        approval: Approval | bool | None = None,
        webhook: Webhooks | None = None,
    ) -> JobHandle:
        """Accept a job; return once it is durable.

        A checkpoint. When it is cancelled the job was accepted or it was not: submit it again
        with the same *key* to be sure that there is one.

        Args:
          job: an instance of one of the runtime's job types.
          key: an idempotency key, unique in the store. A second submit with the same key, type
            and payload returns the job that is there; its other options are not looked at. The
            handle's `created` says which it was.
          delay: seconds before the job may start.
          at: a time before which it may not start: an aware datetime, or seconds since the
            epoch. One of *delay* and *at*.
          priority: higher starts earlier within a queue.
          queue: another queue than the job type's.
          labels: names and values to find the job by.
          queue_timeout: seconds that it may wait in its queue, instead of the job type's; one
            that waits longer fails.
          approval: True, or an `Approval`: it waits as `gated` until somebody approves it, also
            where its type asks for none.
          webhook: a URL or a `Webhook`, or several: where its events are POSTed, beside where
            those of its type and of the runtime are.

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
            queue_timeout=queue_timeout,
            approval=approval,
            webhook=webhook,
        )
        try:
            parts.keyring.check("webhook", command.webhooks)
        except DefinitionError as exc:
            raise InvalidValue(str(exc)) from exc
        return await self._accept(command, now)

    def make(self, type: str, payload: Json) -> object:
        """Return a job of one of the runtime's job types, by its name and its fields as JSON.

        It is what `submit` takes, for those who have it from somewhere else. Never waits.

        Raises:
          UnknownJobType: if there is no job type of that name.
          InvalidPayload: if a field is missing, unknown, or has the wrong type.
          RuntimeClosed: if the runtime's block has been left.
        """
        return self._open().registry.named(type).instance_of(payload)

    async def _accept(self, command: Submit, now: float) -> JobHandle:
        """Store a new job, unless its key has one."""
        parts = self._open()
        decision = decide(None, command, now)
        operation = SubmitOperation(job=decision.job, events=decision.events)
        try:
            result = await parts.writer.commit(operation)
        except ActorStopped as exc:
            raise RuntimeClosed("the runtime is closed; nothing was submitted") from exc
        if isinstance(result, Applied):
            return attrs.evolve(self._handle(result.job.id), created=True)
        if result.current is None:
            raise CorruptRecord(f"the job that has the key {command.key!r} cannot be read back")
        check_same(result.current, command)
        return self._handle(result.current.id)

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
        """Return a page of the jobs for which every given condition holds. A checkpoint.

        Args:
          states: in one of these states.
          types: of one of these types.
          queues: in one of these queues.
          labels: with at least these labels.
          key: with this idempotency key.
          prefix: with an id that begins so.
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
            prefix=prefix,
            newest_first=newest_first,
            after=after,
            limit=checked_limit(limit),
        )
        jobs = await self._open().store.find(query)
        return Page(jobs=tuple(jobs), next=jobs[-1].id if len(jobs) == limit else None)
