"""The retry policy: what it refuses, and how long it waits."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from triphase_protocol import NO_RETRY, DefinitionError, Retry

from .strategies import retries


@pytest.mark.parametrize(
    ("field", "value", "must"),
    [
        ("attempts", 0, "a whole number, at least 1"),
        ("attempts", -1, "a whole number, at least 1"),
        ("attempts", 1.5, "a whole number, at least 1"),
        ("attempts", True, "a whole number, at least 1"),
        ("attempts", "3", "a whole number, at least 1"),
        ("backoff", -0.1, "a finite number, at least 0"),
        ("backoff", math.nan, "a finite number, at least 0"),
        ("backoff", "1", "a finite number, at least 0"),
        ("factor", 0.5, "a finite number, at least 1"),
        ("factor", math.inf, "a finite number, at least 1"),
        ("factor", None, "a finite number, at least 1"),
        ("limit", -1.0, "a finite number, at least 0"),
        ("limit", math.inf, "a finite number, at least 0"),
    ],
)
def test_a_bad_number_is_refused_by_name_and_value(field: str, value: Any, must: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        Retry(**{field: value})
    assert str(refused.value) == f"Retry({field}={value!r}): must be {must}"


def test_the_least_numbers_are_accepted() -> None:
    policy = Retry(attempts=1, backoff=0, factor=1, limit=0)
    assert policy.delay(1, 1.0) == 0.0


def test_a_phase_without_a_policy_is_tried_once() -> None:
    assert NO_RETRY.attempts == 1


def test_the_longest_wait_grows_by_the_factor_up_to_the_limit() -> None:
    policy = Retry(attempts=9, backoff=1.5, factor=2.0, limit=10.0, jitter=False)
    assert [policy.delay(n, 0.0) for n in range(1, 6)] == [1.5, 3.0, 6.0, 10.0, 10.0]


def test_jitter_draws_from_nothing_to_the_longest_wait() -> None:
    policy = Retry(attempts=9, backoff=2.0)
    assert [policy.delay(2, draw) for draw in (0.0, 0.25, 1.0)] == [0.0, 1.0, 4.0]


@pytest.mark.parametrize("factor", [1, 1.0, 1.0000001, 2, 2.0, 1e300])
@pytest.mark.parametrize("backoff", [0.0, 1e-300, 1.0, 1e300])
def test_no_number_of_failures_overflows(backoff: float, factor: float) -> None:
    policy = Retry(attempts=10_000, backoff=backoff, factor=factor, limit=60.0, jitter=False)
    assert 0.0 <= policy.delay(10_000, 1.0) <= 60.0


def test_a_small_backoff_still_comes_to_the_limit() -> None:
    policy = Retry(attempts=200, backoff=1e-15, factor=2.0, limit=1e6, jitter=False)
    assert policy.delay(100, 1.0) == 1e6
    assert Retry(attempts=3, backoff=1e-25, factor=1e30, jitter=False).delay(2, 1.0) == 300.0


@given(retries, st.integers(1, 10_000), st.floats(0, 1))
def test_every_wait_is_within_its_bounds(policy: Retry, failures: int, draw: float) -> None:
    assert 0.0 <= policy.delay(failures, draw) <= policy.limit


@given(retries, st.integers(1, 2_000))
def test_the_longest_wait_never_shrinks(policy: Retry, failures: int) -> None:
    assert policy.delay(failures, 1.0) <= policy.delay(failures + 1, 1.0)


@given(retries, st.integers(1, 50), st.floats(0, 1))
def test_without_jitter_the_draw_does_not_matter(policy: Retry, failures: int, draw: float) -> None:
    assume(not policy.jitter)
    assert policy.delay(failures, draw) == policy.delay(failures, 1.0)
