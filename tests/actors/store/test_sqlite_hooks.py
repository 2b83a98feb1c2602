"""The outbox in an SQLite file: rows that cannot be read, and who reads them beside the owner."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from triphase.store import Done, NewHook, Redeliver, SqliteStore
from triphase.store.sqlite import open_reader, outbox as reading
from triphase_protocol import CorruptRecord, HookState

from . import building
from .building import AT, rejected, tried
from .outbox import ids, row, submitted, to
from .sqlite_files import read_sql, run_sql


@pytest.fixture(params=[0, 100], autouse=True, ids=["by time", "by job and URL"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How it is found what is due."""
    monkeypatch.setattr(reading, "LINES_MOST", request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path: Path) -> AsyncGenerator[SqliteStore]:
    """A store with three jobs, and a delivery for each."""
    store = SqliteStore(path)
    await store.open()
    for id in "abc":
        hook = NewHook(id=f"hook of {id}", event=-1, url="https://example.org/")
        await store.write([building.hooked(building.submit(id), hook)])
    yield store
    await store.close()


CORRUPTIONS = {
    "state": "UPDATE hooks SET state = 'asleep' WHERE job = 'b'",
    "event": "UPDATE hooks SET event = 'job.exploded' WHERE job = 'b'",
    "delivery": "UPDATE hooks SET delivery = 'twice' WHERE job = 'b'",
}


@pytest.mark.parametrize("statement", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
async def test_a_corrupt_row_is_passed_over_and_harms_no_other(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    run_sql(path, statement)
    with pytest.raises(CorruptRecord, match="hook 'hook of b' cannot be read back"):
        await store.hook("hook of b")
    assert [hook.job for hook in await store.hooks()] == ["a", "c"]
    assert [hook.job for hook in await store.hooks(limit=2)] == ["a", "c"], "the page is filled up"
    assert [hook.job for hook in await store.due_hooks(AT + 9, 2)] == ["a", "c"]
    assert await store.hooks(job="b") == []
    statistics = await store.statistics()
    assert (statistics.corrupt, statistics.hooks[HookState.PENDING]) in [(1, 2), (1, 3)]
    assert len(caplog.records) == 1


async def test_a_corrupt_row_is_not_waited_for(store: SqliteStore, path: Path) -> None:
    run_sql(
        path,
        "UPDATE hooks SET event = '' WHERE job = 'a'",
        f"UPDATE hooks SET due_at = {AT - 9} WHERE job = 'a'",
    )
    assert await store.next_hook() == AT - 9, "nobody has found it yet"
    await store.due_hooks(AT, 5)
    assert await store.next_hook() == AT + 2


LINE = [to(f"l{n}", url="https://line.example/") for n in range(6)]
"""Deliveries of one event to one URL: each stands behind the one before."""


async def test_nothing_stands_behind_a_corrupt_row(store: SqliteStore, path: Path) -> None:
    await submitted(store, "line", to("delivered", url="https://a.example/"), *LINE)
    run_sql(path, "UPDATE hooks SET event = '' WHERE id IN ('l0', 'l1', 'l3')")
    other = "https://example.org/"
    assert ids(await store.due_hooks(AT + 9, 5, resting=[other])) == ["delivered", "l2"]
    await store.write([tried(await row(store, "delivered"), HookState.DELIVERED)])
    assert await store.next_hook(resting=[other]) == AT + 2
    await store.write([tried(await row(store, "l2"), HookState.DELIVERED)])
    assert ids(await store.due_hooks(AT + 9, 5)) == ["hook of a", "hook of b", "hook of c", "l4"]
    await store.write([tried(await row(store, "l4"), HookState.PENDING)])
    assert await store.due_hooks(AT + 9, 5, resting=[other]) == [], "the order is kept behind it"
    assert await store.next_hook(resting=[other]) == AT + 40
    assert (await store.statistics()).corrupt == 3


async def test_a_row_that_was_found_corrupt_is_not_read_again(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_sql(path, "UPDATE hooks SET event = ''")
    for _ in range(2):
        assert await store.due_hooks(AT + 9, 2) == []
        assert await store.next_hook() is None
    assert len(caplog.records) == 3


async def test_what_stands_behind_a_corrupt_row_that_is_not_due_waits_until_it_is(
    store: SqliteStore, path: Path
) -> None:
    await submitted(store, "line", *LINE[:2])
    run_sql(
        path,
        "UPDATE hooks SET state = 'dead' WHERE job <> 'line'",
        f"UPDATE hooks SET event = '', due_at = {AT + 50} WHERE id = 'l0'",
    )
    assert await store.due_hooks(AT + 49, 5) == []
    assert await store.next_hook() == AT + 50
    assert ids(await store.due_hooks(AT + 50, 5)) == ["l1"]


async def test_what_is_left_of_a_row_in_no_known_state_holds_up_nothing(
    store: SqliteStore, path: Path
) -> None:
    await submitted(store, "line", *LINE[:2])
    run_sql(path, "UPDATE hooks SET state = 'asleep' WHERE id = 'l0'")
    assert "l1" in ids(await store.due_hooks(AT + 9, 5))
    await store.write([Redeliver(hook="l0", due_at=AT)])
    assert ids(await store.due_hooks(AT, 5)) == ["l0"], "asked for again, it is pending"


def test_a_list_is_read_without_the_bodies() -> None:
    lists = (reading._HOOKS, reading._HOOKS_IN_STATE, reading._HOOKS_OF_JOB)
    assert not [statement for statement in lists if "body" in statement]
    assert "body" in reading._HOOKS_BY_N


async def test_what_became_of_a_try_is_kept_though_the_job_is_corrupt(
    store: SqliteStore, path: Path
) -> None:
    run_sql(path, "UPDATE jobs SET payload = '{' WHERE id = 'a'")
    [hook] = await store.hooks(job="a")
    before = await store.events()
    [result] = await store.write([tried(hook, HookState.DELIVERED)])
    assert isinstance(result, Done)
    [hook] = await store.hooks(job="a")
    assert hook.state is HookState.DELIVERED
    assert await store.events() == before
    assert read_sql(path, "SELECT version, notes FROM jobs WHERE id = 'a'") == [(2, 0)]


async def test_a_row_in_no_known_state_is_stale(store: SqliteStore, path: Path) -> None:
    [hook] = await store.hooks(job="a")
    run_sql(path, "UPDATE hooks SET state = 'asleep' WHERE job = 'a'")
    [result] = await store.write([tried(hook, HookState.DELIVERED)])
    assert rejected(result).current is None


async def test_a_reader_sees_the_outbox(store: SqliteStore, path: Path) -> None:
    async with open_reader(path) as reader:
        hook = await row(store, "hook of a")
        assert await reader.hook(hook.id) == hook
        await store.write([tried(hook, HookState.DEAD, disabled=True)])
        assert await reader.disabled([hook.url]) == {hook.url: AT + 30}
        assert await reader.hooks(states=[HookState.DEAD]) == await store.hooks(job="a")
        assert await reader.due_hooks(AT + 9, 5) == await store.due_hooks(AT + 9, 5)
        assert await reader.due_hooks(AT + 9, 5, resting=[hook.url]) == []
        assert await reader.next_hook() == AT + 2
        assert await reader.next_hook(taken=["hook of b", "hook of c"]) is None
        assert (await reader.statistics()).hooks == {HookState.PENDING: 2, HookState.DEAD: 1}
