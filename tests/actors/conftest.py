"""What the tests of the runtime share: stores to open it on, and a clock that follows trio's."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import triphase
from triphase.store import Disk, SimulatedStore

from .sample_jobs import Gate, Reopen, gates


@pytest.fixture(params=["simulated", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Each kind of store in turn."""
    if request.param == "sqlite":
        # Always on the trio thread: a virtual clock would jump while a thread writes.
        return lambda: triphase.store.SqliteStore(tmp_path / "jobs.db", inline_below=math.inf)
    disk = Disk()
    return lambda: SimulatedStore(disk)


@pytest.fixture
def clock() -> triphase.TrioClock:
    """Wall-clock time that follows trio's, so that `autojump_clock` makes both virtual."""
    return triphase.TrioClock()


@pytest.fixture
def gate() -> Gate:
    """The gate that `Held` jobs wait at."""
    gates[:] = [Gate()]
    return gates[0]
