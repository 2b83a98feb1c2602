"""Those who wait, read and ask over a network: what they are told wrong or late is said."""

from __future__ import annotations

import attrs
import pytest

from triphase_protocol import EventType
from triphase_simulations.history import Entry, History
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, Op

from .followed import (
    FOLLOWED,
    REMOTE,
    doctored,
    event,
    faults,
    followed,
    is_received,
    lost,
)
from .played import saying

LONG, STAYS, LATER, GET = (f"op:{REMOTE + number}" for number in range(4))
"""The lanes of a wait for an end, of one that times out, of one that came late, and of a read."""

SUBMIT = "client:third"


def answered(lane: str, later: float = 0.0, what: str | None = None, **changes: object) -> set[str]:
    """Return what is said if a call is answered later, or otherwise."""
    return faults(answering(lane, later, what, **changes))


def answering(lane: str, later: float = 0.0, what: str | None = None, **changes: object) -> History:
    """Return a history in which a call is answered later, or otherwise."""

    def change(entry: Entry) -> Entry:
        if entry.lane != lane or entry.what not in ("answered", "denied"):
            return entry
        time, data = entry.time + later, {**entry.data, **changes}
        return attrs.evolve(entry, time=time, what=what or entry.what, data=data)

    return doctored(change)


def unanswered(lane: str) -> History:
    """Return a history in which a call is not answered."""
    return doctored(
        lambda entry: None if entry.lane == lane and entry.what in ("answered", "denied") else entry
    )


def test_the_calls_are_what_they_are_taken_for() -> None:
    calls = {entry.lane: entry for entry in followed().all("answered", "denied")}
    assert calls[LONG].data["answer"]["type"] == "Completed"
    assert calls[STAYS].data["error"] == "timed_out"
    assert calls[LATER].data["answer"]["run"] > calls[LONG].data["answer"]["run"]
    assert calls[GET].data["answer"]["state"] == "completed"
    assert all(calls[lane].data["via"] in ("c0", "c1") for lane in (LONG, STAYS, LATER, GET))
    assert calls[SUBMIT].data["via"] == "c0"


# O4


@pytest.mark.parametrize("lane", [LONG, STAYS, LATER])
def test_o4_a_wait_is_left_open(lane: str) -> None:
    assert faults(unanswered(lane)) == {"O4: a wait over a connection was left open"}


def test_o4_a_wait_of_a_program_that_died_is_answered_to_nobody() -> None:
    history = unanswered(LONG)
    place = next(at for at, entry in enumerate(history.entries) if entry.lane == LONG)
    killed = attrs.evolve(history.entries[place], lane="c0", what="killed", data={"why": "so"})
    entries = [*history.entries[: place + 1], killed, *history.entries[place + 1 :]]
    assert not any("wait" in fault for fault in faults(attrs.evolve(history, entries=entries)))


def test_o4_a_wait_of_a_program_that_died_at_the_very_end_is_answered_to_nobody() -> None:
    history = unanswered(STAYS)
    place = next(at for at, entry in enumerate(history.entries) if entry.what == "quiet")
    killed = attrs.evolve(
        history.entries[-1], lane="c0", what="killed", data={"why": "so"}, time=history.seconds
    )
    entries = [*history.entries[:place], killed, *history.entries[place:]]
    found = faults(attrs.evolve(history, entries=entries))
    assert "O4: a wait over a connection was left open" not in found


def test_o4_a_wait_does_not_return_at_the_end() -> None:
    assert answered(LONG, later=0.1) == set()
    assert answered(LONG, later=0.25) == {"O4: a wait did not return at the job's job.completed"}


def test_o4_a_wait_that_was_disturbed_may_take_its_time() -> None:
    history = attrs.evolve(answering(LONG, later=5.0), used={("delay", "node>c0", 3): 1.0})
    assert faults(history) == set()


def test_o4_a_wait_of_who_is_deaf_may_take_its_time() -> None:
    deaf = Entry(time=0.0, lane="c0", what="deaf", data={"seconds": 9.0})
    history = answering(LONG, later=5.0)
    assert faults(attrs.evolve(history, entries=[deaf, *history.entries])) == set()


@pytest.mark.parametrize("kind", ["hold", "cut"])
def test_o4_no_wait_takes_much_longer_than_its_timeout(kind: str) -> None:
    for later, said in ((1.9, set[str]()), (2.1, {"O4: a wait of N s took N s"})):
        history = answering(STAYS, later=later)
        assert faults(attrs.evolve(history, used={(kind, "somewhere", 1): 1.0})) == said


def test_o4_a_wait_times_out_too_early() -> None:
    assert answered(STAYS, later=-0.1) == {"O4: a wait of N s timed out after N s"}


def test_o4_a_wait_times_out_and_the_end_was_there() -> None:
    timed_out = {"error": "timed_out", "message": "it has not ended"}
    history = answering(LONG, later=1.0, what="denied", **timed_out)
    ops = list(FOLLOWED.ops)
    ops[REMOTE] = attrs.evolve(ops[REMOTE], about=3.0)
    scenario = attrs.evolve(FOLLOWED, ops=tuple(ops))
    assert faults(history, scenario) == {"O4: a wait did not return at the job's job.completed"}


def test_o4_a_wait_that_nothing_limits_times_out() -> None:
    said = answered(LONG, what="denied", error="timed_out", message="no")
    assert said == {"O4: a wait of inf s timed out after N s"}


@pytest.mark.parametrize("code", ["closed", "crashed", "connection_lost", "unavailable"])
def test_o4_a_wait_is_told_of_what_is_no_end(code: str) -> None:
    said = answered(LONG, what="denied", error=code, message="no")
    assert said == {f"O4: a wait over a connection was told {code}"}


@pytest.mark.parametrize("code", ["not_found", "gone"])
def test_o4_a_wait_does_not_find_a_job_that_is_there(code: str) -> None:
    said = answered(LONG, what="denied", error=code, message="no")
    assert said == {f"O4: a wait for a job that was not deleted was told {code}"}


def test_o4_a_wait_says_another_end() -> None:
    said = answered(LONG, answer={"type": "Failed", "run": 1})
    assert said == {"O4: a wait returned Failed, and the job had not ended so"}


def test_o4_a_wait_says_the_end_of_another_run() -> None:
    (later,) = (entry for entry in followed().all("answered") if entry.lane == LATER)
    said = answered(LONG, answer=later.data["answer"])
    assert said == {"O4: a wait returned Completed, and the job had not ended so"}


def test_o4_a_wait_says_the_end_before_it_came() -> None:
    said = answered(LONG, later=-0.5)
    assert said == {"O4: a wait returned Completed, and the job had not ended so"}


def test_o4_a_wait_for_a_deleted_job_may_not_find_it() -> None:
    scenario = attrs.evolve(
        FOLLOWED,
        jobs=FOLLOWED.jobs[2:3],
        ops=(Op(what="wait", job="third", when=Anchor(at=70.0), via="c1"),),
        retention=1.0,
    )
    history = run_scenario(scenario, Plan())
    (denied,) = history.all("denied")
    assert (denied.data["op"], denied.data["error"]) == ("wait", "gone")
    assert faults(history, scenario) == set()


# O3


def test_o3_an_event_is_received_before_it_is_committed() -> None:
    seq = event("long", EventType.PHASE_COMPLETED).seq

    def change(entry: Entry) -> Entry:
        return saying(entry, committed=seq - 1) if is_received(entry, "c0", seq) else entry

    assert faults(doctored(change)) == {"O3: it was received before it was committed"}


def looked(**changes: object) -> set[str]:
    """Return what is said if a client finds another record after the end of a job."""
    seq = event("long", EventType.JOB_COMPLETED).seq

    def change(entry: Entry) -> Entry:
        mine = is_received(entry, "c1", seq, "looked")
        return saying(entry, **changes) if mine else entry

    return faults(doctored(change))


def test_o3_an_older_version_is_read_over_a_connection() -> None:
    version = event("long", EventType.JOB_COMPLETED).version
    assert looked(version=version) == set()
    said = looked(version=version - 1)
    assert said == {"O3: version N was read after version N was heard"}


def test_o3_another_state_is_read_over_a_connection() -> None:
    assert looked(state="running") == {"O3: the row of version N said running, not completed"}


def test_o3_a_job_is_not_found_over_a_connection() -> None:
    assert looked(gone=True) == {"O3: a job that was not deleted was not found after its event"}


def test_o3_a_call_over_a_connection_is_answered_with_what_was_never_written() -> None:
    answer = next(entry for entry in followed().all("answered") if entry.lane == GET).data["answer"]
    assert answered(GET, answer=answer) == set()
    assert answered(GET, answer={**answer, "version": answer["version"] + 50}) == {
        "O3: a get was answered with version N: it is not in the log"
    }
    assert answered(GET, answer={**answer, "state": "running"}) == {
        "O3: a get was answered with running, which version N is not"
    }


# O24


def test_o24_a_submit_over_a_connection_is_answered_and_no_job_is_there() -> None:
    assert any("O24" in fault for fault in answered(SUBMIT, answer={"id": "j999"}))


def test_a_job_that_was_deleted_is_gone_for_whoever_looks() -> None:
    history = lost(0)
    assert any(entry.data.get("gone") for entry in history.all("looked", "read"))
