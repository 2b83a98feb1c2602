"""Two who decide about one job from the same reading: the first counts, the second does nothing.

Rows 1, 2, 4, 14 and 19 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from tests.actors.sample_jobs import Reopen

import triphase
from triphase.actor import open_supervisor
from triphase.journal import Journal, claim, step
from triphase.lifecycle import Decision, decide
from triphase.store import Applied, Delete as DeleteOperation, Limits, Rejected, Store, Why
from triphase.store.committer import Committer, Writer
from triphase.store.operations import JobOperation, Submit as SubmitOperation
from triphase_protocol import (
    STATES,
    TERMINAL_EVENTS,
    Approve,
    CancelJob,
    CancelPhase,
    Cause,
    Claim,
    Command,
    CompletePhase,
    Deadline,
    Delete,
    Enqueue,
    ErrorRecord,
    Event,
    Expire,
    FailJob,
    FailPhase,
    Gate,
    IllegalTransition,
    Interrupt,
    Job,
    JobState,
    MarkStale,
    OnRestart,
    Recovery,
    Reject,
    RetryJob,
    SnoozePhase,
    Stopped,
    Submit,
    TimeOut,
    Timeouts,
)

NO = ErrorRecord(type="ValueError", message="no")

WAYS: dict[JobState, tuple[Command, ...]] = {
    JobState.SCHEDULED: (Claim(owner="me"), SnoozePhase(run=1, seconds=1000)),
    JobState.GATED: (),
    JobState.QUEUED: (),
    JobState.RUNNING: (Claim(owner="me"),),
    JobState.STOPPING: (Claim(owner="me"), CancelJob(grace=1000)),
    JobState.COMPLETED: (Claim(owner="me"), CompletePhase(run=1, result=1)),
    JobState.FAILED: (Claim(owner="me"), FailPhase(run=1, error=NO)),
    JobState.CANCELLED: (CancelJob(),),
    JobState.REJECTED: (Reject(),),
    JobState.INTERRUPTED: (
        Claim(owner="me"),
        Interrupt(cause=Cause.LOST, reason="gone", policy=Recovery(OnRestart.HOLD)),
    ),
}
"""How a job comes to each state, from its submit on."""


def commands(job: Job) -> list[Command]:
    """Return everything that somebody may want of a job, each with the run that it has now."""
    run = job.run
    return [
        Approve(by="alice"),
        Reject(by="bob"),
        Expire(),
        Enqueue(),
        Claim(owner="other"),
        CompletePhase(run=run, result=2),
        FailPhase(run=run, error=NO),
        SnoozePhase(run=run, seconds=5),
        CancelPhase(run=run, reason="by its handler"),
        FailJob(error=NO),
        CancelJob(reason="by somebody"),
        TimeOut(run=run, deadline=Deadline.JOB, error=NO),
        Stopped(run=run),
        Interrupt(cause=Cause.LOST, reason="its owner is gone"),
        Interrupt(cause=Cause.LOST, reason="gone", policy=Recovery(OnRestart.HOLD)),
        RetryJob(from_phase="only"),
        MarkStale(),
        Delete(),
    ]


def operation(job: Job, command: Command, decision: Decision) -> JobOperation:
    """Return what is written for a decision."""
    if isinstance(command, Delete):
        return DeleteOperation(job=job.id, run=job.run, version=job.version, events=decision.events)
    if isinstance(command, Claim):
        return claim(job, decision, Limits(total=10**6, queue=10**6))
    return step(job, decision)


class Table:
    """A store with its one writer, and what that has published."""

    def __init__(self, store: Store, writer: Writer, published: list[Event]) -> None:
        self.store = store
        self.writer = writer
        self.published = published
        self.clock = triphase.TrioClock()
        self.count = 0

    async def job_in(self, state: JobState) -> Job:
        """Make a job that has come to a state; its deadlines have passed if it waits."""
        self.count += 1
        gates = {"only": Gate(timeout=0.0)} if state in (JobState.GATED, JobState.REJECTED) else {}
        command = Submit(
            id=f"job{self.count}",
            type="T",
            phases=("only",),
            payload={},
            digest="",
            queue="q",
            gates=gates,
            timeouts=Timeouts(queue=0.0),
        )
        decision = decide(None, command, self.clock.now())
        operation = SubmitOperation(job=decision.job, events=decision.events)
        result = await self.writer.commit(operation)
        assert isinstance(result, Applied)
        job, journal = result.job, Journal(self.writer, self.clock)
        for each in WAYS[state]:
            moved = await journal.move(job, each)
            assert not isinstance(moved, Rejected)
            job = moved.job
        assert job.state is state
        self.published.clear()
        return job

    def decided(self, job: Job) -> list[tuple[Command, JobOperation]]:
        """Return every operation that could be decided on this reading of a job."""
        found: list[tuple[Command, JobOperation]] = []
        for command in commands(job):
            try:
                decision = decide(job, command, self.clock.now() + 0.5)
            except IllegalTransition:
                continue
            found.append((command, operation(job, command, decision)))
        return found

    async def check(self, job: Job, pair: Sequence[tuple[Command, JobOperation]]) -> bool:
        """Check what the store holds after two were written; was it the end of a run?"""
        [(first, _), (second, _)] = pair
        words = f"{job.state}: {type(first).__name__}, then {type(second).__name__}"
        stored = [event for event in self.published if event.job == job.id]
        assert [event.version for event in stored] == list(
            range(job.version + 1, job.version + len(stored) + 1)
        ), words
        record = await self.store.get(job.id)
        if isinstance(first, Delete):
            assert record is None, words
        else:
            assert record is not None
            assert record.version == stored[-1].version, words
        ends = [event for event in stored if event.type in TERMINAL_EVENTS]
        assert len(ends) <= 1, words
        return bool(ends)


@pytest.mark.parametrize("together", [True, False], ids=["one transaction", "two"])
@pytest.mark.parametrize("state", WAYS, ids=str)
async def test_of_two_who_decide_from_one_reading_the_first_counts_and_the_second_does_nothing(
    state: JobState, together: bool, reopen: Reopen
) -> None:
    published: list[Event] = []

    def publish(applied: Sequence[Applied]) -> None:
        published.extend(event for each in applied for event in each.events)

    store, ends = reopen(), 0
    await store.open()
    async with open_supervisor() as supervisor:
        committer = await supervisor.start(lambda: Committer(store, publish), name="committer")
        table = Table(store, Writer(committer), published)
        many = len(table.decided(await table.job_in(state)))
        assert many >= 3
        for first, second in itertools.product(range(many), repeat=2):
            job = await table.job_in(state)
            decided = table.decided(job)
            pair = [decided[first], decided[second]]
            operations = [each for _, each in pair]
            if together:
                results = await table.writer.commit_all(operations)
            else:
                results = [await table.writer.commit(each) for each in operations]
            assert isinstance(results[0], Applied)
            assert list(results[0].events) == published
            assert isinstance(results[1], Rejected)
            gone = isinstance(pair[0][0], Delete)
            assert results[1].why is (Why.GONE if gone else Why.STALE)
            ends += await table.check(job, pair)
    await store.close()
    # Among them were ends: the pairs that matter most.
    assert (ends > 0) is not STATES[state].terminal


def test_every_state_of_this_version_is_among_them() -> None:
    assert set(JobState) - set(WAYS) == {JobState.DETACHED}
