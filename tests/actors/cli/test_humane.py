"""Numbers, times and texts for people."""

from __future__ import annotations

import math

import pytest

from triphase.cli import humane


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0 ms"),
        (0.0123, "12 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 m"),
        (200.4, "3 m 20 s"),
        (3600.0, "1 h"),
        (86_399.9, "1 d"),
        (190_000.0, "2 d 4 h"),
        (math.inf, "?"),
        (math.nan, "?"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert humane.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5.0, "now"), (0.9, "now"), (59.9, "59 s"), (60.0, "1 m"), (7200.0, "2 h"), (9e5, "10 d")],
)
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert humane.age(seconds) == text


def test_sizes_and_counts() -> None:
    assert [humane.size(n) for n in (0, 999, 1000, 9_701_000, 5e15)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "9.7 MB",
        "5000.0 TB",
    ]
    assert [humane.counted(n, "job") for n in (0, 1, 1204)] == ["0 jobs", "1 job", "1,204 jobs"]
    found = [humane.counted(n, "entry", "entries") for n in (0, 1, 2)]
    assert found == ["0 entries", "1 entry", "2 entries"]


def test_a_moment_is_exact_and_never_fails() -> None:
    assert humane.moment(1_700_000_000.1234) == "2023-11-14T22:13:20.123Z"
    assert humane.moment(None) == "-"
    assert humane.moment(1e18) == humane.local(1e18) == humane.clock(1e18) == f"{1e18:.3f}"


def test_a_local_time_is_this_machines() -> None:
    assert humane.local(1_700_000_000.0).startswith("2023-11-1")
    assert humane.clock(1_700_000_000.25).endswith(":20.250")


def test_text_cannot_steer_a_terminal() -> None:
    assert humane.one_line("café 数") == "café 数"
    assert humane.one_line("a\tb\nc\x1b[31m\u202e") == "a\\tb\\nc\\x1b[31m\\u202e"
    assert humane.lines("a\n\tb\x1b[2J\r\nc") == "a\n        b\\x1b[2J\nc"
