"""Options of pytest for tests that `simulate` made: which seeds to run, and how many."""

from __future__ import annotations

from pathlib import Path

import pytest

from .sim_settings import SETTINGS


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("triphase", "simulated tests of triphase jobs")
    group.addoption(
        "--sim-seed", type=int, metavar="N", help="run simulated tests with this seed only"
    )
    group.addoption(
        "--sim-runs", type=_count, metavar="N", help="run so many seeds of each simulated test"
    )
    group.addoption(
        "--sim-plan",
        type=Path,
        metavar="FILE",
        help="run simulated tests with the perturbations of this file only",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take the options over."""
    SETTINGS.seed = config.getoption("--sim-seed")
    SETTINGS.runs = config.getoption("--sim-runs")
    SETTINGS.plan = config.getoption("--sim-plan")
    if SETTINGS.seed is not None and SETTINGS.plan is not None:
        raise pytest.UsageError("--sim-seed and --sim-plan exclude each other")


def pytest_unconfigure() -> None:
    """Forget them."""
    SETTINGS.seed = SETTINGS.runs = SETTINGS.plan = None


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count
