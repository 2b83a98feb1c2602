from __future__ import annotations

from typing import Any

import attrs

from triphase_protocol import EventType, Job, JobState, OnRestart, PhaseState
from triphase_simulations.history import Ran
from triphase_simulations.oracles import judge
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario

from .played import CALM, blamed, calm, event_of, id_of, with_data, with_event, with_ran, with_row


def changed(name: str, phase: str, **changes: Any) -> set[str]:
    """Return who is blamed if a row of `calm` has another phase."""

    def change(row: Job) -> Job:
        phases = tuple(
            attrs.evolve(each, **changes) if each.name == phase else each for each in row.phases
        )
        return attrs.evolve(row, phases=phases)

    return blamed(with_row(name, change))


def test_o9_a_result_is_another() -> None:
    assert changed("long", "a", result=2) == {"O9"}


def test_o9_the_job_has_another_result() -> None:
    assert blamed(with_row("long", lambda row: attrs.evolve(row, result="?"))) == {"O9"}


def test_o9_a_completed_phase_is_run_again() -> None:
    retried = event_of("long", EventType.JOB_RETRIED)
    assert "O9" in blamed(with_data(retried.seq, phases=["c"]))


def test_o9_a_retry_runs_more_phases_again_than_were_asked_for() -> None:
    retried = event_of("long", EventType.JOB_RETRIED)
    assert "O9" in blamed(with_data(retried.seq, phases=["a", "b", "c"]))


def test_o9_a_handler_runs_of_which_no_event_tells() -> None:
    more = attrs.evolve(calm().ran[-1], run=99, began=calm().seconds, ended=calm().seconds)
    assert blamed(attrs.evolve(calm(), ran=[*calm().ran, more])) == {"O9"}


def test_o9_one_try_is_run_twice() -> None:
    last = calm().ran[-1]
    assert blamed(attrs.evolve(calm(), ran=[*calm().ran, last])) == {"O9"}


def test_o9_a_phase_completes_and_nothing_ran() -> None:
    def change(ran: Ran) -> Ran | None:
        return None if ran.job == id_of("third") and ran.phase == "b" else ran

    assert blamed(with_ran(change)) == {"O9"}


def test_o9_a_completed_job_has_a_phase_that_has_not() -> None:
    for state in (PhaseState.FAILED, PhaseState.INTERRUPTED):
        assert "O9" in changed("third", "b", state=state)


def test_o9_an_interrupted_job_does_not_say_which_phase_was() -> None:
    (spec, *others), holds = CALM.types, OnRestart.HOLD.value
    held = attrs.evolve(CALM, types=(attrs.evolve(spec, on_restart=holds), *others))
    history = run_scenario(held, Plan())
    assert judge(history, held) == []
    (row,) = (job for job in history.jobs if job.state is JobState.INTERRUPTED)
    forgotten = tuple(attrs.evolve(phase, state=PhaseState.CANCELLED) for phase in row.phases)
    history.jobs = (attrs.evolve(row, phases=forgotten),)
    found = {violation.normalised for violation in judge(history, held)}
    assert "O9: the job was interrupted, and none of its phases says so" in found


def test_o21_progress_falls() -> None:
    second = event_of("long", EventType.PHASE_PROGRESS, "a", 1)
    script = {"a": [[["progress", 1], ["progress", 2], ["progress", 3], ["return", 1]]]}
    history = with_data(second.seq, done=3.0)
    jobs = tuple(
        attrs.evolve(row, payload={"script": {**row.payload["script"], **script}})
        if row.key == "long"
        else row
        for row in calm().jobs
    )
    assert blamed(attrs.evolve(calm(), jobs=jobs)) == set()
    assert blamed(attrs.evolve(history, jobs=jobs)) == {"O21"}


def test_o21_progress_that_nobody_told() -> None:
    progress = event_of("long", EventType.PHASE_PROGRESS)
    assert blamed(with_data(progress.seq, done=7.0)) == {"O21"}


def test_o21_progress_of_another_try() -> None:
    progress = event_of("long", EventType.PHASE_PROGRESS)
    assert blamed(with_data(progress.seq, attempt=2)) == {"O21"}


def test_o29_a_try_is_charged_to_another_cause() -> None:
    assert changed("long", "b", spent={"timeout": 1}) == {"O29"}
    assert changed("last", "a", spent={"error": 1}) == {"O29"}


def test_o29_a_job_fails_with_a_try_left() -> None:
    scheduled = event_of("long", EventType.JOB_SCHEDULED)
    assert "O29" in blamed(with_event(scheduled.seq, type=EventType.JOB_FAILED))


def test_o29_a_job_goes_on_without_a_try_left() -> None:
    spec = CALM.types[0]
    phases = tuple(attrs.evolve(phase, attempts=1) for phase in spec.phases)
    strict = attrs.evolve(CALM, types=(attrs.evolve(spec, phases=phases), *CALM.types[1:]))
    assert blamed(calm(), strict) == {"O29"}


def test_o29_a_try_that_was_lost_is_charged_as_an_error() -> None:
    failed = event_of("last", EventType.PHASE_INTERRUPTED)
    assert blamed(with_data(failed.seq, cause="lost")) == {"O29"}
