"""Deadlines of jobs that wait, and what becomes of jobs that ended long ago."""

from __future__ import annotations

import pytest

from triphase_protocol import (
    Approve,
    Cause,
    Claim,
    Command,
    CompletePhase,
    Deadline,
    Delete,
    Enqueue,
    Expire,
    FailPhase,
    Gate,
    IllegalTransition,
    Interrupt,
    JobState,
    MarkStale,
    PhaseState,
    Retry,
    RetryJob,
    SnoozePhase,
    StopHow,
    Stopped,
    TimeOut,
    Timeouts,
)

from .log import BOOM, NOW, Log, submit, types


def test_a_job_that_waits_too_long_in_its_queue_fails() -> None:
    log = Log()
    log.do(submit(timeouts=Timeouts(queue=30)))
    assert log.now.deadline == NOW + 30
    with pytest.raises(IllegalTransition, match="no deadline of job j has passed; it is queued"):
        log.do(Expire(), NOW + 29.9)
    assert types(log.do(Expire(), NOW + 30)) == ["phase.cancelled"] * 2 + ["job.failed"]
    assert log.now.error is not None
    assert log.now.error.message == "not started in 30 s after it was queued"
    assert log.now.deadline is None


def test_the_queue_wait_begins_when_the_job_is_due_and_anew_with_each_run() -> None:
    log = Log()
    log.do(submit(due_at=NOW + 100, timeouts=Timeouts(queue=30)))
    assert log.now.deadline is None
    log.do(Enqueue(), NOW + 100)
    assert log.now.deadline == NOW + 130
    log.do(Claim(owner="me"), NOW + 120)
    assert log.now.deadline is None
    log.do(Interrupt(cause=Cause.LOST, reason="gone"), NOW + 500)
    assert log.now.deadline == NOW + 530


def test_the_whole_jobs_time_goes_on_in_backoff_in_the_queue_and_at_a_gate() -> None:
    log = Log()
    log.do(submit(timeouts=Timeouts(job=100), gates={"b": Gate()}))
    assert log.now.deadline is None, "it has not started"
    log.do(Claim(owner="me"), NOW + 10)
    log.do(FailPhase(run=1, error=BOOM, retry=Retry(attempts=2, backoff=9)), NOW + 20)
    assert log.now.state.value == "scheduled"
    assert log.now.deadline == NOW + 110
    log.do(Enqueue(), NOW + 30)
    assert log.now.deadline == NOW + 110
    log.do(Claim(owner="me"), NOW + 40)
    log.do(CompletePhase(run=2, result=1), NOW + 50)
    assert log.now.state.value == "gated"
    assert log.now.deadline == NOW + 110
    decision = log.do(Expire(), NOW + 110)
    assert types(decision) == ["phase.cancelled", "job.failed"]
    assert decision.events[-1].data["error"] == {
        "type": "Timeout",
        "message": "the job has not ended in 100 s after its start",
    }


def test_a_retry_gives_the_job_its_time_again() -> None:
    log = Log()
    log.do(submit(timeouts=Timeouts(job=100)))
    log.do(Claim(owner="me"))
    log.do(FailPhase(run=1, error=BOOM))
    log.do(RetryJob(), NOW + 500)
    assert log.now.deadline is None
    log.do(Claim(owner="me"), NOW + 600)
    log.do(SnoozePhase(run=2, seconds=1), NOW + 610)
    assert log.now.deadline == NOW + 700


def test_the_first_of_several_deadlines_is_the_one_that_ends_it() -> None:
    log = Log()
    log.do(
        submit(gates={"b": Gate(timeout=50)}, timeouts=Timeouts(job=20)),
    )
    log.do(Claim(owner="me"))
    log.do(CompletePhase(run=1, result=1), NOW + 1)
    assert log.now.deadline == NOW + 20
    log.do(Expire(), NOW + 1000)
    assert log.now.state is JobState.FAILED


def test_a_running_job_does_not_expire_its_actor_sees_to_it() -> None:
    log = Log()
    log.do(submit(timeouts=Timeouts(queue=1, run=1, job=1)))
    log.do(Claim(owner="me"))
    with pytest.raises(IllegalTransition, match="no deadline"):
        log.do(Expire(), NOW + 1000)


def test_an_approval_ends_the_wait_for_it() -> None:
    log = Log()
    log.do(submit(gates={"a": Gate(timeout=10)}))
    log.do(Approve(), NOW + 9)
    with pytest.raises(IllegalTransition):
        log.do(Expire(), NOW + 11)


def test_each_cause_has_its_own_budget() -> None:
    log = Log()
    log.running()
    retry = Retry(attempts=2, timeouts=3, backoff=0)
    error = {"error": 0, "timeout": 0}
    for cause in ("timeout", "error", "timeout"):
        run = log.now.run
        if cause == "error":
            log.do(FailPhase(run=run, error=BOOM, retry=retry))
        else:
            log.do(TimeOut(run=run, deadline=Deadline.PHASE, error=BOOM))
            log.do(Stopped(run=run, retry=retry))
        error[cause] += 1
        assert log.now.phases[0].spent == {k: v for k, v in error.items() if v}
        assert log.now.state is JobState.SCHEDULED
        log.do(Enqueue())
        log.do(Claim(owner="me"))
    log.do(TimeOut(run=log.now.run, deadline=Deadline.PROGRESS, error=BOOM))
    log.do(Stopped(run=log.now.run, retry=retry, how=StopHow.KILLED))
    assert log.states() == (JobState.FAILED, [PhaseState.FAILED, PhaseState.CANCELLED])
    assert log.now.stop is not None
    assert (log.now.stop.deadline, log.now.stop.how) == (Deadline.PROGRESS, StopHow.KILLED)


def ended() -> Log:
    log = Log()
    log.running(CompletePhase(run=1, result=1), CompletePhase(run=1, result=2))
    return log


def test_a_job_that_ended_is_marked_once_and_a_retry_takes_the_mark_away() -> None:
    log = ended()
    assert types(log.do(MarkStale(), NOW + 9)) == ["job.stale"]
    assert (log.now.state, log.now.stale_at) == (JobState.COMPLETED, NOW + 9)
    with pytest.raises(IllegalTransition, match="marked as stale already"):
        log.do(MarkStale())
    log.do(RetryJob(from_phase="b"))
    assert log.now.stale_at is None


def test_the_event_of_a_deletion_carries_nothing_but_the_id() -> None:
    decision = ended().do(Delete())
    assert types(decision) == ["job.deleted"]
    assert decision.events[0].data == {}


@pytest.mark.parametrize("command", [MarkStale(), Delete()], ids=["stale", "delete"])
def test_a_job_that_has_not_ended_is_neither_marked_nor_deleted(command: Command) -> None:
    log = Log()
    before = log.running()
    with pytest.raises(IllegalTransition, match="has not ended: it is running"):
        log.do(command)
    assert log.now == before
