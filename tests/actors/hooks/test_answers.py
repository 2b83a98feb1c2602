"""What is read from an answer."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given, strategies as st

from triphase.hooks.answers import EXCERPT_MOST, RETRY_AFTER_MOST, excerpt_of, read_retry_after

# Wed, 21 Oct 2015 07:28:00 GMT
AT = 1_445_412_480.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("86400", 86_400.0),
        ("86401", 86_400.0),
        ("9" * 400, 86_400.0),
        ("9" * 5000, 86_400.0),
        # The three dates of HTTP, and one with a zone of its own.
        ("Wed, 21 Oct 2015 07:30:00 GMT", 120.0),
        ("Wednesday, 21-Oct-15 07:30:00 GMT", 120.0),
        ("Wed Oct 21 07:30:00 2015", 120.0),
        ("Wed, 21 Oct 2015 09:30:00 +0200", 120.0),
        ("Wed, 21 Oct 2015 07:30:00 -0000", 120.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 1915 07:28:00 GMT", 0.0),
        ("Fri, 21 Oct 9999 07:28:00 GMT", 86_400.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("nan", None),
        ("٣", None),
        ("Wed, 32 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 99:28:00 GMT", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, AT) == seconds


@given(st.integers(0, 4_000_000_000), st.floats(0, 4e9))
def test_every_http_date_is_read(at: int, now: float) -> None:
    seconds = read_retry_after(formatdate(at, usegmt=True), now)
    assert seconds == min(max(at - now, 0.0), RETRY_AFTER_MOST)


@given(st.text() | st.text("0123456789:,- GMTOctWed"))
def test_whatever_it_says_is_bounded(value: str) -> None:
    seconds = read_retry_after(value, AT)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= RETRY_AFTER_MOST)


@given(st.binary(max_size=2000))
def test_an_excerpt_is_short_and_one_line(body: bytes) -> None:
    excerpt = excerpt_of(body)
    assert len(excerpt) <= EXCERPT_MOST
    assert excerpt.isprintable()
    assert excerpt == excerpt.strip()
