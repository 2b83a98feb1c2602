"""`triphase bench`: it measures what it says, and asserts nothing about speed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from triphase.bench.sleeper import Seen
from triphase.cli.exits import Exit

from .conftest import Cli


def bench(*arguments: str) -> list[dict[str, Any]]:
    """Run a benchmark, and return its figures."""
    command = [sys.executable, "-m", "triphase", "bench", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_writes_a_figure_for_each_measurement() -> None:
    figures = bench("--jobs", "5", "--messages", "50")
    jobs = [(each["phases"], each["in_flight"]) for each in figures if "in_flight" in each]
    assert jobs == [(1, 1), (1, 100), (1, 1000), (3, 100)]
    ways = [each["what"] for each in figures if "what" in each]
    assert ways == ["channel send", "actor send", "channel round trip", "actor ask"]
    assert all(each["per_second"] > 0 for each in figures)


# Of a gateway


def test_events_are_delivered_to_so_many_subscribers() -> None:
    arguments = ("--subscribers", "2", "--subscribers", "200", "--bursts", "4")
    figures = bench("gateway", "--only", "fanout", *arguments)
    assert [(each["subscribers"], each["what"], each["deliveries"]) for each in figures] == [
        (subscribers, what, subscribers * bursts * 8)
        for subscribers, bursts in ((2, 4), (200, 2))
        for what in ("send_message", "ring")
    ]
    assert all(each["per_cpu_second"] > 0 for each in figures)


@pytest.mark.slow
def test_one_that_stalls_delays_nobody_and_misses_nothing() -> None:
    # More than the kernel and the ring take.
    [figure] = bench("gateway", "--only", "stall", "--events", "30000", "--active", "1")
    assert figure["events"] == figure["caught_up"] >= 30000
    assert (figure["slow"], figure["gaps"], figure["lagging"]) == (0, 0, 1)
    assert 0 < figure["behind"] <= figure["events"]
    assert len(figure["resident_mb"]) == 10


def test_connections_that_do_nothing_are_looked_at() -> None:
    arguments = ("--connections", "3", "--seconds", "0.1")
    figures = bench("gateway", "--only", "idle", *arguments)
    assert [(each["connections"], each["topic"]) for each in figures] == [(3, None), (3, "jobs")]
    assert all(each["connect_us"] > 0 and each["seconds"] >= 0.1 for each in figures)


def test_waits_are_answered_after_the_commit() -> None:
    figures = bench("gateway", "--only", "latency", "--waits", "3")
    assert [each["processes"] for each in figures] == [1, 2]
    assert all(0 < each["p50_ms"] <= each["p99_ms"] for each in figures)


@pytest.mark.parametrize(
    "option",
    ["--subscribers", "--bursts", "--events", "--active", "--connections", "--seconds", "--waits"],
)
def test_numbers_of_nothing_are_refused(cli: Cli, option: str) -> None:
    ran = cli("bench", "gateway", option, "0")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "must be above 0" in ran.err


# Of webhooks


def test_an_outbox_is_delivered_to_a_receiver_that_refuses_some() -> None:
    [figure] = bench("hooks", "--count", "20", "--refuse", "3")
    assert figure["hooks"] == figure["delivered"] == figure["accepted"] == 20
    assert (figure["requests"], figure["repeated"]) == (29, 0)
    assert figure["per_second"] > 0


def test_deliveries_of_nothing_are_refused(cli: Cli) -> None:
    ran = cli("bench", "hooks", "--count", "0")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "--count 0: at least 1" in ran.err


def test_a_sleeper_sees_gaps() -> None:
    seen = Seen(cursor=4)
    seen.take({"type": "events", "from": 4, "to": 6, "events": [{"seq": 5}, {"seq": 6}]})
    seen.take({"type": "lagging"})
    assert (seen.events, seen.cursor, seen.lagging, seen.gaps) == (2, 6, 1, 0)
    seen.take({"type": "events", "from": 7, "to": 9, "events": [{"seq": 8}, {"seq": 9}]})
    assert seen.gaps == 3
    seen.take({"type": "events", "from": 9, "to": 11, "events": [{"seq": 11}]})
    assert (seen.gaps, seen.cursor) == (4, 11)
