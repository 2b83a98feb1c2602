"""What is decided about a child that has ended, without a task."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from triphase.actor.restarts import (
    Exit,
    Intensity,
    Restart,
    RestartHistory,
    Strategy,
    Verdict,
    affected,
    verdict,
    wanted,
)


@pytest.mark.parametrize(
    ("restart", "exit_", "again"),
    [
        (Restart.PERMANENT, Exit.NORMAL, True),
        (Restart.PERMANENT, Exit.CRASHED, True),
        (Restart.TRANSIENT, Exit.NORMAL, False),
        (Restart.TRANSIENT, Exit.CRASHED, True),
        (Restart.TEMPORARY, Exit.NORMAL, False),
        (Restart.TEMPORARY, Exit.CRASHED, False),
    ],
)
def test_who_is_started_again(restart: Restart, exit_: Exit, again: bool) -> None:
    assert wanted(exit_, restart) is again
    history = RestartHistory(Intensity(1, 5.0))
    expected = Verdict.RESTART if again else Verdict.REMOVE
    assert verdict(exit_, restart, history, 0.0) is expected


def test_one_restart_too_many_escalates() -> None:
    history = RestartHistory(Intensity(2, 5.0))
    verdicts = [verdict(Exit.CRASHED, Restart.PERMANENT, history, now) for now in (0.0, 1.0, 2.0)]
    assert verdicts == [Verdict.RESTART, Verdict.RESTART, Verdict.ESCALATE]


def test_who_is_not_started_again_is_not_counted() -> None:
    history = RestartHistory(Intensity(0, 5.0))
    for _ in range(5):
        assert verdict(Exit.CRASHED, Restart.TEMPORARY, history, 0.0) is Verdict.REMOVE


def test_no_intensity_escalates_at_once() -> None:
    assert not RestartHistory(Intensity(0, 5.0)).allows(0.0)


def test_a_restart_counts_for_one_period() -> None:
    history = RestartHistory(Intensity(1, 5.0))
    assert history.allows(0.0)
    assert history.allows(5.0)
    assert not history.allows(9.999)


@given(
    st.integers(0, 5),
    st.floats(0.1, 10),
    st.lists(st.floats(0, 5), max_size=30),
)
def test_no_period_has_more_restarts_than_are_allowed(
    most: int, period: float, gaps: list[float]
) -> None:
    history = RestartHistory(Intensity(most, period))
    now, allowed = 0.0, [-math.inf]
    for gap in gaps:
        now += gap
        if not history.allows(now):
            break
        allowed.append(now)
    for begin in allowed:
        assert sum(begin <= time < begin + period for time in allowed) <= max(most, 1)


@pytest.mark.parametrize(("restarts", "period"), [(-1, 5.0), (1, 0.0), (1, -1.0), (1, math.nan)])
def test_an_intensity_out_of_range_is_refused(restarts: int, period: float) -> None:
    with pytest.raises(ValueError, match=f"intensity={restarts}.*period={period}"):
        Intensity(restarts, period)


@pytest.mark.parametrize(
    ("strategy", "ended", "others"),
    [
        (Strategy.ONE_FOR_ONE, "b", []),
        (Strategy.ONE_FOR_ALL, "b", ["a", "c"]),
        (Strategy.REST_FOR_ONE, "a", ["b", "c"]),
        (Strategy.REST_FOR_ONE, "b", ["c"]),
        (Strategy.REST_FOR_ONE, "c", []),
    ],
)
def test_who_is_restarted_with_whom(strategy: Strategy, ended: str, others: list[str]) -> None:
    assert affected(strategy, ["a", "b", "c"], ended) == others
