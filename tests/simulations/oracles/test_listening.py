from __future__ import annotations

from triphase_protocol import EventType
from triphase_simulations.history import Entry, History

from .played import answering, blamed, event_of, id_of, saying, with_entries


def test_o3_an_event_is_never_heard() -> None:
    missed = event_of("long", EventType.PHASE_COMPLETED)

    def change(entry: Entry) -> Entry | None:
        return None if entry.what == "heard" and entry.data["seq"] == missed.seq else entry

    assert blamed(with_entries(change)) == {"O3"}


def test_o3_an_event_is_heard_again() -> None:
    event = event_of("long", EventType.PHASE_COMPLETED)

    def change(entry: Entry) -> Entry:
        if entry.what != "heard" or entry.data["seq"] != event.seq + 1:
            return entry
        return saying(entry, seq=event.seq, job=event.job, version=event.version)

    assert blamed(with_entries(change)) == {"O3"}


def reading(seq: int, **changes: object) -> History:
    def change(entry: Entry) -> Entry:
        mine = entry.what == "read" and entry.data["after"] == seq
        return saying(entry, **changes) if mine else entry

    return with_entries(change)


def test_o3_an_older_version_is_read() -> None:
    end = event_of("long", EventType.JOB_COMPLETED)
    assert blamed(reading(end.seq, version=end.version - 1)) == {"O3"}


def test_o3_another_state_is_read() -> None:
    end = event_of("long", EventType.JOB_COMPLETED)
    assert blamed(reading(end.seq, state="running")) == {"O3"}


def test_o3_a_job_is_not_found() -> None:
    end = event_of("long", EventType.JOB_COMPLETED)
    assert blamed(reading(end.seq, gone=True)) == {"O3"}


def told(state: str, version: int, run: int = 1) -> set[str]:
    """Return who blames a cancel that is answered so; it was `stopping`."""
    record = {"id": id_of("stays"), "state": state, "run": run, "version": version}
    return blamed(answering("op:3", answer=record))


def test_o3_a_call_is_answered_with_what_was_never_written() -> None:
    stopping = event_of("stays", EventType.JOB_STOPPING).version
    assert told("stopping", stopping) == set()
    assert told("cancelled", stopping) == {"O3"}
    assert told("stopping", stopping, run=2) == {"O3"}
    assert told("stopping", stopping + 100) == {"O3"}
