"""The same plans give the same histories, whatever is different in the program that runs them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import gc, sys
from triphase_simulations.plan import Plan, mix
from triphase_simulations.running import run_scenario
from triphase_simulations.suites import SUITES

gc.set_threshold(int(sys.argv[1]))
seed = int(sys.argv[2])
for suite in SUITES.values():
    scenario = suite.scenario(mix(seed, 0))
    print(run_scenario(scenario, Plan(mix(seed, 0), kinds=frozenset(scenario.kinds))).hash())
"""


def hashes(*, seed: int, hash_seed: str, collections: int) -> list[str]:
    """Run one scenario of each suite in a new interpreter; return what hashes they have."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(collections), str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.slow
def test_a_history_depends_on_its_seed_alone() -> None:
    first = hashes(seed=11, hash_seed="1", collections=700)
    assert len(set(first)) == len(first)
    assert hashes(seed=11, hash_seed="2", collections=7) == first
    assert not set(hashes(seed=12, hash_seed="1", collections=700)) & set(first)
