"""Each of these tests takes the same way every time: what could come in any order is fixed."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from tests.actors.sample_jobs import Reopen

from triphase.store import SqliteStore

from . import jobs


@pytest.fixture(autouse=True)
def one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that could run at the same moment do so in an order that is the same every time."""
    run: Any = trio._core._run
    monkeypatch.setattr(run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    monkeypatch.setattr(run, "_r", random.Random(0))


@pytest.fixture
def reopen(reopen: Reopen, monkeypatch: pytest.MonkeyPatch) -> Reopen:
    """Each kind of store in turn, without a folder for files.

    A look into that takes a thread, and meanwhile a virtual clock would jump.
    """
    monkeypatch.setattr(SqliteStore, "folder", None)
    return reopen


@pytest.fixture(autouse=True)
def nothing_started() -> None:
    """No handler has been called yet."""
    jobs.started.clear()
