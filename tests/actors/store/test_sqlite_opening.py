"""Which files the SQLite store opens, and what it says about the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from triphase.store import SqliteStore
from triphase.store.sqlite.connection import connect_reader, connect_writer
from triphase.store.sqlite.schema import APPLICATION_ID, MIGRATIONS, NEWEST, migrate
from triphase_protocol import NotAStore, StoreError, StoreLocked, StoreTooNew, StoreUnavailable

from . import building
from .sqlite_files import (
    beside,
    content,
    other_process,
    public_folder,
    put,
    read_sql,
    run_sql,
    unprivileged,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is, or is to be."""
    return tmp_path / "jobs.db"


async def opened_once(path: Path) -> None:
    """Put a store there, with one job."""
    store = SqliteStore(path)
    await store.open()
    await store.write([building.submit("a")])
    await store.close()


async def refusal(path: Path) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await SqliteStore(path).open()
    assert str(path) in str(caught.value)
    return caught.value


# What is refused

CRASH = """
import os, sys
from triphase.store.sqlite.connection import Connection

# A newer version has crashed: what it wrote last is in the log only.
connection = Connection(sys.argv[1], writable=True)
connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
print("written", flush=True)
sys.stdin.read()
"""


async def test_a_directory_is_refused(path: Path) -> None:
    os.mkdir(path)
    error = await refusal(path)
    assert isinstance(error, NotAStore)
    assert "is a directory" in str(error)
    assert beside(path) == {path.name}


async def test_a_folder_that_does_not_exist_is_named(path: Path) -> None:
    error = await refusal(path / "no" / "jobs.db")
    assert isinstance(error, StoreUnavailable)
    assert f"the folder {path / 'no'} does not exist" in str(error)


async def test_what_is_no_regular_file_is_refused(path: Path) -> None:
    os.mkfifo(path)
    assert isinstance(await refusal(path), NotAStore)
    assert beside(path) == {path.name}


@pytest.mark.parametrize(
    "data",
    [b"hello", b"\0" * 4096, b"SQLite format 3\0", b"x" * 10_000],
    ids=["short", "zeros", "header", "long"],
)
async def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, data: bytes) -> None:
    put(path, data)
    error = await refusal(path)
    assert isinstance(error, NotAStore)
    assert "not an SQLite database" in str(error)
    assert content(path) == data
    assert beside(path) == {path.name}


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE notes (text)"],
        ["PRAGMA journal_mode = wal", "CREATE TABLE notes (text)"],
        ["CREATE TABLE meta (key, value)", "INSERT INTO meta VALUES ('schema_version', '1')"],
        ["PRAGMA application_id = 7", "CREATE TABLE meta (key, value)"],
        ["PRAGMA application_id = 7"],
        [f"PRAGMA application_id = {APPLICATION_ID}", "CREATE TABLE notes (text)"],
    ],
)
async def test_another_applications_database_is_refused_and_left_alone(
    path: Path, statements: list[str]
) -> None:
    run_sql(path, *statements)
    before = content(path)
    error = await refusal(path)
    assert isinstance(error, NotAStore)
    assert "another application" in str(error)
    assert content(path) == before
    assert beside(path) == {path.name}


async def test_a_store_without_its_version_is_refused(path: Path) -> None:
    await opened_once(path)
    run_sql(path, "DELETE FROM meta WHERE key = 'schema_version'")
    assert "has lost its schema version" in str(await refusal(path))


async def test_a_newer_store_is_refused_and_left_byte_for_byte(path: Path) -> None:
    await opened_once(path)
    run_sql(path, "UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    before = content(path)
    error = await refusal(path)
    assert isinstance(error, StoreTooNew)
    assert f"version 99; this triphase knows up to {NEWEST}" in str(error)
    assert content(path) == before


async def test_a_newer_stores_log_is_left_byte_for_byte(path: Path) -> None:
    await opened_once(path)
    with other_process(CRASH, path):
        pass
    log = path.with_name("jobs.db-wal")
    before = content(path), content(log)
    assert len(before[1]) > 0
    assert isinstance(await refusal(path), StoreTooNew)
    assert (content(path), content(log)) == before


async def test_a_file_that_may_not_be_written_is_refused() -> None:
    with public_folder(0o777) as folder:
        path = folder / "jobs.db"
        await opened_once(path)
        os.chmod(f"{path}-lock", 0o666)
        os.chmod(path, 0o444)
        before = content(path)
        with unprivileged():
            error = await refusal(path)
        assert isinstance(error, StoreUnavailable)
        assert "is not writable" in str(error)
        assert content(path) == before


async def test_a_folder_that_may_not_be_written_is_refused() -> None:
    with public_folder(0o555) as folder, unprivileged():
        error = await refusal(folder / "jobs.db")
        assert isinstance(error, StoreUnavailable)
        assert "cannot write its lock file" in str(error)
        assert beside(folder / "jobs.db") == set()


async def test_a_folder_that_may_not_be_entered_is_refused() -> None:
    with public_folder(0o600) as folder, unprivileged():
        error = await refusal(folder / "jobs.db")
        assert isinstance(error, StoreUnavailable)
        assert "cannot be reached: Permission denied" in str(error)


# What is opened


def nothing(path: Path) -> None:
    pass


def without_tables(path: Path) -> None:
    run_sql(path, "CREATE TABLE notes (text)", "DROP TABLE notes")


def with_a_log(path: Path) -> None:
    run_sql(path, "PRAGMA journal_mode = wal", "PRAGMA user_version = 3")


@pytest.mark.parametrize("prepare", [nothing, put, without_tables, with_a_log])
async def test_an_empty_file_becomes_a_store(path: Path, prepare: Callable[[Path], None]) -> None:
    prepare(path)
    await opened_once(path)
    await opened_once_more(path)
    assert beside(path) == {"jobs.db", "jobs.db-lock"}
    assert read_sql(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


async def opened_once_more(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    assert await store.get("a") is not None
    await store.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"durability": "off"}, "durability='off'"), ({"inline_below": -1.0}, "inline_below=-1.0")],
)
def test_a_wrong_option_is_refused(path: Path, options: dict[str, str], words: str) -> None:
    arguments: dict[str, object] = {**options}
    with pytest.raises(ValueError, match=words):
        SqliteStore(path, **arguments)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


# Its owner

OWN = """
import sys, trio
from triphase.store import SqliteStore

async def main():
    await SqliteStore(sys.argv[1]).open()
    print("open", flush=True)
    await trio.to_thread.run_sync(sys.stdin.read)

trio.run(main)
"""


@pytest.mark.slow
async def test_a_store_that_another_process_owns_is_refused(path: Path) -> None:
    link = path.with_name("link.db")
    os.symlink(path, link)
    with other_process(OWN, path) as owner:
        for name in (path, link):
            with pytest.raises(StoreLocked, match=rf"jobs\.db .* process {owner.pid}\b"):
                await SqliteStore(name).open()
    # The lock ended with the process; its file stays.
    await opened_once(path)
    assert content(path.with_name("jobs.db-lock")) == b"%d\n" % os.getpid()


async def test_a_refused_store_is_not_locked(path: Path) -> None:
    await opened_once(path)
    run_sql(path, "UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    await refusal(path)
    run_sql(path, f"UPDATE meta SET value = '{NEWEST}' WHERE key = 'schema_version'")
    await opened_once_more(path)


# Migrations


def test_the_migrations_are_numbered_without_a_gap() -> None:
    assert list(MIGRATIONS) == list(range(1, NEWEST + 1))


async def test_the_migrations_give_an_empty_store_the_schema(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()
    names = {name for (name,) in read_sql(path, "SELECT name FROM sqlite_schema")}
    tables = {"meta", "jobs", "phases", "events", "queues", "hooks", "sqlite_sequence"}
    tables.add("disabled_webhooks")
    indexes = {"jobs_key", "jobs_state", "jobs_ready", "jobs_due", "jobs_slots", "events_job"}
    indexes |= {"hooks_place", "hooks_state", "hooks_job", "hooks_due", "hooks_left"}
    indexes |= {"hooks_pending", "disabled_webhooks_at"}
    indexes |= {"jobs_deadline", "jobs_ended", "jobs_fresh", "events_deleted", "events_deleted_at"}
    assert {name for name in names if not name.startswith("sqlite_autoindex")} == tables | indexes
    meta: dict[str, str] = dict(read_sql(path, "SELECT key, value FROM meta"))
    assert meta.keys() == {"schema_version", "store_id", "created"}
    assert meta["schema_version"] == str(NEWEST)
    assert len(meta["store_id"]) == 32
    strict = read_sql(path, "SELECT name FROM pragma_table_list WHERE strict")
    assert {name for (name,) in strict} == tables - {"sqlite_sequence"}


def test_an_older_store_gets_what_is_missing(path: Path) -> None:
    connection = connect_writer(str(path), "full")
    first = {1: MIGRATIONS[1]}
    migrate(connection, str(path), first)
    migrate(connection, str(path), {**first, 2: "CREATE TABLE extra (x)", 3: "DROP TABLE extra"})
    assert connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchall() == [
        ("3",)
    ]
    with pytest.raises(StoreTooNew):
        migrate(connection, str(path), first)
    connection.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    connection = connect_writer(str(path), "full")
    migrate(connection, str(path), {1: MIGRATIONS[1]})
    before = connection.execute("SELECT * FROM sqlite_schema").fetchall()
    broken = {1: MIGRATIONS[1], 2: "CREATE TABLE extra (x)", 3: "CREATE TABLE extra (x)"}
    with pytest.raises(Exception, match="extra already exists"):
        migrate(connection, str(path), broken)
    assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == before
    migrate(connection, str(path), {1: MIGRATIONS[1], 2: "CREATE TABLE extra (x)"})
    connection.close()


# How it is set up


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
def test_the_connections_are_set_up(path: Path, durability: str, level: int) -> None:
    writer = connect_writer(str(path), "normal" if durability == "normal" else "full")
    reader = connect_reader(str(path), writable=True)
    assert writer.pragma("journal_mode") == "wal"
    assert writer.pragma("synchronous") == level
    assert writer.pragma("foreign_keys") == 0
    assert writer.pragma("journal_size_limit") == 64 * 2**20
    assert writer.pragma("busy_timeout") == reader.pragma("busy_timeout") == 5000
    assert writer.pragma("wal_autocheckpoint") == 1000
    assert reader.pragma("wal_autocheckpoint") == 0
    assert reader.pragma("query_only") == 1
    reader.close()
    writer.close()
