from __future__ import annotations

import attrs

from triphase_protocol import EventType

from .played import blamed, calm, event_of, with_data, with_event, with_more


def test_o17_a_phase_starts_without_its_approval() -> None:
    approved = event_of("asks", EventType.JOB_APPROVED)
    assert blamed(with_event(approved.seq, phase="a")) == {"O17"}


def test_o17_a_gate_is_decided_twice() -> None:
    history = with_more(EventType.JOB_APPROVED, "asks", "b")
    assert "O17" in blamed(history)


def test_o17_a_gate_is_closed_before_its_time() -> None:
    gated = event_of("late", EventType.JOB_GATED)
    early = with_data(gated.seq, deadline=gated.at + 9.0)
    assert "O17" in blamed(early)


def test_o22_a_deadline_passes_and_nobody_acts() -> None:
    gated = event_of("asks", EventType.JOB_GATED)
    assert blamed(with_data(gated.seq, deadline=gated.at + 1.0)) == {"O22"}


def test_o22_somebody_acts_a_second_too_late() -> None:
    gated = event_of("late", EventType.JOB_GATED)
    assert blamed(with_data(gated.seq, deadline=gated.at + 1.75)) == set()
    assert blamed(with_data(gated.seq, deadline=gated.at + 1.0)) == {"O22"}


def test_o22_a_job_is_ended_for_a_deadline_that_has_not_passed() -> None:
    rejected = event_of("late", EventType.JOB_REJECTED)
    error = {"type": "Timeout", "message": "not started"}
    history = with_event(
        rejected.seq, type=EventType.JOB_FAILED, data={"error": error}, at=rejected.at - 1.0
    )
    assert "O22" in blamed(history)


def test_o23_a_cancel_takes_longer_than_its_graces() -> None:
    stopping = event_of("stays", EventType.JOB_STOPPING)
    early = with_data(stopping.seq, cancel_at=stopping.at - 1.0, grace_until=stopping.at - 1.0)
    assert blamed(attrs.evolve(calm())) == set()
    assert blamed(early) == {"O23"}
