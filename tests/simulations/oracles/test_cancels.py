from __future__ import annotations

import attrs

from triphase_protocol import EventType
from triphase_simulations.history import Entry, Ran

from .played import (
    answering,
    blamed,
    event_of,
    id_of,
    messages,
    with_entries,
    with_event,
    with_more,
    with_ran,
)


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


def test_o28_a_stop_for_a_cancel_ends_in_something_else() -> None:
    cancelled = event_of("stays", EventType.JOB_CANCELLED)
    failed = with_event(cancelled.seq, type=EventType.JOB_FAILED)
    assert messages(failed) >= {
        "O28: it was being cancelled, and that ended in job.failed",
        "O28: a cancel was answered, and its run ended in job.failed",
    }


def test_o28_a_cancel_is_answered_and_the_job_goes_on() -> None:
    started = event_of("stays", EventType.PHASE_STARTED)
    record = {"id": id_of("stays"), "state": "running", "run": 1, "version": started.version}
    assert blamed(answering("op:3", answer=record)) == {"O28"}


def test_o28_a_cancel_is_answered_as_carried_out_and_nothing_is_written() -> None:
    queued = event_of("stays", EventType.JOB_QUEUED)
    record = {"id": id_of("stays"), "state": "cancelled", "run": 0, "version": queued.version}
    assert messages(answering("op:3", answer=record)) >= {
        "O28: a cancel was answered as carried out, and nothing was written"
    }


def test_o28_a_cancel_is_refused_and_the_job_has_not_ended() -> None:
    def refused(at: float) -> set[str]:
        data = {"op": "cancel", "name": "stays", "error": "illegal_transition"}

        def change(entry: Entry) -> Entry:
            answer = entry.lane == "op:3" and entry.what == "answered"
            return attrs.evolve(entry, time=at, what="denied", data=data) if answer else entry

        return blamed(with_entries(change))

    assert refused(5.0) == {"O28"}
    assert refused(7.0) == set()
