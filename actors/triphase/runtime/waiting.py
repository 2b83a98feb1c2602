"""Waiting for jobs to end, and following what happens to them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable

import trio

from triphase.arguments import checked_after, checked_timeout, event_type, id_of, names
from triphase.errors import RuntimeClosed
from triphase.feed import EventStream
from triphase.handle import JobHandle
from triphase.waiters import Wait
from triphase_protocol import (
    EventType,
    JobNotFound,
    NotFound,
    Outcome,
    TimedOut,
    WaitTimeout,
    outcome_of,
)

from .base import Base


class Waiting(Base):
    """The verbs that wait: nobody polls."""

    async def wait(self, id: str | JobHandle, timeout: float | None = None) -> Outcome:
        """Wait until a job has ended, and return how.

        Returns at once if it has ended already. Nobody polls: the commit that ends the job
        wakes who waits. A checkpoint; cancelling the wait does nothing to the job.

        Args:
          id: the job's id.
          timeout: seconds; None waits as long as it takes.

        Raises:
          WaitTimeout: if the job has not ended in that time. It goes on.
          InvalidValue: if the timeout is not a finite number from 0.
          JobNotFound: if there is no job of that id.
          RuntimeClosed: if the runtime closes before the job has ended.
        """
        job, timeout = id_of(id), checked_timeout(timeout)
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
          InvalidValue: if the timeout is not a finite number from 0.
          RuntimeClosed: if the runtime closes before that.
        """
        timeout = checked_timeout(timeout)
        answers: dict[str, Outcome | TimedOut | NotFound] = {
            id: TimedOut(job=id) for id in map(id_of, ids)
        }
        with (
            trio.move_on_after(float("inf") if timeout is None else timeout),
            contextlib.ExitStack() as stack,
        ):
            waits = {id: stack.enter_context(self._waiting(id)) for id in answers}
            # One after the other costs no time: each wait that is over returns at once.
            for id, wait in waits.items():
                try:
                    answers[id] = await self._ended(id, wait)
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

    async def _wait(self, id: str) -> Outcome:
        with self._waiting(id) as wait:
            return await self._ended(id, wait)

    @contextlib.contextmanager
    def _waiting(self, id: str) -> Generator[Wait]:
        """Hear of a job's end from here on, even if its record is deleted meanwhile."""
        waiters = self._open().waiters
        wait = waiters.enter(id)
        try:
            yield wait
        finally:
            waiters.leave(id, wait)

    async def _ended(self, id: str, wait: Wait) -> Outcome:
        """Return how a job has ended, once it has."""
        outcome = None
        if wait.job is None:
            try:
                outcome = outcome_of(await self.get(id))
            except JobNotFound:
                # It may have ended, and been deleted, as this was read.
                if wait.job is None:
                    raise
        if outcome is None:
            await wait.woken.wait()
            outcome = None if wait.job is None else outcome_of(wait.job)
        if outcome is None:
            raise RuntimeClosed(f"the runtime closed before job {id} ended")
        return outcome

    async def _look(self, id: str) -> Outcome | TimedOut | NotFound:
        try:
            return outcome_of(await self.get(id)) or TimedOut(job=id)
        except JobNotFound:
            return NotFound(job=id)
