"""Where a store of each kind lives, to open it again and again."""

from __future__ import annotations

import math
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs

from triphase.store import Disk, SimulatedStore, SqliteStore, Store


@attrs.frozen
class Home:
    """One store's place: `open` gives a new handle on what is there."""

    make: Callable[[], Store]

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Store]:
        """Open the store for the block."""
        store = self.make()
        await store.open()
        try:
            yield store
        finally:
            await store.close()


def simulated(folder: Path) -> Home:
    """Return the home of a store in memory."""
    disk = Disk()
    return Home(lambda: SimulatedStore(disk))


def sqlite_inline(folder: Path) -> Home:
    """Return the home of an SQLite store that writes on the trio thread."""
    return Home(lambda: SqliteStore(folder / "jobs.db", inline_below=math.inf))


def sqlite_in_thread(folder: Path) -> Home:
    """Return the home of an SQLite store that writes in a thread."""
    return Home(lambda: SqliteStore(folder / "jobs.db", inline_below=0))


def sqlite_normal(folder: Path) -> Home:
    """Return the home of an SQLite store of the lesser durability."""
    return Home(lambda: SqliteStore(folder / "jobs.db", durability="normal"))


HOMES: Final[Mapping[str, Callable[[Path], Home]]] = {
    "simulated": simulated,
    "sqlite": sqlite_inline,
    "sqlite in a thread": sqlite_in_thread,
    "sqlite, normal": sqlite_normal,
}
"""A home for each kind of store, by the name that the tests have for it."""


@asynccontextmanager
async def fresh(kind: str) -> AsyncGenerator[Store]:
    """Open an empty store for the block; for tests that need many."""
    with tempfile.TemporaryDirectory() as folder:
        async with HOMES[kind](Path(folder)).open() as store:
            yield store
