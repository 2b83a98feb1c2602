"""Gates: nothing starts that somebody must approve and nobody has."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from triphase.lifecycle import EndRun, StartPhase
from triphase_protocol import (
    Approve,
    CancelJob,
    Cause,
    Claim,
    Command,
    CompletePhase,
    Enqueue,
    EventType,
    Expire,
    FailPhase,
    Gate,
    IllegalTransition,
    Interrupt,
    JobState,
    OnRestart,
    PhaseState,
    Recovery,
    Reject,
    Retry,
    RetryJob,
)

from .log import BOOM, NOW, Log, submit, types


def gated(*names: str, timeout: float | None = None, due_at: float | None = None) -> Log:
    log = Log()
    log.do(submit(gates={name: Gate(timeout=timeout) for name in names}, due_at=due_at))
    return log


def test_a_job_with_a_gate_before_its_first_phase_waits_from_the_beginning() -> None:
    log = gated("a", timeout=60)
    assert [event.type.value for event in log.events] == ["job.submitted", "job.gated"]
    assert log.events[-1].phase == "a"
    assert log.events[-1].data == {"deadline": NOW + 60}
    name, gate = log.now.gate or ("", Gate())
    assert (name, gate.asked_at, gate.asked_in) == ("a", NOW, 0)
    assert log.now.deadline == NOW + 60
    for command in (Enqueue(), Claim(owner="me")):
        with pytest.raises(IllegalTransition):
            log.do(command)


def test_an_approval_queues_the_job_and_says_who_why_and_after_how_long() -> None:
    log = gated("a")
    decision = log.do(Approve(by="alice", reason="looks good"), NOW + 5)
    assert types(decision) == ["job.approved", "job.queued"]
    assert decision.events[0].data == {"by": "alice", "reason": "looks good", "seconds": 5.0}
    assert decision.job.phases[0].gate == Gate(
        asked_at=NOW, decided_at=NOW + 5, approved=True, by="alice", reason="looks good"
    )
    assert log.do(Claim(owner="me")).effects == (StartPhase(0),)


def test_a_delayed_job_is_asked_about_at_once_and_still_waits_for_its_time() -> None:
    log = gated("a", due_at=NOW + 100)
    assert log.now.state.value == "gated"
    assert types(log.do(Approve(), NOW + 5)) == ["job.approved", "job.scheduled"]
    assert log.now.due_at == NOW + 100
    log.do(Enqueue(), NOW + 100)
    assert log.now.state is JobState.QUEUED


def test_a_gate_between_phases_gives_the_slot_back_and_the_results_stay() -> None:
    log = gated("b", timeout=60)
    log.do(Claim(owner="me"))
    decision = log.do(CompletePhase(run=1, result="kept"), NOW + 1)
    assert types(decision) == ["phase.completed", "job.gated"]
    assert decision.effects == (EndRun(),)
    assert (decision.job.owner, decision.job.deadline) == (None, NOW + 61)
    log.do(Approve(), NOW + 2)
    log.do(Claim(owner="me"))
    assert log.now.run == 2
    assert log.now.phases[0].result == "kept"
    assert log.now.phases[1].state is PhaseState.RUNNING


def test_a_rejection_ends_the_job_with_all_its_phases() -> None:
    log = gated("b")
    log.do(Claim(owner="me"))
    log.do(CompletePhase(run=1, result=1))
    decision = log.do(Reject(by="bob", reason="too dear"))
    assert types(decision) == ["phase.cancelled", "job.rejected"]
    assert decision.events[-1].data == {"cause": "rejected", "by": "bob", "reason": "too dear"}
    assert log.states() == (JobState.REJECTED, [PhaseState.COMPLETED, PhaseState.CANCELLED])
    assert log.now.reason == "too dear"


def test_nobody_deciding_in_time_is_a_rejection() -> None:
    log = gated("a", timeout=60)
    with pytest.raises(IllegalTransition, match="no deadline of job j has passed; it is gated"):
        log.do(Expire(), NOW + 59)
    decision = log.do(Expire(), NOW + 60)
    assert types(decision) == ["phase.cancelled", "phase.cancelled", "job.rejected"]
    assert decision.events[-1].data == {
        "cause": "timeout",
        "by": None,
        "reason": "nobody approved it in 60 s",
    }
    gate = log.now.phases[0].gate
    assert gate is not None
    assert gate.approved is False


@pytest.mark.parametrize("second", [Approve(), Reject()], ids=["approve", "reject"])
@pytest.mark.parametrize("first", [Approve(), Reject()], ids=["approve", "reject"])
def test_a_gate_is_decided_once(first: Command, second: Command) -> None:
    log = gated("a")
    log.do(first)
    before = log.now
    with pytest.raises(IllegalTransition, match="does not wait for approval"):
        log.do(second)
    assert log.now == before


def test_a_decision_about_another_gate_or_another_asking_is_refused() -> None:
    log = gated("a", "b")
    with pytest.raises(IllegalTransition, match="waits for the approval of 'a', not of 'b'"):
        log.do(Approve(phase="b"))
    log.do(Approve(phase="a", asked_in=0))
    log.do(Claim(owner="me"))
    log.do(CompletePhase(run=1, result=1))
    with pytest.raises(IllegalTransition, match="again, in run 1; the decision is about run 0"):
        log.do(Approve(phase="b", asked_in=0))
    log.do(Reject(phase="b", asked_in=1))
    assert log.now.state is JobState.REJECTED


def test_a_retry_of_a_rejected_job_asks_again() -> None:
    log = gated("a", timeout=60)
    log.do(Reject())
    assert types(log.do(RetryJob(), NOW + 100)) == ["job.retried", "job.gated"]
    _, gate = log.now.gate or ("", Gate())
    assert (gate.asked_at, gate.asked_in, gate.approved) == (NOW + 100, 1, None)
    assert log.now.deadline == NOW + 160


def test_an_approval_stands_while_what_it_rests_on_does() -> None:
    log = gated("a", "b")
    log.do(Approve())
    log.do(Claim(owner="me"))
    log.do(CompletePhase(run=1, result=1))
    log.do(Approve())
    log.do(Claim(owner="me"))
    log.do(FailPhase(run=2, error=BOOM))
    # The results before it are kept, so is what was approved on the strength of them.
    assert types(log.do(RetryJob())) == ["job.retried", "job.queued"]
    log.do(CancelJob())
    # From the start: the first gate is about the job itself, the second about what comes anew.
    assert types(log.do(RetryJob(from_phase="a"))) == ["job.retried", "job.queued"]
    log.do(Claim(owner="me"))
    assert types(log.do(CompletePhase(run=log.now.run, result=2))) == [
        "phase.completed",
        "job.gated",
    ]


def test_a_gate_holds_through_backoff_interruption_and_restart() -> None:
    log = gated("a")
    log.do(Approve())
    log.do(Claim(owner="me"))
    log.do(FailPhase(run=1, error=BOOM, retry=Retry(attempts=3)))
    log.do(Enqueue())
    log.do(Claim(owner="me"))
    for then in (OnRestart.RESUME, OnRestart.RESTART):
        log.do(Interrupt(cause=Cause.LOST, reason="gone", policy=Recovery(then)))
        assert log.now.state is JobState.QUEUED
        log.do(Claim(owner="me"))


def test_a_cancel_at_a_gate_takes_effect_at_once() -> None:
    log = gated("a")
    decision = log.do(CancelJob(by="alice"))
    assert decision.events[-1].data == {"how": "nothing_ran", "by": "alice", "seconds": 0.0}
    assert log.now.gate is None


STEPS = st.sampled_from(
    [
        Approve(),
        Reject(),
        Expire(),
        Enqueue(),
        Claim(owner="me"),
        CancelJob(),
        RetryJob(),
        RetryJob(from_phase="a"),
        "complete",
        "fail",
        "interrupt",
        "restart",
    ]
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=40), st.sets(st.sampled_from(["a", "b", "c"])))
def test_no_phase_starts_that_was_not_approved_whatever_happens(
    steps: list[Command | str], names: set[str]
) -> None:
    log = Log()
    log.do(submit(phases=("a", "b", "c"), gates={name: Gate(timeout=1) for name in names}))
    approved = dict.fromkeys(names, False)
    for at, step in enumerate(steps):
        run = log.now.run
        commands: dict[str, Command] = {
            "complete": CompletePhase(run=run, result=1),
            "fail": FailPhase(run=run, error=BOOM, retry=Retry(attempts=5)),
            "interrupt": Interrupt(cause=Cause.LOST, reason="gone"),
            "restart": Interrupt(
                cause=Cause.LOST, reason="gone", policy=Recovery(OnRestart.RESTART)
            ),
        }
        command = commands[step] if isinstance(step, str) else step
        begin = len(log.events)
        try:
            log.do(command, NOW + 10 * at)
        except IllegalTransition:
            continue
        for event in log.events[begin:]:
            if event.phase is None or event.phase not in names:
                continue
            if event.type is EventType.JOB_APPROVED:
                approved[event.phase] = True
            elif event.type is EventType.JOB_GATED:
                approved[event.phase] = False
            elif event.type is EventType.PHASE_STARTED:
                assert approved[event.phase]
