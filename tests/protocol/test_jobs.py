"""The record: what it says of itself, and how it says that it has ended."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given

from triphase_protocol import (
    STATES,
    Cancelled,
    Completed,
    ErrorRecord,
    Failed,
    Interrupted,
    Job,
    JobState,
    Outcome,
    PhaseRecord,
    PhaseState,
    Rejected,
    outcome_of,
)

from .strategies import jobs

BOOM = ErrorRecord(type="ValueError", message="boom")
JOB = Job(id="j", type="T", state=JobState.QUEUED, run=3, result=[1], error=BOOM, reason="why")


@given(jobs)
def test_a_job_has_an_outcome_exactly_when_it_has_ended(job: Job) -> None:
    assert (outcome_of(job) is not None) is job.terminal is STATES[job.state].terminal


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (JobState.COMPLETED, Completed(job="j", run=3, result=[1])),
        (JobState.FAILED, Failed(job="j", run=3, error=BOOM)),
        (JobState.CANCELLED, Cancelled(job="j", run=3, reason="why")),
        (JobState.REJECTED, Rejected(job="j", run=3, reason="why")),
        (JobState.INTERRUPTED, Interrupted(job="j", run=3, reason="why")),
    ],
)
def test_each_end_has_its_outcome(state: JobState, outcome: Outcome) -> None:
    assert outcome_of(attrs.evolve(JOB, state=state)) == outcome


def test_a_failed_job_without_an_error_still_has_an_outcome() -> None:
    outcome = outcome_of(attrs.evolve(JOB, state=JobState.FAILED, error=None))
    assert isinstance(outcome, Failed)
    assert outcome.error.message == "no error was recorded"


def test_the_current_phase_is_the_first_that_has_not_completed() -> None:
    done = PhaseRecord(name="a", state=PhaseState.COMPLETED)
    failed = PhaseRecord(name="b", state=PhaseState.FAILED)
    pending = PhaseRecord(name="c")
    assert attrs.evolve(JOB, phases=(done, failed, pending)).current == 1
    assert attrs.evolve(JOB, phases=(pending, done)).current == 0
    assert attrs.evolve(JOB, phases=(done, done)).current is None
    assert JOB.current is None


def test_records_are_values() -> None:
    assert attrs.evolve(JOB) == JOB
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        JOB.run = 4  # type: ignore[misc]
