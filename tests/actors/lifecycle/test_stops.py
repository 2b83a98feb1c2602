"""Stopping step by step, executions, and phases that are no longer what they were."""

from __future__ import annotations

import pytest

from triphase.lifecycle import StopPhase
from triphase_protocol import (
    CancelJob,
    Cause,
    Claim,
    CompletePhase,
    Deadline,
    FailPhase,
    Gate,
    IllegalTransition,
    Interrupt,
    JobState,
    PhaseRecord,
    PhaseState,
    RetryJob,
    StopCause,
    StopHarder,
    StopHow,
    Stopped,
    StopStep,
    TimeOut,
    Translate,
)

from .log import BOOM, NOW, Log, types


def test_a_handler_is_asked_then_cancelled_then_given_up_and_each_is_an_event() -> None:
    log = Log()
    log.running()
    decision = log.do(CancelJob(ask_grace=5, grace=10, by="alice"))
    assert types(decision) == ["job.stopping"]
    assert decision.effects == (StopPhase(),)
    data = decision.events[0].data
    assert (data["step"], data["cancel_at"], data["grace_until"]) == ("ask", NOW + 5, NOW + 15)
    decision = log.do(StopHarder(run=1), NOW + 5)
    assert decision.effects == (StopPhase(),)
    assert (types(decision), decision.events[0].data["step"]) == (["job.stopping"], "cancel")
    decision = log.do(Stopped(run=1, how=StopHow.ABANDONED), NOW + 15)
    assert types(decision)[-1] == "job.cancelled"
    assert decision.events[-1].data == {"how": "abandoned", "by": "alice", "seconds": 15.0}
    assert log.now.stop is not None
    assert (log.now.stop.step, log.now.stop.how) == (StopStep.CANCEL, StopHow.ABANDONED)


def test_a_handler_with_no_time_to_stop_by_itself_is_cancelled_at_once() -> None:
    log = Log()
    log.running()
    assert log.do(CancelJob(grace=10)).events[0].data["step"] == "cancel"
    with pytest.raises(IllegalTransition, match="is being cancelled already"):
        log.do(StopHarder(run=1))


def test_a_second_reason_to_stop_gives_no_second_grace_and_no_way_back() -> None:
    log = Log()
    log.running()
    log.do(TimeOut(run=1, deadline=Deadline.PHASE, error=BOOM, ask_grace=2, grace=3))
    log.do(StopHarder(run=1), NOW + 2)
    log.do(CancelJob(ask_grace=2, grace=3), NOW + 4)
    stop = log.now.stop
    assert stop is not None
    assert (stop.cause, stop.step) == (StopCause.CANCEL, StopStep.CANCEL)
    assert (stop.cancel_at, stop.grace_until) == (NOW + 2, NOW + 5)


def test_a_clock_that_was_set_back_makes_no_negative_times() -> None:
    log = Log()
    log.running()
    log.do(CancelJob(grace=1), NOW)
    assert log.do(Stopped(run=1), NOW - 100).events[-1].data["seconds"] == 0.0


def test_a_try_that_resumes_an_interrupted_one_goes_on_with_its_execution() -> None:
    log = Log()
    log.running(CompletePhase(run=1, result=1))
    assert log.now.phases[1].origin == 1
    for cause in (Cause.LOST, Cause.SHUTDOWN):
        log.do(Interrupt(cause=cause, reason="gone"))
        log.do(Claim(owner="me"))
    assert (log.now.run, log.now.phases[1].origin) == (3, 1)
    log.do(FailPhase(run=3, error=BOOM))
    log.do(RetryJob())
    log.do(Claim(owner="me"))
    assert log.now.phases[1].origin == log.now.run == 4


NEWER = Translate(
    phases=(
        PhaseRecord(name="x", state=PhaseState.COMPLETED, result="made of a", version=2),
        PhaseRecord(name="y"),
        PhaseRecord(name="z"),
    )
)


def test_a_retry_may_give_a_job_the_phases_of_another_definition() -> None:
    log = Log()
    log.running(CompletePhase(run=1, result=1), FailPhase(run=1, error=BOOM))
    decision = log.do(RetryJob(translate=NEWER))
    assert decision.events[0].data == {
        "from": "y",
        "phases": ["y", "z"],
        "by": None,
        "layout": {"x": "completed", "y": "pending", "z": "pending"},
    }
    assert decision.changed == (0, 1, 2)
    assert log.states() == (
        JobState.QUEUED,
        [PhaseState.COMPLETED, PhaseState.PENDING, PhaseState.PENDING],
    )
    assert log.now.phases[0].result == "made of a"


def test_a_claim_may_too() -> None:
    log = Log()
    log.running(CompletePhase(run=1, result=1), Interrupt(cause=Cause.SHUTDOWN, reason="deploy"))
    decision = log.do(Claim(owner="me", translate=NEWER))
    assert types(decision) == ["job.started", "phase.started"]
    assert decision.events[0].data["layout"] == {"x": "completed", "y": "pending", "z": "pending"}
    assert decision.events[1].phase == "y"
    log.do(CompletePhase(run=2, result=2))
    log.do(CompletePhase(run=2, result=3))
    assert log.now.result == 3


def test_fewer_phases_than_before_may_be_all_that_is_needed() -> None:
    log = Log()
    log.running(Interrupt(cause=Cause.SHUTDOWN, reason="deploy"))
    done = PhaseRecord(name="x", state=PhaseState.COMPLETED, result="all of it")
    decision = log.do(Claim(owner="me", translate=Translate(phases=(done,))))
    assert types(decision) == ["job.started", "job.completed"]
    assert len(log.now.phases) == 1


def test_a_gate_that_came_with_other_phases_is_asked_about_first() -> None:
    log = Log()
    log.running(Interrupt(cause=Cause.SHUTDOWN, reason="deploy"))
    phases = Translate(phases=(PhaseRecord(name="x", gate=Gate(timeout=9)),))
    decision = log.do(Claim(owner="me", translate=phases))
    assert types(decision) == ["job.gated"]
    assert decision.events[0].data == {"deadline": NOW + 9, "layout": {"x": "pending"}}
    assert log.now.owner is None
