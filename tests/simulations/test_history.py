"""What two runs have to have in common to be the same."""

from __future__ import annotations

import attrs

from triphase_protocol import ErrorRecord, Job, JobState, PhaseRecord
from triphase_simulations.history import History

ERROR = ErrorRecord(type="KeyError", message="'a'", traceback="File a.py, line 1")


def job(error: ErrorRecord) -> Job:
    """Return a job that failed so, in its phase and as a whole."""
    phases = (PhaseRecord(name="a", error=error),)
    return Job(id="j1", type="t", state=JobState.FAILED, phases=phases, error=error)


def hash_of(error: ErrorRecord) -> str:
    """Return the hash of a run that left such a job."""
    return History(jobs=(job(error),)).hash()


def test_where_the_code_lies_makes_no_difference() -> None:
    assert hash_of(attrs.evolve(ERROR, traceback="File /b.py, line 2")) == hash_of(ERROR)


def test_what_went_wrong_makes_one() -> None:
    assert hash_of(attrs.evolve(ERROR, message="'b'")) != hash_of(ERROR)


def test_what_was_noted_makes_one_and_when() -> None:
    one, other = History(), History()
    one.note(1.0, "lane", "started", job="j1")
    other.note(1.5, "lane", "started", job="j1")
    assert len({one.hash(), other.hash(), History().hash()}) == 3
