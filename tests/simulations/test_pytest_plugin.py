"""The plugin: which seeds run, and how a failure is run again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TEST = """
from triphase_simulations import Sim, simulate


@simulate(runs=100)
async def test_a(sim: Sim) -> None:
    await sim.point("here")
    assert sim.seed != 30
    assert sim.now() == 0.0 or sim.seed < 40


@simulate(runs=100)
async def test_b(sim: Sim) -> None:
    pass
"""


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest on two simulated tests; return its exit code and what it printed."""
    (folder / "test_it.py").write_text(TEST, "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-s", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def test_a_failure_is_run_again_by_its_seed(tmp_path: Path) -> None:
    code, printed = run(tmp_path)
    assert code == 1
    assert "test_a: seeds 0 to 99" in printed
    assert "pytest 'test_it.py::test_a' --sim-seed=30" in printed
    code, printed = run(tmp_path, "test_it.py::test_a", "--sim-seed=30")
    assert code == 1
    assert "test_a: seeds 30\n" in printed
    assert run(tmp_path, "--sim-seed=31")[0] == 0


def test_the_number_of_runs_is_chosen(tmp_path: Path) -> None:
    code, printed = run(tmp_path, "--sim-runs=30")
    assert code == 0
    assert "test_b: seeds 0 to 29" in printed


def test_a_plan_is_read_from_a_file(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    stall = ["stall", "here", 0, 3.0]
    plan.write_text(json.dumps({"seed": 41, "perturbations": [stall]}), "utf-8")
    code, printed = run(tmp_path, "test_it.py::test_a", "--sim-plan=plan.json")
    assert code == 1
    assert "stall here for 3 s at its call 0" in printed
    plan.write_text("[]", "utf-8")
    assert "plan.json is no plan" in run(tmp_path, "--sim-plan=plan.json")[1]


def test_options_that_contradict_are_refused(tmp_path: Path) -> None:
    code, printed = run(tmp_path, "--sim-plan=x", "--sim-seed=1")
    assert code == 4
    assert "exclude each other" in printed
    code, printed = run(tmp_path, "--sim-runs=0")
    assert code == 4


@pytest.mark.parametrize("module", ["triphase_simulations", "triphase_simulations.pytest_plugin"])
def test_importing_it_is_light(module: str) -> None:
    program = f"import {module}, sys; print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout.split()
    assert not {"hypothesis", "trio", "triphase"} & set(printed)


def test_running_does_not_import_hypothesis() -> None:
    program = "from triphase_simulations import *\nimport sys; print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout.split()
    assert "trio" in printed
    assert "hypothesis" not in printed
