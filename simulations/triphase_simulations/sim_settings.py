"""What the command line of pytest says about the runs of simulated tests."""

from __future__ import annotations

from pathlib import Path

import attrs


@attrs.define
class Settings:
    """Settings for every simulated test of the process."""

    seed: int | None = None
    """Run this seed only."""

    runs: int | None = None
    """So many runs, whatever the test says."""

    plan: Path | None = None
    """Run what this file says only."""


SETTINGS = Settings()
"""The ones in force; the pytest plugin sets them."""
