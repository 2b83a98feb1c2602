"""Folding a log: what it gives, and the logs that it refuses."""

from __future__ import annotations

import attrs
import pytest

from triphase_protocol import (
    Event,
    EventType,
    IllegalTransition,
    JobState,
    Json,
    PhaseState,
    Summary,
    fold,
)


def log(*steps: tuple[EventType, str | None] | EventType, run_of: int = 1) -> list[Event]:
    """Return a log of these events; the run begins with `job.started`."""
    events: list[Event] = []
    run = 0
    for version, step in enumerate(steps, 1):
        kind, phase = step if isinstance(step, tuple) else (step, None)
        run = run_of if kind is EventType.JOB_STARTED else run
        data: dict[str, Json] = {}
        if kind in {EventType.JOB_SUBMITTED, EventType.JOB_RETRIED}:
            data = {"phases": ["a", "b"]}
        events.append(
            Event(
                seq=version,
                version=version,
                at=float(version),
                job="j1",
                run=run,
                phase=phase,
                type=kind,
                data=data,
            )
        )
    return events


SUBMITTED = EventType.JOB_SUBMITTED
RUNNING = (SUBMITTED, EventType.JOB_QUEUED, EventType.JOB_STARTED)


def test_an_empty_log_is_of_no_job() -> None:
    assert fold([]) == Summary()


def test_a_submit_makes_a_scheduled_job_with_its_phases_pending() -> None:
    assert fold(log(SUBMITTED)) == Summary(
        state=JobState.SCHEDULED,
        version=1,
        phases={"a": PhaseState.PENDING, "b": PhaseState.PENDING},
    )


def test_a_whole_life_folds_to_its_end() -> None:
    events = log(
        *RUNNING,
        (EventType.PHASE_STARTED, "a"),
        (EventType.PHASE_PROGRESS, "a"),
        (EventType.PHASE_COMPLETED, "a"),
        (EventType.PHASE_STARTED, "b"),
        (EventType.PHASE_COMPLETED, "b"),
        EventType.JOB_COMPLETED,
        EventType.HOOK_DELIVERED,
        EventType.JOB_STALE,
    )
    assert fold(events) == Summary(
        state=JobState.COMPLETED,
        run=1,
        version=11,
        phases={"a": PhaseState.COMPLETED, "b": PhaseState.COMPLETED},
    )


def test_a_retry_sets_back_the_phases_that_it_names() -> None:
    events = log(
        *RUNNING,
        (EventType.PHASE_STARTED, "a"),
        (EventType.PHASE_COMPLETED, "a"),
        (EventType.PHASE_STARTED, "b"),
        (EventType.PHASE_FAILED, "b"),
        EventType.JOB_FAILED,
        EventType.JOB_RETRIED,
    )
    events[-1] = attrs.evolve(events[-1], data={"phases": ["b"]})
    assert fold(events).phases == {"a": PhaseState.COMPLETED, "b": PhaseState.PENDING}


def test_a_gap_in_the_versions_is_refused() -> None:
    events = log(*RUNNING)
    with pytest.raises(IllegalTransition, match="version 3 follows 1: a gap"):
        fold([events[0], events[2]])


def test_a_repeated_version_is_refused() -> None:
    events = log(*RUNNING)
    with pytest.raises(IllegalTransition, match="version 1 follows 1"):
        fold([events[0], events[0]])


def test_a_log_that_lacks_its_beginning_is_refused() -> None:
    with pytest.raises(IllegalTransition, match="version 2 follows 0"):
        fold(log(*RUNNING)[1:])


def test_a_run_that_goes_back_is_refused() -> None:
    events = log(*RUNNING, EventType.JOB_COMPLETED, run_of=2)
    events[3] = attrs.evolve(events[3], run=1)
    with pytest.raises(IllegalTransition, match="run 1 follows 2: runs only grow"):
        fold(events)


def test_an_event_of_another_job_is_refused() -> None:
    events = log(*RUNNING)
    events[1] = attrs.evolve(events[1], job="j2")
    with pytest.raises(IllegalTransition, match="an event of job 'j2' in the log of 'j1'"):
        fold(events)


def test_events_out_of_order_are_refused() -> None:
    with pytest.raises(IllegalTransition, match=r"job\.started .* in state 'scheduled'"):
        fold(log(SUBMITTED, EventType.JOB_STARTED))
    with pytest.raises(IllegalTransition, match=r"job\.queued .* that does not exist"):
        fold(log(EventType.JOB_QUEUED))


def test_a_second_end_of_one_run_is_refused() -> None:
    with pytest.raises(IllegalTransition, match=r"job\.failed .* in state 'completed'"):
        fold(log(*RUNNING, EventType.JOB_COMPLETED, EventType.JOB_FAILED))


@pytest.mark.parametrize("first", [EventType.PHASE_STARTED, EventType.HOOK_DELIVERED])
def test_nothing_happens_before_the_submit(first: EventType) -> None:
    with pytest.raises(IllegalTransition, match=f"{first.value} .* that does not exist"):
        fold(log((first, "a")))


def test_a_phase_event_out_of_order_is_refused() -> None:
    with pytest.raises(IllegalTransition, match=r"phase\.completed .* in state 'pending'"):
        fold(log(*RUNNING, (EventType.PHASE_COMPLETED, "a")))
    with pytest.raises(IllegalTransition, match=r"phase\.started .* in state 'completed'"):
        fold(
            log(
                *RUNNING,
                (EventType.PHASE_STARTED, "a"),
                (EventType.PHASE_COMPLETED, "a"),
                (EventType.PHASE_STARTED, "a"),
            )
        )


@pytest.mark.parametrize("phase", [None, "c"])
def test_a_phase_event_of_no_known_phase_is_refused(phase: str | None) -> None:
    with pytest.raises(
        IllegalTransition, match=rf"phase\.started .* phase {phase!r}: the phases are 'a', 'b'"
    ):
        fold(log(*RUNNING, (EventType.PHASE_STARTED, phase)))


def test_progress_moves_nothing() -> None:
    before = fold(log(*RUNNING, (EventType.PHASE_STARTED, "a")))
    after = fold(log(*RUNNING, (EventType.PHASE_STARTED, "a"), (EventType.PHASE_PROGRESS, "a")))
    assert after == attrs.evolve(before, version=before.version + 1)
