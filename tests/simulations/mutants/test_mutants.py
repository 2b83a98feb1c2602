"""Each mutant can be switched on and off, says what it is, and some of them die here."""

from __future__ import annotations

import re
from collections import Counter

import attrs
import pytest

from triphase_simulations.exploring import Means, seed_of
from triphase_simulations.mutants import MUTANTS, Mutant, Swap, hunt, hunt_all
from triphase_simulations.mutants.hunting import clean
from triphase_simulations.mutants.mutant import MISSING
from triphase_simulations.oracles import ORACLES
from triphase_simulations.suites import SUITES

SEED = 1
MOST = 25

FAST = (
    "attempts-ignored",
    "cancel-leaves-phases",
    "cancelled-before-it-stopped",
    "gate-not-after-a-restart",
    "gateway-resume-skips-one",
    "hook-delivered-beforehand",
    "limit-off-by-one",
    "orphans-stay",
    "published-before-the-commit",
    "rescued-by-the-clock",
    "resume-skips-one",
    "retry-drops-results",
    "run-number-reused",
    "slot-leaks-at-a-crash",
    "terminal-event-twice",
    "too-many-requests-is-final",
)
"""Of each subject some that die at once; the rest are hunted by the command line."""

BY_THEMSELVES = {"stuck", "crash"}
"""What stands for an oracle when a run does not come to its end."""


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 40


def test_their_names_and_texts_are_unique() -> None:
    for texts in (
        [mutant.name for mutant in MUTANTS.values()],
        [mutant.says for mutant in MUTANTS.values()],
    ):
        assert [text for text, count in Counter(texts).items() if count > 1] == []
    assert all(name == mutant.name for name, mutant in MUTANTS.items())


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_it_says_what_it_is(mutant: Mutant) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", mutant.name)
    assert mutant.says[0].isupper() or mutant.says[0] == "`"
    assert mutant.says.endswith(".")
    assert mutant.shipped
    assert not mutant.shipped.endswith(".")
    assert mutant.oracles
    assert set(mutant.oracles) <= {oracle.name for oracle in ORACLES} | BY_THEMSELVES
    assert mutant.suites
    assert set(mutant.suites) <= set(SUITES)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_it_leaves_the_code_as_it_was(mutant: Mutant) -> None:
    places = [(swap.target, swap.name) for swap in mutant.swaps()]
    before = [present(*place) for place in places]
    with mutant.apply() as swaps:
        assert [present(*place) for place in places] == [swap.value for swap in swaps]
        assert all(swap.value is not old for swap, old in zip(swaps, before, strict=True))
    assert [present(*place) for place in places] == before
    with pytest.raises(ZeroDivisionError), mutant.apply():
        raise ZeroDivisionError
    assert [present(*place) for place in places] == before


def present(target: object, name: object) -> object:
    return Swap(target, name, None).present()


def test_what_was_not_there_is_gone_again() -> None:
    class Base:
        def word(self) -> str:
            return "base"

    class Derived(Base):
        pass

    def word(self: Base) -> str:
        return "mutant"

    table: dict[str, int] = {}
    swaps = [Swap(Derived, "word", word), Swap(table, "entry", 1)]
    mutant = Mutant(
        name="a-b", says="A.", shipped="here", oracles=("O1",), suites=(), swaps=lambda: swaps
    )
    with mutant.apply():
        assert (Derived().word(), table) == ("mutant", {"entry": 1})
    assert (Derived().word(), table) == ("base", {})
    assert [swap.present() for swap in swaps] == [MISSING, MISSING]


@pytest.mark.parametrize("name", FAST)
def test_it_dies(name: str) -> None:
    mutant = MUTANTS[name]
    found = hunt(mutant, scenarios=MOST, seed=SEED)
    assert found.killed
    assert {found.oracle, *found.also} & set(mutant.oracles)
    # What is reported shows it again.
    assert found.suite is not None
    assert found.seed == seed_of(SEED, found.scenarios - 1)


def test_what_shows_it_is_made_small() -> None:
    mutant = MUTANTS["rescued-by-the-clock"]
    (found,) = hunt_all([mutant], scenarios=MOST, seed=SEED)
    assert found.shrunk is not None
    assert found.shrunk.confirmed
    assert found.shrunk.jobs[1] == 1
    assert any(line.startswith("submit") for line in found.smallest)


def test_several_processes_find_the_same() -> None:
    planted = [MUTANTS[name] for name in ("run-number-reused", "cancel-leaves-phases")]
    ways = [hunt_all(planted, jobs=jobs, scenarios=MOST, seed=SEED) for jobs in (1, 2)]
    one, other = ([attrs.evolve(each, seconds=0.0) for each in way] for way in ways)
    assert one == other


def test_without_a_mutant_all_is_well() -> None:
    means = Means()
    for suite in sorted({suite for name in FAST for suite in MUTANTS[name].suites}):
        for number in range(8):
            assert clean(suite, seed_of(SEED, number), means) == frozenset()


def test_a_mutant_that_does_nothing_lives() -> None:
    nothing = Mutant(
        name="a-b",
        says="Nothing is wrong.",
        shipped="nowhere",
        oracles=("O1",),
        suites=("cancel_at_phase_boundary", "restart"),
        swaps=list,
    )
    found = hunt(nothing, scenarios=6, seed=SEED)
    assert (found.killed, found.oracle, found.seed, found.scenarios) == (False, None, None, 6)
