"""Each kind of store in turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from triphase.store import Store

from .homes import HOMES, Home


@pytest.fixture(params=list(HOMES))
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a kind of store."""
    return str(request.param)


@pytest.fixture
def home(kind: str, tmp_path: Path) -> Home:
    """Where an empty store of this kind lives."""
    return HOMES[kind](tmp_path)


@pytest.fixture
async def store(home: Home) -> AsyncGenerator[Store]:
    """An empty store of this kind, opened."""
    async with home.open() as store:
        yield store
