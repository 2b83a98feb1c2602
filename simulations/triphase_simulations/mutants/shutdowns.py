"""Mistakes about leaving, and about what is deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from triphase import lifecycle
from triphase.feed import Entry, Feed
from triphase.handlers import Handlers
from triphase.job_actor import JobActor
from triphase.lifecycle.draft import Draft
from triphase.reconciler.batches import Batches
from triphase.reconciler.retention import RetentionPass, _deletion
from triphase.runtime import Runtime, base
from triphase.runtime.changing import Changing
from triphase.scheduler import Scheduler
from triphase.store.backend import Query
from triphase.store.simulated.transaction import Transaction
from triphase.tree import Tree
from triphase_protocol import (
    Delete,
    EventType,
    JobState,
    OnRestart,
)

from .mutant import Mutant, Swap, Swaps


def _store_closed_first() -> Swaps:
    real = Tree.open

    @asynccontextmanager
    async def opened(self: Tree, drain_timeout: float) -> AsyncGenerator[Runtime]:
        async with real(self, drain_timeout) as runtime:
            yield runtime
            await runtime.drain(drain_timeout)
            await self.store.close()

    return [Swap(Tree, "open", opened)]


def _not_put_back() -> Swaps:
    async def stopped(self: JobActor) -> None:
        await self._stop_handler()
        self._forget()

    return [Swap(JobActor, "stopped", stopped)]


def _starts_while_draining() -> Swaps:
    async def start_some(self: Scheduler) -> None:
        draining, self.signals.draining = self.signals.draining, False
        try:
            await real(self)
        finally:
            self.signals.draining = draining

    real = Scheduler._start_some
    return [Swap(Scheduler, "_start_some", start_some)]


def _put_back_running() -> Swaps:
    async def stop_handler(self: JobActor) -> None:
        return

    return [Swap(JobActor, "_stop_handler", stop_handler)]


def _cancelled_by_the_end() -> Swaps:
    real = JobActor.stopped

    async def stopped(self: JobActor) -> None:
        policy = attrs.evolve(self._why.policy, then=OnRestart.FAIL)
        self._why = attrs.evolve(self._why, policy=policy)
        await real(self)

    return [Swap(JobActor, "stopped", stopped)]


def _drain_throws() -> Swaps:
    real = Runtime.drain

    async def drain(self: Runtime, timeout: float | None = None) -> bool:
        done = await real(self, timeout)
        if not done and timeout:
            raise TimeoutError("the jobs that run have not ended in time")
        return done

    return [Swap(Runtime, "drain", drain)]


def _leaves_tasks() -> Swaps:
    """Leaving waits for every handler, however long it takes."""

    def abandon(self: Handlers, handling: Any) -> None:
        return

    async def stop_handler(self: JobActor) -> None:
        handling = self._handling
        if handling is not None and not self._ended:
            handling.ask()
            handling.cancel(self._why.reason)
            await handling.over.wait()

    return [Swap(Handlers, "abandon", abandon), Swap(JobActor, "_stop_handler", stop_handler)]


def _deletes_the_living() -> Swaps:
    real = RetentionPass._delete

    async def delete(self: RetentionPass, state: JobState, before: float) -> None:
        await real(self, state, before)
        if state is JobState.COMPLETED:
            # Old is old: whoever still runs is old too.
            found = await self.store.find(Query(states=(JobState.RUNNING, JobState.QUEUED)))
            old = [job for job in found if job.submitted_at <= before]
            await Batches(self.batches.writer, self.batches.clock).move(
                old, lambda _: Delete(), _deletion
            )

    def delete_any(draft: Draft, _: Delete) -> None:
        draft._note(EventType.JOB_DELETED, None, {})

    return [
        Swap(RetentionPass, "_delete", delete),
        Swap(lifecycle._RULES, Delete, delete_any),
    ]


def _deletes_too_early() -> Swaps:
    real = RetentionPass._delete

    async def delete(self: RetentionPass, state: JobState, before: float) -> None:
        # Counted from now on, not from the end.
        await real(self, state, before + 4.0)

    return [Swap(RetentionPass, "_delete", delete)]


def _deletes_unseen() -> Swaps:
    def put(self: Transaction, job: Any, row: Any, events: Any, hooks: Any = (), n: int = 0) -> Any:
        if row is None:
            return real(self, job, row, (), (), n)
        return real(self, job, row, events, hooks, n)

    def publish(self: Feed, entries: Sequence[Entry]) -> None:
        if entries:
            real_publish(self, entries)

    real, real_publish = Transaction._put, Feed.publish
    return [Swap(Transaction, "_put", put), Swap(Feed, "publish", publish)]


def _gone_is_a_crash() -> Swaps:
    async def missing(store: Any, id: str) -> Exception:
        raise KeyError(id)

    return [Swap(base, "missing", missing)]


def _cancel_that_deletes() -> Swaps:
    """A guard of a deletion that looks at the id alone: a retry in between is deleted with it."""
    real = Transaction._delete

    def delete(self: Transaction, delete: Any) -> Any:
        row = self._contents.rows.get(delete.job)
        if row is not None:
            delete = attrs.evolve(delete, run=row.job.run, version=row.job.version)
        return real(self, delete)

    return [Swap(Transaction, "_delete", delete)]


def _cancel_twice_is_new() -> Swaps:
    real = Changing.cancel

    async def cancel(self: Changing, id: Any, **more: Any) -> Any:
        job = await self.get(id)
        if job.state is JobState.STOPPING:
            # It is being stopped, for whatever reason: good enough.
            return job
        return await real(self, id, **more)

    return [Swap(Changing, "cancel", cancel)]


MUTANTS = (
    Mutant(
        name="store-closed-first",
        says="The store is closed before the jobs that run are put back.",
        shipped="a SQLite job queue: it closed the store under what had to be written",
        oracles=("O11",),
        suites=("shutdown", "restart"),
        swaps=_store_closed_first,
    ),
    Mutant(
        name="not-put-back",
        says="A runtime that leaves does not put its jobs back.",
        shipped="a task manager: a thread stayed `running` when its server had gone",
        oracles=("O11",),
        suites=("shutdown", "restart"),
        swaps=_not_put_back,
    ),
    Mutant(
        name="starts-while-draining",
        says="A runtime that drains starts more jobs.",
        shipped="a task manager: its loops had no stop",
        oracles=("O11",),
        suites=("shutdown", "restart"),
        swaps=_starts_while_draining,
    ),
    Mutant(
        name="put-back-while-it-runs",
        says="A runtime that leaves puts its jobs back, and lets their handlers run on.",
        shipped="a task manager: builds outlived a restart that had freed their leases",
        oracles=("O11", "O7"),
        suites=("shutdown", "restart"),
        swaps=_put_back_running,
    ),
    Mutant(
        name="failed-by-the-shutdown",
        says="A runtime that leaves fails what it has not finished.",
        shipped="River until 2026 (#1290): a shutdown was an error of the job",
        oracles=("O29",),
        suites=("shutdown", "restart"),
        swaps=_cancelled_by_the_end,
    ),
    Mutant(
        name="drain-that-throws",
        says="A drain that times out throws, and the rest of the shutdown is left out.",
        shipped="a SQLite job queue: the timeout threw before listeners and store were closed",
        oracles=("crash",),
        suites=("shutdown",),
        swaps=_drain_throws,
    ),
    Mutant(
        name="shutdown-without-end",
        says="Leaving waits for every handler, however long it takes.",
        shipped="a SQLite job queue: handlers that ignore their signal held the shutdown",
        oracles=("stuck", "O11"),
        suites=("shutdown",),
        swaps=_leaves_tasks,
    ),
    Mutant(
        name="living-jobs-deleted",
        says="Retention deletes what is old, though it runs.",
        shipped="a task manager: pruning by the order of names could delete a running run",
        oracles=("O13",),
        suites=("everything",),
        swaps=_deletes_the_living,
    ),
    Mutant(
        name="deleted-too-early",
        says="Retention deletes jobs before their time.",
        shipped="a coding agent's job runner: a finished dependency was dropped, and waited for",
        oracles=("O13",),
        suites=("everything",),
        swaps=_deletes_too_early,
    ),
    Mutant(
        name="deleted-without-a-word",
        says="A job is deleted, and no event says so.",
        shipped="a coding agent's job runner: who waited for it kept a copy until the timeout",
        oracles=("fold", "O20"),
        suites=("everything",),
        swaps=_deletes_unseen,
    ),
    Mutant(
        name="gone-is-a-crash",
        says="Who asks for a job that was deleted crashes.",
        shipped="a SQLite job queue: the bookkeeping read a deleted job again, and threw",
        oracles=("crash",),
        suites=("everything",),
        swaps=_gone_is_a_crash,
    ),
    Mutant(
        name="delete-by-id",
        says="A deletion does not see that the job was retried a moment ago.",
        shipped="pgqueuer: a stale finish deletes a job that another worker runs",
        oracles=("O13",),
        suites=("retention",),
        swaps=_cancel_that_deletes,
    ),
    Mutant(
        name="cancel-of-a-timeout",
        says="A cancel of a job that is being stopped for a timeout is answered, and lost.",
        shipped="Restate #3656: a cancel while it was backing off had no effect",
        oracles=("O28",),
        suites=("deadlines", "everything"),
        swaps=_cancel_twice_is_new,
    ),
)
