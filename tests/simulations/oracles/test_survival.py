from __future__ import annotations

import attrs

from triphase_protocol import EventType
from triphase_simulations.history import Entry
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import Anchor, JobPlan, Op, Scenario

from .played import STAYS, TYPES, blamed, calm, event_of, id_of, saying, with_data, with_entries


def test_o12_the_run_does_not_settle() -> None:
    assert blamed(attrs.evolve(calm(), settled=False)) == {"O12"}


def test_o12_a_lost_run_is_not_put_back_first() -> None:
    started = event_of("stays", EventType.JOB_STARTED)
    assert blamed(with_data(started.seq, owner="j0")) == {"O12"}


def test_o24_an_accepted_job_is_not_in_the_log() -> None:
    def change(entry: Entry) -> Entry:
        mine = entry.lane == "client:third" and entry.what == "answered"
        return saying(entry, answer={"id": "j99"}) if mine else entry

    assert blamed(with_entries(change)) == {"O24"}


def test_o24_a_key_has_two_ids() -> None:
    entries = calm().entries
    place = next(
        at
        for at, entry in enumerate(entries)
        if entry.lane == "client:third" and entry.what == "answered"
    )
    asked = next(entry for entry in entries if entry.lane == "client:third")
    again = [asked, saying(entries[place], answer={"id": id_of("long")})]
    more = [*entries[: place + 1], *again, *entries[place + 1 :]]
    assert blamed(attrs.evolve(calm(), entries=more)) == {"O24"}


def test_o12_a_job_is_due_and_nobody_queues_it() -> None:
    scheduled = event_of("delayed", EventType.JOB_SCHEDULED)
    assert blamed(with_data(scheduled.seq, due_at=scheduled.at + 0.5)) == {"O12"}


def test_o12_a_job_runs_and_nothing_of_it_does() -> None:
    scenario = Scenario(
        suite="oracles",
        types=TYPES,
        jobs=(JobPlan(name="stays", type="T", script=STAYS),),
        ops=(Op(what="cancel", job="stays", when=Anchor(at=40.0)),),
        kinds=(),
    )
    history = run_scenario(scenario, Plan())
    assert blamed(history, scenario) == set()
    assert blamed(attrs.evolve(history, ran=[]), scenario) == {"O12"}
