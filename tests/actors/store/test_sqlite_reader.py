"""Reading a store that another process owns, or nobody."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from triphase.store import Query, SetQueue, SqliteStore
from triphase.store.sqlite import open_reader
from triphase.store.sqlite.schema import NEWEST
from triphase_protocol import (
    JobState,
    NotAStore,
    StoreClosed,
    StoreError,
    StoreTooNew,
    StoreUnavailable,
)

from . import building
from .building import AT, applied
from .sqlite_files import beside, content, other_process, public_folder, put, run_sql, unprivileged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path: Path) -> AsyncGenerator[SqliteStore]:
    """A store with one job, opened by its owner."""
    store = SqliteStore(path)
    await store.open()
    await store.write([building.submit("a")])
    yield store
    await store.close()


async def test_a_reader_sees_what_the_owner_writes(store: SqliteStore, path: Path) -> None:
    async with open_reader(path) as reader:
        for id in "bc":
            await store.write([building.submit(id)])
            assert await reader.get(id) == await store.get(id)
        [result] = await store.write([building.submit("d")])
        await store.write([building.scheduled("e"), building.start(applied(result).job)])
        assert await reader.find(Query()) == await store.find(Query())
        assert await reader.events() == await store.events()
        assert await reader.statistics() == await store.statistics()
        assert await reader.slots() == {"default": 1}
        assert await reader.backlog() == {"default": 3}
        assert await reader.next_due() == AT
        assert await reader.due(AT, 5) == await store.due(AT, 5)
        queued = await reader.queued("default", ["Transcode"], 5)
        assert [job.id for job in queued] == ["a", "b", "c"]
        await store.write(
            [
                building.cancel(queued[0]),
                building.delete(queued[1]),
                building.submit("f", deadline=AT),
                SetQueue(name="mail", paused=True, slots=1),
            ]
        )
        assert [job.id for job in await reader.ended(JobState.CANCELLED, AT + 9, 5)] == ["a"]
        assert [job.id for job in await reader.overdue(AT, 5)] == ["f"]
        assert await reader.next_deadline() == AT
        assert await reader.queue_settings() == await store.queue_settings()
        assert [await reader.gone(id) for id in "ab"] == [False, True]
        assert await reader.events(job="b") == await store.events(job="b")


async def test_the_data_version_says_if_something_was_written(
    store: SqliteStore, path: Path
) -> None:
    async with open_reader(path) as reader:
        before = reader.data_version()
        assert reader.data_version() == before
        await reader.find(Query())
        assert reader.data_version() == before
        await store.write([building.submit("b")])
        assert reader.data_version() != before


async def test_a_reader_locks_nobody_out(path: Path, store: SqliteStore) -> None:
    await store.close()
    async with open_reader(path) as reader:
        await store.open()
        await store.write([building.submit("b")])
        assert len(await reader.find(Query())) == 2
        async with open_reader(path) as other:
            assert len(await other.find(Query())) == 2
        await store.close()
        assert len(await reader.find(Query())) == 2


async def test_a_reader_reads_a_store_that_nobody_owns(path: Path, store: SqliteStore) -> None:
    await store.close()
    before = content(path)
    async with open_reader(path) as reader:
        assert await reader.get("a") is not None
    assert content(path) == before


async def test_a_reader_reads_a_store_where_it_may_not_write() -> None:
    with public_folder(0o755) as folder:
        store = SqliteStore(folder / "a ?%23&.db")
        await store.open()
        await store.write([building.submit("a")])
        await store.close()
        with unprivileged():
            async with open_reader(store.path) as reader:
                assert await reader.get("a") is not None
        assert beside(Path(store.path)) == {"a ?%23&.db", "a ?%23&.db-lock"}


CRASH = """
import sys, trio
from tests.actors.store import building
from triphase.store import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    await store.write([building.submit("a"), building.submit("b")])
    print("written", flush=True)
    sys.stdin.read()

trio.run(main)
"""


@pytest.mark.slow
async def test_a_reader_reads_what_a_crashed_owner_has_left(path: Path) -> None:
    with other_process(CRASH, path):
        pass
    before = content(path)
    async with open_reader(path) as reader:
        assert [job.id for job in await reader.find(Query())] == ["b", "a"]
    assert content(path) == before
    store = SqliteStore(path)
    await store.open()
    assert len(await store.events()) == 4
    await store.close()


async def test_a_reader_that_was_closed_reads_no_more(path: Path, store: SqliteStore) -> None:
    async with open_reader(path) as reader:
        pass
    with pytest.raises(StoreClosed):
        await reader.get("a")
    with pytest.raises(StoreClosed):
        reader.data_version()


async def refusal(path: Path) -> StoreError:
    with pytest.raises(StoreError) as caught:
        async with open_reader(path):
            pass
    assert str(path) in str(caught.value)
    return caught.value


async def test_what_is_no_store_is_refused_and_left_alone(path: Path) -> None:
    assert isinstance(await refusal(path), NotAStore)
    assert beside(path) == set()
    put(path)
    assert isinstance(await refusal(path), NotAStore)
    put(path, b"hello")
    assert isinstance(await refusal(path), NotAStore)
    assert content(path) == b"hello"
    assert beside(path) == {path.name}
    os.unlink(path)
    run_sql(path, "CREATE TABLE notes (text)")
    assert isinstance(await refusal(path), NotAStore)
    os.unlink(path)
    os.mkdir(path)
    assert isinstance(await refusal(path), NotAStore)
    assert isinstance(await refusal(path.parent / "no" / "jobs.db"), StoreUnavailable)


@pytest.mark.parametrize(
    ("version", "error"), [(NEWEST + 1, StoreTooNew), (NEWEST - 1, StoreError)]
)
async def test_another_version_is_refused(
    path: Path, store: SqliteStore, version: int, error: type[StoreError]
) -> None:
    run_sql(path, f"UPDATE meta SET value = '{version}' WHERE key = 'schema_version'")
    refused = await refusal(path)
    assert isinstance(refused, error)
