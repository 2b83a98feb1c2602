"""`triphase bench`: it measures what it says, and asserts nothing about speed."""

from __future__ import annotations

import json
import subprocess
import sys


def test_it_writes_a_figure_for_each_measurement() -> None:
    command = [sys.executable, "-m", "triphase", "bench", "--jobs", "5", "--messages", "50"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    jobs = [(each["phases"], each["in_flight"]) for each in figures if "in_flight" in each]
    assert jobs == [(1, 1), (1, 100), (1, 1000), (3, 100)]
    ways = [each["what"] for each in figures if "what" in each]
    assert ways == ["channel send", "actor send", "channel round trip", "actor ask"]
    assert all(each["per_second"] > 0 for each in figures)
