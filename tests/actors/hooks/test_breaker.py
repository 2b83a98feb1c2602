"""A circuit breaker, by its rules and by random lives."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from triphase.hooks.breaker import Breaker, BreakerState, Tripping
from triphase_protocol import DefinitionError

TRIPPING = Tripping(failures=3, pause=10.0, limit=35.0)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(3):
        breaker = breaker.begun(now).failed(breaker.round, now, TRIPPING)
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(2):
        breaker = breaker.failed(0, 0.0, TRIPPING)
        assert breaker.state(0.0) is BreakerState.CLOSED
    assert breaker.succeeded(0).failures == 0
    breaker = breaker.failed(0, 0.0, TRIPPING)
    assert [breaker.state(now) for now in (0.0, 9.9, 10.0)] == [
        BreakerState.OPEN,
        BreakerState.OPEN,
        BreakerState.HALF_OPEN,
    ]
    assert [breaker.admits(now) for now in (0.0, 9.9, 10.0)] == [False, False, True]


def test_half_open_it_admits_one() -> None:
    probing = opened().begun(10.0)
    assert not probing.admits(10.0)
    assert not probing.admits(1000.0)
    with pytest.raises(ValueError, match="admits nothing"):
        probing.begun(10.0)
    with pytest.raises(ValueError, match="admits nothing"):
        opened().begun(9.0)


def test_a_probe_that_succeeds_closes_it() -> None:
    probing = opened().begun(10.0)
    closed = probing.succeeded(probing.round)
    assert closed.state(10.0) is BreakerState.CLOSED
    assert closed.failures == 0
    # And it takes as many failures as before to open it.
    assert closed.failed(closed.round, 10.0, TRIPPING).state(10.0) is BreakerState.CLOSED


def test_each_probe_that_fails_opens_it_for_twice_as_long() -> None:
    breaker, now, pauses = opened(), 0.0, list[float]()
    for _ in range(4):
        assert breaker.until is not None
        pauses.append(breaker.until - now)
        now = breaker.until
        breaker = breaker.begun(now).failed(breaker.round, now, TRIPPING)
    assert pauses == [10.0, 20.0, 35.0, 35.0]


def test_after_very_many_failures_it_still_opens() -> None:
    breaker = Breaker(until=0.0, opened=10**6).begun(1.0)
    assert breaker.failed(0, 1.0, TRIPPING).until == 36.0


def test_a_probe_that_was_cancelled_leaves_its_place_to_another() -> None:
    probing = opened().begun(10.0)
    assert probing.abandoned(probing.round).admits(10.0)
    assert probing.abandoned(probing.round - 1) == probing


def test_what_was_sent_before_it_opened_says_nothing() -> None:
    breaker = opened()
    assert breaker.succeeded(0) == breaker
    assert breaker.failed(0, 5.0, TRIPPING) == breaker
    probing = breaker.begun(10.0)
    assert probing.failed(0, 11.0, TRIPPING) == probing
    closed = probing.succeeded(probing.round)
    assert closed.failed(0, 11.0, TRIPPING) == closed


@pytest.mark.parametrize(
    "wrong",
    [{"failures": 0}, {"pause": 0.0}, {"pause": float("inf")}, {"limit": float("nan")}],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    [(name, _)] = wrong.items()
    with pytest.raises(DefinitionError, match=rf"Tripping\({name}="):
        Tripping(**wrong)  # type: ignore[arg-type]


class Lives(RuleBasedStateMachine):
    """A breaker among sends that begin and end as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.under_way: list[tuple[int, bool]] = []

    @rule(seconds=st.floats(0, 50))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.breaker.admits(self.now))
    @rule()
    def begin(self) -> None:
        probe = self.breaker.state(self.now) is BreakerState.HALF_OPEN
        self.breaker = self.breaker.begun(self.now)
        self.under_way.append((self.breaker.round, probe))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), ending=st.sampled_from(["received", "failed", "cancelled"]))
    def end(self, data: st.DataObject, ending: str) -> None:
        index = data.draw(st.integers(0, len(self.under_way) - 1))
        round, probe = self.under_way.pop(index)
        before = self.breaker
        if ending == "received":
            self.breaker = before.succeeded(round)
            if probe:
                assert self.breaker.state(self.now) is BreakerState.CLOSED
        elif ending == "failed":
            self.breaker = before.failed(round, self.now, TRIPPING)
            if probe:
                assert self.breaker.state(self.now) is BreakerState.OPEN
        else:
            self.breaker = before.abandoned(round)
        if before.until is not None and not probe:
            assert self.breaker == before

    @invariant()
    def one_probe_at_most_is_under_way(self) -> None:
        probes = [round for round, probe in self.under_way if probe]
        assert len(probes) == self.breaker.probing
        assert all(round == self.breaker.round for round in probes)

    @invariant()
    def it_is_never_shut_for_good(self) -> None:
        later = self.now + TRIPPING.limit
        assert self.breaker.probing or self.breaker.admits(later)

    @invariant()
    def failures_in_a_row_are_below_the_bound_while_it_is_closed(self) -> None:
        if self.breaker.until is None:
            assert self.breaker.failures < TRIPPING.failures
        else:
            assert self.breaker.failures >= TRIPPING.failures


TestLives = Lives.TestCase
