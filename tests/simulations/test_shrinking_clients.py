"""Shrinking scenarios with clients: those that are not needed go, with what they do."""

from __future__ import annotations

import attrs
import pytest

from triphase_simulations.exploring import Means
from triphase_simulations.mutants import MUTANTS, hunt_all
from triphase_simulations.plan import Plan
from triphase_simulations.scenario import Anchor, ClientPlan, JobPlan, Op, PicturePlan, Scenario
from triphase_simulations.shrinking import by_others, without_clients

from .conftest import busy_scenario, shrunk_while

AT_ONCE = Anchor(at=0.0)

SCENARIO = attrs.evolve(
    busy_scenario(),
    jobs=(
        JobPlan(name="mine", type="Film"),
        JobPlan(name="one", type="Film", via="c1"),
        JobPlan(name="two", type="Film", via="c2"),
    ),
    ops=(
        Op(what="cancel", job="mine", when=AT_ONCE),
        Op(what="wait", job="one", when=AT_ONCE, via="c1"),
        Op(what="crash", when=AT_ONCE, via="c1"),
        Op(what="deaf", when=AT_ONCE, about=5.0, via="c2"),
        Op(what="get", job="two", when=AT_ONCE, via="c2"),
        Op(what="crash", when=AT_ONCE),
    ),
    clients=tuple(ClientPlan(name=f"c{number}") for number in range(3)),
    pictures=(PicturePlan(name="p0"),),
)


def names(scenario: Scenario) -> list[str]:
    """Return the names of the clients."""
    return [client.name for client in scenario.clients]


def test_what_needs_no_client_has_none() -> None:
    small = shrunk_while(SCENARIO, lambda scenario: True)
    assert (small.clients, small.pictures, small.jobs, small.ops) == ((), (), (), ())


@pytest.mark.parametrize("needed", ["c0", "c1", "c2"])
def test_the_one_client_that_is_needed_is_left(needed: str) -> None:
    small = shrunk_while(SCENARIO, lambda scenario: needed in names(scenario))
    assert names(small) == [needed]
    assert (small.jobs, small.ops, small.pictures) == ((), (), ())


def test_a_job_that_is_needed_is_submitted_by_somebody_else() -> None:
    small = shrunk_while(SCENARIO, lambda scenario: any(job.name == "two" for job in scenario.jobs))
    assert names(small) == []
    assert small.jobs == (JobPlan(name="two", type="Film"),)


def test_who_needs_a_client_keeps_it() -> None:
    small = shrunk_while(SCENARIO, lambda scenario: any(op.via == "c1" for op in scenario.ops))
    assert names(small) == ["c1"]
    assert [(op.what, op.via) for op in small.ops] in ([("wait", "c1")], [("crash", "c1")])


def test_a_picture_that_is_needed_is_left() -> None:
    small = shrunk_while(SCENARIO, lambda scenario: bool(scenario.pictures))
    assert (names(small), small.pictures) == ([], (PicturePlan(name="p0"),))


def test_clients_go_with_what_they_do() -> None:
    small = without_clients(SCENARIO, {"c2"})
    assert [job.name for job in small.jobs] == ["mine", "two"]
    assert [(op.what, op.via) for op in small.ops] == [
        ("cancel", None),
        ("deaf", "c2"),
        ("get", "c2"),
        ("crash", None),
    ]


def test_others_do_what_clients_did_and_nothing_is_done_to_them() -> None:
    small = by_others(SCENARIO, {"c2"})
    assert [(job.name, job.via) for job in small.jobs] == [
        ("mine", None),
        ("one", None),
        ("two", "c2"),
    ]
    # The crash of a client must not become one of the server.
    assert [(op.what, op.via) for op in small.ops] == [
        ("cancel", None),
        ("wait", None),
        ("deaf", "c2"),
        ("get", "c2"),
        ("crash", None),
    ]


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (
            attrs.evolve(SCENARIO, clients=SCENARIO.clients[1:], ops=SCENARIO.ops[:1]),
            None,
        ),
        (
            attrs.evolve(SCENARIO, clients=SCENARIO.clients[:2], ops=()),
            "InvalidValue: job two: via='c2': there is no such client",
        ),
        (
            attrs.evolve(SCENARIO, clients=(), jobs=()),
            "InvalidValue: op 1, wait: via='c1': there is no such client",
        ),
        (
            attrs.evolve(SCENARIO, clients=(), jobs=(), ops=SCENARIO.ops[2:]),
            "InvalidValue: op 0, crash: via='c1': there is no such client",
        ),
    ],
)
def test_a_client_that_is_not_there_is_named(scenario: Scenario, words: str | None) -> None:
    observed = Means().observe(scenario, Plan())
    said = [f"{each.oracle}: {each.message}" for each in observed.violations]
    assert said == ([] if words is None else [f"crash: {words}"])


def test_what_a_mutant_shows_needs_one_client() -> None:
    (found,) = hunt_all([MUTANTS["gateway-resume-skips-one"]], scenarios=25, seed=1)
    assert found.shrunk is not None
    assert found.shrunk.confirmed
    assert found.shrunk.jobs[1] <= 2
    assert sum(line.startswith("client ") for line in found.smallest) == 1
