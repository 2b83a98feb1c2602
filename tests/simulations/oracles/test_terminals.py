from __future__ import annotations

import attrs

from triphase_protocol import EventType, JobState

from .played import CALM, blamed, calm, event_of, with_more, with_row


def test_o1_something_after_the_end() -> None:
    assert blamed(with_more(EventType.JOB_QUEUED, "third")) == {"O1", "fold"}


def test_o2_a_second_end() -> None:
    assert blamed(with_more(EventType.JOB_FAILED, "third")) == {"O2", "fold"}


def test_o2_the_row_says_something_else() -> None:
    history = with_row("stays", lambda row: attrs.evolve(row, state=JobState.FAILED))
    assert blamed(history) == {"O2", "fold"}


def test_o2_no_end_at_all() -> None:
    end = event_of("last", EventType.JOB_COMPLETED)
    log = tuple(event for event in calm().log if event.seq != end.seq)
    assert "O2" in blamed(attrs.evolve(calm(), log=log))


def test_o13_deleted_though_nothing_says_so() -> None:
    history = with_more(EventType.JOB_DELETED, "third")
    gone = tuple(row for row in history.jobs if row.key != "third")
    assert blamed(attrs.evolve(history, jobs=gone)) == {"O13"}


def test_o13_deleted_too_early() -> None:
    history = with_more(EventType.JOB_DELETED, "last")
    gone = tuple(row for row in history.jobs if row.key != "last")
    history = attrs.evolve(history, jobs=gone)
    assert blamed(history, attrs.evolve(CALM, retention=0.0)) == set()
    assert blamed(history, attrs.evolve(CALM, retention=10.0)) == {"O13"}


def test_o13_the_row_of_a_deleted_job_is_there() -> None:
    history = with_more(EventType.JOB_DELETED, "third")
    assert blamed(history, attrs.evolve(CALM, retention=1.0)) == {"O13"}
