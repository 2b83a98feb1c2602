"""What becomes of a hook after a try."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from triphase.hooks.answers import RETRY_AFTER_MOST, Answer, SendFailed
from triphase.hooks.policy import HOOK_RETRY, Again, Dead, Delivered, decide
from triphase_protocol import NO_RETRY, Retry

draws = st.floats(0, 1)
failed_statuses = st.integers(100, 599).filter(lambda status: not 200 <= status < 300)
outcomes = st.one_of(
    st.builds(
        Answer,
        status=st.integers(100, 599),
        retry_after=st.none() | st.floats(0, RETRY_AFTER_MOST),
        excerpt=st.text(max_size=10),
    ),
    st.builds(SendFailed, st.text(max_size=10), retry=st.booleans()),
)
policies = st.builds(
    Retry,
    attempts=st.integers(1, 30),
    backoff=st.floats(0, 1000),
    factor=st.floats(1, 10),
    limit=st.floats(0, 100_000),
    jitter=st.booleans(),
)


@given(st.integers(200, 299), st.integers(1, 100), policies, draws)
def test_every_2xx_is_received_at_whatever_try(
    status: int, attempts: int, retry: Retry, draw: float
) -> None:
    assert decide(attempts, Answer(status=status), retry, draw) == Delivered()


@given(failed_statuses, draws)
def test_every_other_status_but_410_is_tried_again(status: int, draw: float) -> None:
    decision = decide(1, Answer(status=status, excerpt="no"), HOOK_RETRY, draw)
    if status == 410:
        assert decision == Dead("HTTP 410: no", disables=True)
    else:
        assert isinstance(decision, Again)
        assert decision.why.startswith(f"HTTP {status}: ")
        assert 0 <= decision.after <= 10


@given(st.integers(1, 60), outcomes, policies, draws)
def test_the_budget_is_never_exceeded_and_the_wait_never_too_short(
    attempts: int, outcome: Answer | SendFailed, retry: Retry, draw: float
) -> None:
    decision = decide(attempts, outcome, retry, draw)
    if isinstance(decision, Again):
        assert attempts < retry.attempts
        asked = (outcome.retry_after or 0.0) if isinstance(outcome, Answer) else 0.0
        assert decision.after == max(asked, retry.delay(attempts, draw))
        assert decision.after <= max(asked, retry.limit)
    elif isinstance(decision, Dead):
        final = isinstance(outcome, SendFailed) and not outcome.retry
        gone = isinstance(outcome, Answer) and outcome.status == 410
        assert final or gone or attempts >= retry.attempts
        assert decision.disables == gone


@given(outcomes, policies, draws)
def test_every_hook_ends(outcome: Answer | SendFailed, retry: Retry, draw: float) -> None:
    decisions = [decide(n, outcome, retry, draw) for n in range(1, retry.attempts + 1)]
    assert not isinstance(decisions[-1], Again)
    assert all(isinstance(each, Again) for each in decisions[:-1]) or len(set(decisions)) == 1


def test_what_cannot_end_otherwise_is_not_tried_again() -> None:
    assert decide(1, SendFailed("no", retry=False), HOOK_RETRY, 0.5) == Dead("no")
    assert decide(1, SendFailed("no", retry=True), HOOK_RETRY, 0.5) == Again(5.0, "no")


def test_who_says_that_it_is_gone_gets_no_more() -> None:
    gone = Answer(status=410, excerpt="bye", retry_after=5.0)
    assert decide(1, gone, HOOK_RETRY, 0.5) == Dead("HTTP 410: bye", disables=True)
    for status in (404, 411, 500):
        last = decide(20, Answer(status=status), HOOK_RETRY, 0.5)
        assert last == Dead(f"HTTP {status}", disables=False)


def test_at_most_once_is_one_try() -> None:
    assert decide(1, Answer(status=503), NO_RETRY, 0.5) == Dead("HTTP 503")
    assert decide(1, SendFailed("no", retry=True), NO_RETRY, 0.5) == Dead("no")
    assert decide(1, Answer(status=204), NO_RETRY, 0.5) == Delivered()


def test_the_last_try_is_the_last() -> None:
    down = Answer(status=503, excerpt="busy")
    last = HOOK_RETRY.attempts
    assert isinstance(decide(last - 1, down, HOOK_RETRY, 0.5), Again)
    assert decide(last, down, HOOK_RETRY, 0.5) == Dead("HTTP 503: busy")


def test_a_retry_after_is_the_least() -> None:
    busy = Answer(status=429, retry_after=60.0)
    assert decide(1, busy, HOOK_RETRY, 1.0) == Again(60.0, "HTTP 429")
    assert decide(6, busy, HOOK_RETRY, 1.0) == Again(2430.0, "HTTP 429")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_says_that_it_is_not_followed(status: int) -> None:
    decision = decide(1, Answer(status=status, excerpt="Moved"), HOOK_RETRY, 0.0)
    assert decision == Again(0.0, f"HTTP {status}: a redirect, which is not followed")


def test_by_default_it_is_tried_for_days() -> None:
    longest = sum(HOOK_RETRY.delay(n, 1.0) for n in range(1, HOOK_RETRY.attempts))
    assert [HOOK_RETRY.delay(n, 1.0) for n in range(1, 5)] == [10.0, 30.0, 90.0, 270.0]
    assert 2 * 86_400 < longest < 4 * 86_400
