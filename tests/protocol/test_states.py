"""The tables: complete, and true to what the rest of the system takes from them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from triphase_protocol import (
    JOB_EVENTS,
    PHASE_TRANSITIONS,
    STATES,
    TERMINAL_EVENTS,
    TRANSITIONS,
    Event,
    EventType,
    IllegalTransition,
    JobState,
    PhaseState,
    fold,
    next_phase_state,
    next_state,
    states_where,
)

PHASE_EVENTS = [event for event in EventType if event.value.startswith("phase.")]
TERMINAL = states_where(terminal=True)
GOING_ON = states_where(terminal=False)


def reachable(
    start: JobState | None, *, without: frozenset[EventType] = frozenset()
) -> set[JobState]:
    """Return the states that a job in *start* can come to, by other events than these."""
    found: set[JobState] = set()
    todo: list[JobState | None] = [start]
    while todo:
        for event, target in TRANSITIONS[todo.pop()].items():
            if event not in without and target not in found:
                found.add(target)
                todo.append(target)
    return found


# Complete


def test_every_job_state_has_a_row_in_each_table() -> None:
    assert set(STATES) == set(JobState)
    assert set(TRANSITIONS) == {None, *JobState}


def test_every_phase_state_has_a_row() -> None:
    assert set(PHASE_TRANSITIONS) == set(PhaseState)


def test_every_job_state_can_be_reached() -> None:
    assert reachable(None) == set(JobState)


def test_every_phase_state_can_be_reached() -> None:
    found = {PhaseState.PENDING}
    for _ in PhaseState:
        found |= {target for state in found for target in PHASE_TRANSITIONS[state].values()}
    assert found == set(PhaseState)


def test_every_job_can_end_from_wherever_it_is() -> None:
    for state in GOING_ON:
        assert reachable(state) & set(TERMINAL), state


def test_every_event_that_the_tables_name_is_of_their_kind() -> None:
    assert all(event.value.startswith("job.") for event in JOB_EVENTS)
    assert {event for row in PHASE_TRANSITIONS.values() for event in row} == set(PHASE_EVENTS)


# Every pair is decided


@pytest.mark.parametrize("event", EventType)
@pytest.mark.parametrize("state", JobState)
def test_every_pair_of_job_state_and_event_is_decided(state: JobState, event: EventType) -> None:
    if event not in JOB_EVENTS:
        assert next_state(state, event) is state
    elif event in TRANSITIONS[state]:
        assert next_state(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition) as refused:
            next_state(state, event)
        assert str(refused.value) == f"{event.value} cannot happen to a job in state '{state}'"


@pytest.mark.parametrize("event", PHASE_EVENTS)
@pytest.mark.parametrize("state", PhaseState)
def test_every_pair_of_phase_state_and_event_is_decided(
    state: PhaseState, event: EventType
) -> None:
    if event in PHASE_TRANSITIONS[state]:
        assert next_phase_state(state, event) is PHASE_TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition) as refused:
            next_phase_state(state, event)
        assert str(refused.value) == f"{event.value} cannot happen to a phase in state '{state}'"


@pytest.mark.parametrize("event", EventType)
def test_nothing_but_a_submit_happens_to_a_job_that_does_not_exist(event: EventType) -> None:
    if event is EventType.JOB_SUBMITTED:
        assert next_state(None, event) is JobState.SCHEDULED
    else:
        with pytest.raises(IllegalTransition) as refused:
            next_state(None, event)
        assert str(refused.value) == f"{event.value} cannot happen to a job that does not exist"


def test_a_phase_is_not_moved_by_what_happens_to_the_job() -> None:
    with pytest.raises(IllegalTransition, match=r"job\.started cannot happen to a phase"):
        next_phase_state(PhaseState.PENDING, EventType.JOB_STARTED)


# What the columns say is what the transitions do


def test_only_a_retry_leaves_a_terminal_state() -> None:
    for state in TERMINAL:
        leaving = {event for event, target in TRANSITIONS[state].items() if target is not state}
        assert leaving == {EventType.JOB_RETRIED}, state


def test_a_retry_leaves_nothing_but_terminal_states() -> None:
    assert all(EventType.JOB_RETRIED not in TRANSITIONS[state] for state in GOING_ON)


def test_the_reconciler_visits_exactly_the_states_that_are_not_the_end() -> None:
    assert {state for state, row in STATES.items() if row.visited} == set(GOING_ON)


def test_exactly_the_states_that_are_not_the_end_can_be_cancelled() -> None:
    assert {state for state, row in STATES.items() if row.cancellable} == set(GOING_ON)


@pytest.mark.parametrize("state", GOING_ON)
def test_a_cancellable_job_comes_to_cancelled_at_once_or_by_stopping(state: JobState) -> None:
    row = TRANSITIONS[state]
    if row.get(EventType.JOB_CANCELLED) is not JobState.CANCELLED:
        assert row[EventType.JOB_STOPPING] is JobState.STOPPING
        stopping = TRANSITIONS[JobState.STOPPING]
        assert stopping[EventType.JOB_CANCELLED] is JobState.CANCELLED


def test_exactly_the_jobs_that_somebody_runs_hold_a_slot() -> None:
    assert set(states_where(holds_slot=True)) == {
        JobState.RUNNING,
        JobState.STOPPING,
        JobState.DETACHED,
    }


def test_a_slot_is_taken_by_a_start_alone() -> None:
    holders = set(states_where(holds_slot=True))
    taking = {
        event
        for state, row in TRANSITIONS.items()
        if state not in holders
        for event, target in row.items()
        if target in holders
    }
    assert taking == {EventType.JOB_STARTED}


def test_a_job_runs_only_after_it_was_queued() -> None:
    assert JobState.RUNNING not in reachable(None, without=frozenset({EventType.JOB_QUEUED}))


def test_no_job_completes_that_was_told_to_stop() -> None:
    assert EventType.JOB_COMPLETED not in TRANSITIONS[JobState.STOPPING]
    assert EventType.JOB_REATTACHED not in TRANSITIONS[JobState.STOPPING]


def test_the_terminal_events_are_these_five() -> None:
    assert (
        frozenset(
            {
                EventType.JOB_COMPLETED,
                EventType.JOB_FAILED,
                EventType.JOB_CANCELLED,
                EventType.JOB_REJECTED,
                EventType.JOB_INTERRUPTED,
            }
        )
        == TERMINAL_EVENTS
    )


def test_a_terminal_event_leads_to_one_state_wherever_it_happens() -> None:
    for event in TERMINAL_EVENTS:
        targets = {row[event] for row in TRANSITIONS.values() if event in row}
        assert targets == {JobState(event.value.removeprefix("job."))}


def test_a_completed_phase_is_left_by_no_event_of_its_own() -> None:
    assert PHASE_TRANSITIONS[PhaseState.COMPLETED] == {}
    assert PHASE_TRANSITIONS[PhaseState.CANCELLED] == {}


def test_states_where_picks_by_the_columns_in_the_order_of_the_table() -> None:
    assert states_where() == tuple(JobState)
    assert set(TERMINAL) | set(GOING_ON) == set(JobState)
    assert states_where(holds_slot=True, terminal=True) == ()


# Walks


@st.composite
def walks(draw: st.DrawFn) -> list[tuple[EventType, JobState]]:
    """A way through the table, from the submit on: each event with the state after it."""
    state: JobState | None = None
    walk: list[tuple[EventType, JobState]] = []
    for _ in range(draw(st.integers(1, 30))):
        event, state = draw(st.sampled_from(sorted(TRANSITIONS[state].items())))
        walk.append((event, state))
    return walk


def log_of(walk: list[tuple[EventType, JobState]]) -> list[Event]:
    """Return the log that a job leaves on such a way."""
    events: list[Event] = []
    run = 0
    for version, (event, _) in enumerate(walk, 1):
        run += event is EventType.JOB_STARTED
        events.append(
            Event(seq=version, version=version, at=0.0, job="j", run=run, phase=None, type=event)
        )
    return events


@given(walks())
def test_any_walk_along_the_table_folds_to_where_it_went(
    walk: list[tuple[EventType, JobState]],
) -> None:
    events = log_of(walk)
    for length in range(1, len(walk) + 1):
        summary = fold(events[:length])
        assert summary.state is walk[length - 1][1]
        assert summary.version == length
    assert fold(events).run == sum(event is EventType.JOB_STARTED for event, _ in walk)


@given(walks())
def test_on_any_walk_each_run_ends_at_most_once(walk: list[tuple[EventType, JobState]]) -> None:
    ended = False
    for event, _ in walk:
        if event is EventType.JOB_RETRIED:
            ended = False
        if event in TERMINAL_EVENTS:
            assert not ended
            ended = True


@given(walks(), st.sampled_from(sorted(JOB_EVENTS)))
def test_a_step_off_the_table_is_refused_and_named(
    walk: list[tuple[EventType, JobState]], event: EventType
) -> None:
    state = walk[-1][1]
    if event in TRANSITIONS[state]:
        return
    with pytest.raises(IllegalTransition, match=f"{event.value}.*{state.value}"):
        fold(log_of([*walk, (event, state)]))
