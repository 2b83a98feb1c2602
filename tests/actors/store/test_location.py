"""What a user may write for a store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from triphase.store import SimulatedStore, SqliteStore, store_from
from triphase_protocol import StoreError


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("jobs.db", "jobs.db"),
        ("a folder/jobs.db", "a folder/jobs.db"),
        (Path("jobs.db"), "jobs.db"),
        ("/var/jobs.db", "/var/jobs.db"),
        ("memory", "memory"),
        ("a?durability=normal", "a?durability=normal"),
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///a/jobs.db", "a/jobs.db"),
        ("sqlite:////var/jobs.db", "/var/jobs.db"),
        ("sqlite://jobs.db", "jobs.db"),
        ("sqlite://a/jobs.db", "a/jobs.db"),
        ("SQLite:///jobs.db", "jobs.db"),
        ("sqlite:///jobs.db?durability=full", "jobs.db"),
    ],
)
def test_a_path_or_url_is_an_sqlite_file(location: str | Path, path: str) -> None:
    store = store_from(location)
    assert isinstance(store, SqliteStore)
    assert store.path == os.path.realpath(path)
    assert store.durability == "full"


def test_a_url_may_give_the_durability() -> None:
    store = store_from("sqlite:////var/jobs.db?durability=normal")
    assert isinstance(store, SqliteStore)
    assert (store.path, store.durability) == ("/var/jobs.db", "normal")


async def test_memory_is_a_store_of_its_own() -> None:
    first, second = store_from("memory:"), store_from("memory:")
    assert isinstance(first, SimulatedStore)
    await first.open()
    await second.open()


def test_a_store_is_itself() -> None:
    store = SimulatedStore()
    assert store_from(store) is store


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///?durability=normal", "names no file"),
        (":memory:", 'or "memory:"'),
        ("sqlite:///:memory:", 'or "memory:"'),
        ("a\0b", "names no file"),
        ("sqlite:///a.db?durability=none", "durability=none is not an option"),
        ("sqlite:///a.db?durability", "durability= is not an option"),
        ("sqlite:///a.db?mode=ro", "mode=ro is not an option"),
        ("postgresql://me:secret@host/db", "PostgreSQL is not available in this version"),
        ("postgres://host/db", "PostgreSQL is not available in this version"),
        ("postgresql+psycopg://host/db", "PostgreSQL is not available in this version"),
        ("mysql://me:secret@host/db", "there is no such store"),
        ("file:///a.db", "there is no such store"),
    ],
)
def test_anything_else_is_refused(location: str, words: str) -> None:
    with pytest.raises(StoreError) as caught:
        store_from(location)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
