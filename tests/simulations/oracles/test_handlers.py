from __future__ import annotations

import attrs

from triphase_protocol import EventType, StopHow
from triphase_simulations.history import Entry, Ran
from triphase_simulations.oracles import judge

from .played import (
    CALM,
    blamed,
    calm,
    event_of,
    id_of,
    messages,
    saying,
    with_data,
    with_entries,
    with_ran,
)


def test_o7_a_handler_runs_beside_another() -> None:
    def change(ran: Ran) -> Ran:
        mine = ran.job == id_of("long") and ran.run == 1 and ran.phase == "a"
        return attrs.evolve(ran, ended=(ran.ended or 0.0) + 0.25) if mine else ran

    assert blamed(with_ran(change)) == {"O7"}


def test_o7_a_handler_runs_on_when_its_try_has_failed() -> None:
    def change(ran: Ran) -> Ran:
        mine = ran.job == id_of("long") and (ran.run, ran.phase) == (1, "b")
        return attrs.evolve(ran, ended=(ran.ended or 0.0) + 0.001) if mine else ran

    (violation,) = judge(with_ran(change), CALM)
    assert violation.normalised == "O7: the handler of b ran on after phase.failed"


def test_o7_a_handler_that_was_given_up_may_run_on() -> None:
    def change(ran: Ran) -> Ran:
        mine = ran.job == id_of("long") and (ran.run, ran.phase) == (1, "b")
        return attrs.evolve(ran, ended=(ran.ended or 0.0) + 0.001) if mine else ran

    failed = event_of("long", EventType.PHASE_FAILED)
    history = with_data(failed.seq, how=StopHow.ABANDONED.value)
    assert blamed(attrs.evolve(history, ran=with_ran(change).ran)) == set()


def test_o11_a_task_of_the_runtime_is_left() -> None:
    def change(entry: Entry) -> Entry:
        left = [*entry.data.get("left", ()), "job:j2:1"]
        return saying(entry, left=left) if entry.what == "ended" else entry

    assert blamed(with_entries(change)) == {"O11"}


def test_o11_something_is_committed_while_no_process_is_there() -> None:
    back = event_of("last", EventType.PHASE_STARTED, nth=2)
    gone = next(entry.time for entry in calm().all("ended"))
    log = tuple(
        attrs.evolve(event, at=1_700_000_000.0 + gone + 0.25) if event.seq == back.seq else event
        for event in calm().log
    )
    assert "O11" in blamed(attrs.evolve(calm(), log=log))


def test_o11_a_run_is_left_behind() -> None:
    put_back = event_of("last", EventType.JOB_SCHEDULED)
    later = {
        event.seq: attrs.evolve(event, at=event.at + 0.5)
        for event in calm().events_of(id_of("last"))
        if put_back.seq - 1 <= event.seq <= put_back.seq + 1
    }
    due = later[put_back.seq].at
    later[put_back.seq] = attrs.evolve(put_back, at=due, data={**put_back.data, "due_at": due})
    log = tuple(later.get(event.seq, event) for event in calm().log)
    assert blamed(attrs.evolve(calm(), log=log)) == {"O11"}


def test_o11_a_job_is_started_by_a_process_that_was_to_start_nothing_more() -> None:
    def change(entry: Entry) -> Entry:
        # "last" is submitted and started after this.
        early = entry.what == "leaving" and entry.lane == "node"
        return attrs.evolve(entry, time=18.5) if early else entry

    assert messages(with_entries(change)) >= {
        "O11: a job was started when its process was to start nothing more"
    }
