"""The decision function: what each command does, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from triphase.lifecycle import EndRun, StartPhase, decide
from triphase_protocol import (
    STATES,
    CancelPhase,
    Cause,
    Claim,
    Command,
    CompletePhase,
    Enqueue,
    FailJob,
    FailPhase,
    IllegalTransition,
    Interrupt,
    JobState,
    PhaseState,
    Progress,
    ReportProgress,
    Retry,
    SnoozePhase,
    StaleWrite,
    fold,
)

from .log import BOOM, NOW, Log, submit, types


def test_a_job_that_is_due_is_queued_in_the_same_step() -> None:
    decision = decide(None, submit(), NOW)
    assert types(decision) == ["job.submitted", "job.queued"]
    assert decision.job.state is JobState.QUEUED
    assert decision.job.version == 2
    assert [phase.state for phase in decision.job.phases] == [PhaseState.PENDING] * 2
    assert decision.changed == (0, 1)


def test_a_delayed_job_is_scheduled_until_it_is_due() -> None:
    log = Log()
    decision = log.do(submit(due_at=NOW + 5))
    assert types(decision) == ["job.submitted", "job.scheduled"]
    assert decision.events[1].data == {"cause": "delay", "due_at": NOW + 5}
    assert types(log.do(Enqueue(), NOW + 5)) == ["job.queued"]
    assert log.job is not None
    assert log.job.queued_at == NOW + 5


def test_a_due_time_in_the_past_is_now() -> None:
    decision = decide(None, submit(due_at=NOW - 5), NOW)
    assert decision.job.state is JobState.QUEUED
    assert decision.job.due_at == NOW


def test_a_claim_starts_a_run_and_its_first_phase() -> None:
    log = Log()
    log.do(submit())
    decision = log.do(Claim(owner="me"))
    assert types(decision) == ["job.started", "phase.started"]
    assert decision.effects == (StartPhase(0),)
    assert (decision.job.run, decision.job.owner) == (1, "me")
    assert decision.job.phases[0].attempt == 1
    assert decision.events[1].data == {"attempt": 1}
    assert {event.run for event in decision.events} == {1}
    assert decision.changed == (0,)


def test_a_phase_ends_and_the_next_starts_in_one_step() -> None:
    log = Log()
    log.running()
    decision = log.do(CompletePhase(run=1, result=[1]))
    assert types(decision) == ["phase.completed", "phase.started"]
    assert decision.effects == (StartPhase(1),)
    assert decision.job.phases[0].result == [1]
    assert decision.changed == (0, 1)


def test_the_last_phase_completes_the_job_in_the_same_step() -> None:
    log = Log()
    log.running(CompletePhase(run=1, result=1))
    decision = log.do(CompletePhase(run=1, result=2))
    assert types(decision) == ["phase.completed", "job.completed"]
    assert decision.effects == (EndRun(),)
    assert (decision.job.result, decision.job.owner) == (2, None)
    assert decision.job.finished_at == NOW


def test_progress_that_is_not_recorded_yet_is_recorded_with_the_end() -> None:
    log = Log()
    log.running()
    last = Progress(done=9, total=10)
    decision = log.do(CompletePhase(run=1, result=None, progress=last))
    assert types(decision) == ["phase.progress", "phase.completed", "phase.started"]
    assert decision.job.phases[0].progress == last
    assert decision.job.phases[1].progress is None


def test_progress_is_kept_in_the_record_and_the_event() -> None:
    log = Log()
    log.running()
    decision = log.do(ReportProgress(run=1, progress=Progress(done=3, total=10, message="m")))
    assert decision.events[0].data == {"attempt": 1, "done": 3, "total": 10, "message": "m"}
    assert decision.effects == ()


def test_a_failure_with_tries_left_is_scheduled_by_the_policy() -> None:
    log = Log()
    log.running()
    retry = Retry(attempts=3, backoff=8, factor=2, jitter=False)
    decision = log.do(FailPhase(run=1, error=BOOM, retry=retry))
    assert types(decision) == ["phase.failed", "job.scheduled"]
    assert decision.events[1].data == {"cause": "error", "due_at": NOW + 8}
    assert decision.job.phases[0].spent == {"error": 1}
    assert decision.effects == (EndRun(),)
    log.do(Enqueue())
    decision = log.do(Claim(owner="me"))
    assert (decision.job.run, decision.job.phases[0].attempt) == (2, 2)
    decision = log.do(FailPhase(run=2, error=BOOM, retry=retry))
    assert decision.events[1].data["due_at"] == NOW + 16


def test_the_last_failure_fails_the_job_and_cancels_what_never_ran() -> None:
    log = Log()
    log.running()
    decision = log.do(FailPhase(run=1, error=BOOM, retry=Retry(attempts=1)))
    assert types(decision) == ["phase.failed", "phase.cancelled", "job.failed"]
    assert decision.job.error == BOOM
    assert [p.state for p in decision.job.phases] == [PhaseState.FAILED, PhaseState.CANCELLED]
    assert decision.events[2].data == {"error": {"type": "ValueError", "message": "boom"}}


def test_a_failure_without_a_policy_is_final() -> None:
    log = Log()
    log.running()
    assert log.do(FailPhase(run=1, error=BOOM)).job.state is JobState.FAILED


def test_jitter_takes_a_part_of_the_longest_wait() -> None:
    log = Log()
    log.running()
    decision = log.do(FailPhase(run=1, error=BOOM, retry=Retry(attempts=2, backoff=8), draw=0.25))
    assert decision.job.due_at == NOW + 2


def test_a_snooze_comes_back_later_and_charges_no_error() -> None:
    log = Log()
    log.running()
    decision = log.do(SnoozePhase(run=1, seconds=60))
    assert types(decision) == ["phase.interrupted", "job.scheduled"]
    assert decision.job.due_at == NOW + 60
    assert decision.job.phases[0].spent == {"snooze": 1}


def test_a_handler_may_cancel_its_job() -> None:
    log = Log()
    log.running()
    decision = log.do(CancelPhase(run=1, reason="superseded"))
    assert types(decision) == ["phase.cancelled", "phase.cancelled", "job.cancelled"]
    assert decision.job.reason == "superseded"


def test_an_interrupted_run_is_queued_again_and_resumes_with_the_same_phase() -> None:
    log = Log()
    log.running(CompletePhase(run=1, result="kept"))
    decision = log.do(Interrupt(cause=Cause.LOST, reason="its owner is gone"))
    assert types(decision) == ["phase.interrupted", "job.scheduled", "job.queued"]
    assert decision.job.phases[1].spent == {"lost": 1}
    assert decision.job.owner is None
    decision = log.do(Claim(owner="other"))
    assert decision.effects == (StartPhase(1),)
    assert decision.job.phases[0].result == "kept"
    assert (decision.job.run, decision.job.phases[1].attempt) == (2, 2)


def test_an_interruption_does_not_charge_the_error_budget() -> None:
    log = Log()
    log.running(Interrupt(cause=Cause.LOST, reason="gone"), Claim(owner="me"))
    assert log.job is not None
    decision = log.do(FailPhase(run=2, error=BOOM, retry=Retry(attempts=2, backoff=0)))
    assert decision.job.state is JobState.SCHEDULED


@pytest.mark.parametrize(
    "command",
    [
        CompletePhase(run=7, result=1),
        FailPhase(run=7, error=BOOM),
        ReportProgress(run=7, progress=Progress(done=1)),
        SnoozePhase(run=7, seconds=1),
        CancelPhase(run=7),
        FailJob(run=7, error=BOOM),
    ],
    ids=lambda command: type(command).__name__,
)
def test_a_command_of_another_run_is_refused(command: Command) -> None:
    log = Log()
    before = log.running()
    with pytest.raises(StaleWrite, match=r"names run 7 of job j, which is at run 1"):
        log.do(command)
    assert log.job == before


@pytest.mark.parametrize(
    "command",
    [Enqueue(), Claim(owner="x"), Interrupt(cause=Cause.LOST, reason="r"), submit()],
    ids=lambda command: type(command).__name__,
)
def test_a_job_that_has_ended_refuses_every_command(command: Command) -> None:
    log = Log()
    before = log.running(CompletePhase(run=1, result=1), CompletePhase(run=1, result=2))
    with pytest.raises(IllegalTransition):
        log.do(command)
    assert log.job == before


def test_a_command_for_no_job_is_refused() -> None:
    with pytest.raises(IllegalTransition, match="no such job"):
        decide(None, Enqueue(), NOW)


COMMANDS = st.sampled_from(["enqueue", "claim", "complete", "fail", "retry", "progress"]) | (
    st.sampled_from(["snooze", "cancel", "fail_job", "interrupt"])
)


def command_named(name: str, run: int) -> Command:
    commands: dict[str, Command] = {
        "enqueue": Enqueue(),
        "claim": Claim(owner="me"),
        "complete": CompletePhase(run=run, result={"r": run}),
        "fail": FailPhase(run=run, error=BOOM),
        "retry": FailPhase(run=run, error=BOOM, retry=Retry(attempts=3)),
        "progress": ReportProgress(run=run, progress=Progress(done=1)),
        "snooze": SnoozePhase(run=run, seconds=1),
        "cancel": CancelPhase(run=run),
        "fail_job": FailJob(error=BOOM),
        "interrupt": Interrupt(cause=Cause.LOST, reason="gone"),
    }
    return commands[name]


@settings(deadline=None)
@given(st.lists(COMMANDS, max_size=30), st.integers(1, 3), st.booleans())
def test_any_commands_leave_a_record_that_is_the_fold_of_its_events(
    names: list[str], phases: int, delayed: bool
) -> None:
    log = Log()
    log.do(
        submit(
            due_at=NOW + 1 if delayed else None,
            phases=tuple(f"p{index}" for index in range(phases)),
        )
    )
    assert log.job is not None
    for name in names:
        before, count = log.job, len(log.events)
        completed = [p for p in before.phases if p.state is PhaseState.COMPLETED]
        try:
            decision = log.do(command_named(name, before.run))
        except IllegalTransition:
            assert (log.job, len(log.events)) == (before, count)
            continue
        # A phase that has completed is never touched again.
        assert [p for p in log.job.phases if p.state is PhaseState.COMPLETED][
            : len(completed)
        ] == completed
        unchanged = set(range(phases)) - set(decision.changed)
        assert all(log.job.phases[i] is before.phases[i] for i in unchanged)
        if STATES[log.job.state].terminal:
            ended = {PhaseState.COMPLETED, PhaseState.FAILED, PhaseState.CANCELLED}
            assert {phase.state for phase in log.job.phases} <= ended
            assert log.job.owner is None
    summary = fold(log.events)
    assert summary.state is log.job.state
    assert (summary.run, summary.version) == (log.job.run, log.job.version)
    assert summary.phases == {phase.name: phase.state for phase in log.job.phases}
