"""What two runs have to have in common to be the same."""

from __future__ import annotations

import hashlib

import attrs

from triphase_protocol import ErrorRecord, EventType, Hook, Job, JobState, PhaseRecord
from triphase_simulations.history import History, Post

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


POST = Post(
    time=1.0,
    process="node",
    url="https://r0.example/in",
    id="j3",
    body="{}",
    headers={},
    received=True,
    answer="ok",
    durable=4,
)
HOOK = Hook(id="j3", job="j1", run=1, seq=4, event=EventType.JOB_FAILED, url=POST.url, body="{}")


def test_what_became_of_webhooks_makes_one() -> None:
    histories = [
        History(),
        History(posts=[POST]),
        History(posts=[attrs.evolve(POST, ended=2.0)]),
        History(hooks=(HOOK,)),
        History(dropped_hooks=[HOOK]),
        History(disabled={POST.url: 1.0}),
        History(redelivered=[(1.0, "j3")]),
    ]
    assert len({history.hash() for history in histories}) == len(histories)


def test_without_webhooks_there_is_nothing_of_them_in_a_hash() -> None:
    assert History().hash() == hashlib.sha256().hexdigest()[:16]


def test_what_was_noted_makes_one_and_when() -> None:
    one, other = History(), History()
    one.note(1.0, "lane", "started", job="j1")
    other.note(1.5, "lane", "started", job="j1")
    assert len({one.hash(), other.hash(), History().hash()}) == 3
