"""The suite of clients: it draws what it says, and a seed is a run."""

from __future__ import annotations

import functools

from triphase_protocol import decode, encode
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.exploring import plan_of, play
from triphase_simulations.oracles import judge
from triphase_simulations.plan import Plan
from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import ClientPlan, JobPlan, Scenario
from triphase_simulations.suites import SUITES
from triphase_simulations.suites.streams import DEAF, KINDS

STREAMS = SUITES["streams"]
SEEDS = range(1, 201)


@functools.cache
def drawn() -> tuple[Scenario, ...]:
    """Return the scenarios of some seeds."""
    return tuple(STREAMS.scenario(seed) for seed in SEEDS)


def test_it_draws_clients_of_every_kind() -> None:
    clients = [client for scenario in drawn() for client in scenario.clients]
    assert {len(scenario.clients) for scenario in drawn()} == {1, 2, 3}
    assert {len(scenario.pictures) for scenario in drawn()} == {0, 1}
    for kind in (
        [client for client in clients if client.job],
        [client for client in clients if client.types],
        [client for client in clients if client.events],
        [client for client in clients if not (client.job or client.types or client.events)],
        [client for client in clients if client.reads],
        [client for client in clients if client.pause],
        [client for client in clients if client.begins],
    ):
        assert 10 < len(kind) < len(clients) - 10


def test_it_draws_what_disturbs_and_what_is_small() -> None:
    assert {kind for scenario in drawn() for kind in scenario.kinds} == set(KINDS)
    assert () in {scenario.kinds for scenario in drawn()}
    assert {scenario.ring for scenario in drawn()} == {None, 2, 4, 16}
    assert {scenario.capacity for scenario in drawn()} == {65536, 2000, 700}
    assert {scenario.retention for scenario in drawn()} == {None, 2.0}


def test_it_draws_what_is_done_over_connections() -> None:
    ops = [op for scenario in drawn() for op in scenario.ops]
    remote = {op.what for op in ops if op.via is not None}
    assert remote == {"wait", "cancel", "retry", "get", "crash", "deaf"}
    assert {op.what for op in ops if op.via is None} == {"crash", "restart"}
    assert {op.about for op in ops if op.what == "deaf"} == set(DEAF)
    assert {op.about for op in ops if op.what == "wait"} == {None, 0.5, 5.0}
    vias = [job.via for scenario in drawn() for job in scenario.jobs]
    assert vias.count(None) > len(vias) / 2
    assert any(vias)


def test_it_names_nobody_who_is_not_there() -> None:
    for scenario in drawn():
        clients = {None, *(client.name for client in scenario.clients)}
        jobs = {None, *(job.name for job in scenario.jobs)}
        assert {job.via for job in scenario.jobs} <= clients
        assert {op.via for op in scenario.ops} <= clients
        assert {op.job for op in scenario.ops} <= jobs
        assert {client.job for client in scenario.clients} <= jobs


def test_some_runs_are_disturbed_by_nothing_but_slow_clients() -> None:
    calm = [scenario for scenario in drawn() if scenario.kinds == ("hold",)]
    assert len(calm) > 20
    assert sum(any(op.what == "deaf" for op in scenario.ops) for scenario in calm) > 20


def test_a_scenario_with_clients_is_the_same_when_it_was_saved() -> None:
    for scenario in drawn()[:40]:
        assert Scenario.from_json(decode(encode(scenario.to_json()))) == scenario


def test_a_seed_is_a_run() -> None:
    hashes = [
        [play(scenario, plan_of(scenario, seed)).history.hash() for _ in range(2)]
        for seed, scenario in zip(SEEDS[:10], drawn(), strict=False)
    ]
    assert all(first == second for first, second in hashes)
    assert len({first for first, _ in hashes}) == len(hashes)


def test_a_recorded_plan_does_the_same_again() -> None:
    kinds: set[str] = set()
    for seed, scenario in zip(SEEDS[:20], drawn(), strict=False):
        plan = Plan(seed, kinds=frozenset(KINDS))
        first = run_scenario(scenario, plan)
        again = Plan(seed, kinds=frozenset(), fixed=dict(plan.used))
        assert run_scenario(scenario, again).hash() == first.hash()
        kinds |= {kind for kind, _, _ in plan.used}
    assert kinds == set(KINDS)


def test_a_client_that_begins_when_all_is_over_hears_of_it() -> None:
    scenario = Scenario(
        suite="streams",
        types=(TypeSpec(name="U", phases=(PhaseSpec(name="a"),)),),
        jobs=(JobPlan(name="U0", type="U"),),
        clients=(ClientPlan(name="c0", job="U0", begins=2.0, pause=0.5), ClientPlan(name="c1")),
    )
    history = run_scenario(scenario, Plan())
    received = [entry.data["seq"] for entry in history.all("received") if entry.lane == "c0"]
    assert received == [event.seq for event in history.log]
    assert judge(history, scenario) == []


def test_a_client_that_follows_a_job_that_is_not_there_holds_up_nobody() -> None:
    scenario = Scenario(
        suite="streams",
        types=(TypeSpec(name="U", phases=(PhaseSpec(name="a"),)),),
        jobs=(JobPlan(name="U0", type="U"),),
        clients=(ClientPlan(name="c0", job="U9"),),
    )
    history = run_scenario(scenario, Plan())
    assert history.settled
    assert history.seconds < 5
    assert judge(history, scenario) == []
