"""What is known of receivers: how much is on its way to them, and which are left alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from triphase.hooks.breaker import Tripping
from triphase.hooks.endpoints import KEPT_MOST, Endpoints

A, B = "https://a.example/", "https://b.example/"


def endpoints(most: int = 2, failures: int = 2, pause: float = 10.0) -> Endpoints:
    """Endpoints that open early."""
    return Endpoints(most, Tripping(failures=failures, pause=pause))


def test_so_many_are_admitted_to_each() -> None:
    each = endpoints(most=2)
    for _ in range(2):
        assert each.admits(A, 0.0)
        each.begin(A, 0.0)
    assert not each.admits(A, 0.0)
    assert each.is_full(A)
    assert each.resting(0.0) == [], "it has no room, and is well"
    assert each.admits(B, 0.0)
    each.ended(A, 0)
    assert each.admits(A, 0.0)


def test_after_failures_one_is_left_alone_and_then_one_may_try() -> None:
    each = endpoints(failures=2, pause=10.0)
    for _ in range(2):
        round = each.begin(A, 5.0)
        each.failed(A, round, 5.0)
        each.ended(A, round)
    assert each.resting(14.9) == [A]
    assert (each.open(14.9), each.opens_at(14.9)) == (1, 15.0)
    assert each.resting(15.0) == []
    round = each.begin(A, 15.0)
    assert each.resting(15.0) == [A]
    each.succeeded(A, round)
    each.ended(A, round)
    assert each.resting(15.0) == []
    assert each.opens_at(15.0) == math.inf


def test_a_probe_that_was_cancelled_lets_another_try() -> None:
    each = endpoints(failures=1, pause=10.0)
    round = each.begin(A, 0.0)
    each.failed(A, round, 0.0)
    each.ended(A, round)
    probe = each.begin(A, 10.0)
    assert not each.admits(A, 10.0)
    each.ended(A, probe)
    assert each.admits(A, 10.0)


def test_one_that_is_forgiven_is_closed_whatever_was_on_its_way() -> None:
    each = endpoints(failures=1)
    early = each.begin(A, 0.0)
    late = each.begin(A, 0.0)
    each.failed(A, early, 0.0)
    each.ended(A, early)
    assert not each.admits(A, 1.0)
    each.forgive(A)
    assert each.admits(A, 1.0)
    each.failed(A, late, 1.0)
    each.ended(A, late)
    assert each.admits(A, 1.0)


def test_one_that_was_never_seen_can_be_forgiven() -> None:
    each = endpoints()
    each.forgive(A)
    assert each.admits(A, 0.0)


def test_so_many_that_fail_are_remembered() -> None:
    each = endpoints(failures=1, pause=1e6)
    for number in range(KEPT_MOST + 5):
        url = f"https://{number}.example/"
        round = each.begin(url, 0.0)
        each.failed(url, round, 0.0)
        each.ended(url, round)
    assert each.open(1.0) == KEPT_MOST
    assert each.admits("https://4.example/", 1.0)
    assert not each.admits("https://5.example/", 1.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([A, B]),
        st.sampled_from(["begin", "succeed", "fail", "cancel", "forgive"]),
        st.floats(0.0, 20.0),
    ),
    max_size=60,
)


@given(STEPS)
def test_what_has_ended_holds_up_nothing_for_ever(steps: list[tuple[str, str, float]]) -> None:
    each, now = endpoints(most=3, failures=2, pause=10.0), 0.0
    under_way: dict[str, list[int]] = {A: [], B: []}
    for url, kind, seconds in steps:
        now += seconds
        rounds = under_way[url]
        if kind == "begin" and each.admits(url, now):
            rounds.append(each.begin(url, now))
        elif kind == "forgive":
            each.forgive(url)
        elif kind != "begin" and rounds:
            round = rounds.pop(0)
            if kind == "succeed":
                each.succeeded(url, round)
            elif kind == "fail":
                each.failed(url, round, now)
            each.ended(url, round)
        assert len(rounds) <= 3
        assert each.is_full(url) == (len(rounds) == 3)
        assert each.admits(url, now) == (url not in each.resting(now) and len(rounds) < 3)
    for url, rounds in under_way.items():
        for round in rounds:
            each.ended(url, round)
        assert each.admits(url, now + 1e9)
    assert each.resting(now + 1e9) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, "Sending(limit)=0"),
        ({"limit_each": True}, "Sending(limit_each)=True"),
        ({"allow": ["300.1.1.1"]}, "'300.1.1.1' is no address"),
        ({"retry": 3}, "Sending(retry=3): must be a triphase.Retry"),
        ({"client": object(), "sender": object()}, "one of them sends, not both"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: Any, words: str) -> None:
    from triphase import DefinitionError, Sending

    with pytest.raises(DefinitionError) as caught:
        Sending(**options)
    assert words in str(caught.value)
