from __future__ import annotations

import attrs

from triphase_protocol import EventType, JobState
from triphase_simulations.history import Ran

from .played import CALM, blamed, calm, event_of, id_of, with_more, with_ran, with_row


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


def test_o28_a_phase_event_after_the_cancel() -> None:
    history = with_more(EventType.PHASE_CANCELLED, "stays", "a")
    assert blamed(history) == {"O1", "O28", "fold"}


def test_o28_the_handler_runs_on() -> None:
    def longer(ran: Ran) -> Ran:
        mine = ran.job == id_of("stays") and ran.ended is not None
        return attrs.evolve(ran, ended=(ran.ended or 0.0) + 1.0) if mine else ran

    assert blamed(with_ran(longer)) == {"O28"}


def test_o28_a_handler_starts_after_the_cancel() -> None:
    def later(ran: Ran) -> Ran:
        return attrs.evolve(ran, began=9.0, ended=9.0) if ran.job == id_of("stays") else ran

    assert blamed(with_ran(later)) == {"O28"}
