from __future__ import annotations

import attrs
import pytest

from triphase_protocol import EventType
from triphase_simulations.history import Entry, History

from .played import blamed, event_of, saying, with_entries


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


def answering(lane: str, time: float = 0.0, **changes: object) -> History:
    """Return a history in which a call is answered otherwise, or later."""

    def change(entry: Entry) -> Entry:
        if entry.lane != lane or entry.what not in ("answered", "denied"):
            return entry
        return saying(attrs.evolve(entry, time=entry.time + time), **changes)

    return with_entries(change)


@pytest.mark.parametrize("lane", ["op:1", "op:2", "op:5"])
def test_o4_a_wait_returns_late(lane: str) -> None:
    assert blamed(answering(lane, time=0.25)) == {"O4"}


def test_o4_a_wait_says_something_else() -> None:
    wrong = {"type": "Failed", "run": 1}
    assert blamed(answering("op:1", answer=wrong)) == {"O4"}


def test_o4_a_wait_is_told_of_a_close_that_is_none() -> None:
    def change(entry: Entry) -> Entry | None:
        return None if entry.what == "leaving" else entry

    history = with_entries(change)
    history.entries = [
        attrs.evolve(entry, what="denied", data={"op": "wait", "name": "stays", "error": "closed"})
        if entry.lane == "op:2" and entry.what == "denied"
        else entry
        for entry in history.entries
    ]
    assert blamed(history) == {"O4"}


@pytest.mark.parametrize("lane", ["op:1", "op:2", "op:5"])
def test_o4_a_wait_is_left_open(lane: str) -> None:
    def change(entry: Entry) -> Entry | None:
        return None if entry.lane == lane and entry.what in ("answered", "denied") else entry

    assert blamed(with_entries(change)) == {"O4"}
