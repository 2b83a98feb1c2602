"""What the SQLite store does beyond what every store does."""

from __future__ import annotations

import logging
import math
import re
import resource
import signal
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import attrs
import pytest
import trio

from triphase.store import Operation, Query, SqliteStore, Step, Submit, Why
from triphase.store.sqlite import outbox as outbox_reading, reader as reading, writer as writing
from triphase.store.sqlite.pace import TRY_EVERY, Pace
from triphase_protocol import (
    CorruptRecord,
    Job,
    JobState,
    StoreUnavailable,
    Timeouts,
    states_where,
)

from . import building
from .building import AT, applied, rejected
from .sqlite_files import read_sql, run_sql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path: Path) -> AsyncGenerator[SqliteStore]:
    """An empty store, opened."""
    store = SqliteStore(path, inline_below=math.inf)
    await store.open()
    yield store
    await store.close()


async def first(store: SqliteStore, operation: Submit | Step) -> Job:
    [result] = await store.write([operation])
    return applied(result).job


def ids(jobs: list[Job]) -> str:
    return " ".join(job.id for job in jobs)


# Corrupt rows

CORRUPTIONS = {
    "payload": "UPDATE jobs SET payload = '{' WHERE id = 'b'",
    "state": "UPDATE jobs SET state = 'asleep' WHERE id = 'b'",
    "labels": "UPDATE jobs SET labels = '[1]' WHERE id = 'b'",
    "label": "UPDATE jobs SET labels = '{\"a\": 1}' WHERE id = 'b'",
    "timeouts": "UPDATE jobs SET timeouts = '{\"run\": \"x\"}' WHERE id = 'b'",
    "stop": 'UPDATE jobs SET stop = \'{"cause": "cancel", "asked_at": 1}\' WHERE id = \'b\'',
    "webhooks": "UPDATE jobs SET webhooks = '[{\"url\": \"ftp://x/\"}]' WHERE id = 'b'",
    "job error": "UPDATE jobs SET error = '{\"type\": 1}' WHERE id = 'b'",
    "no phases": "DELETE FROM phases WHERE job = 2",
    "a phase": "DELETE FROM phases WHERE job = 2 AND idx = 0",
    "phase state": "UPDATE phases SET state = 'asleep' WHERE job = 2",
    "result": "UPDATE phases SET result = 'in.mp4' WHERE job = 2 AND idx = 1",
    "spent": 'UPDATE phases SET spent = \'{"error": "x"}\' WHERE job = 2 AND idx = 1',
    "progress": "UPDATE phases SET progress = '3' WHERE job = 2 AND idx = 1",
    "gate": "UPDATE phases SET gate = '[]' WHERE job = 2 AND idx = 1",
    "phase error": "UPDATE phases SET error = '' WHERE job = 2 AND idx = 1",
}


@pytest.mark.parametrize("statement", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
async def test_a_corrupt_job_is_passed_over_and_harms_no_other(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    made = [building.submit(id) for id in "abcd"]
    await store.write(made)
    run_sql(path, statement)
    with pytest.raises(CorruptRecord, match="job 'b' cannot be read back"):
        await store.get("b")
    assert ids(await store.find(Query())) == "d c a"
    assert ids(await store.find(Query(limit=3))) == "d c a", "the page is filled up"
    assert ids(await store.find(Query(limit=2, after="d"))) == "c a"
    if "'asleep' WHERE id" not in statement:
        assert ids(await store.queued("default", ["Transcode"], 2)) == "a c"
    assert (await store.statistics()).corrupt == 1
    assert [(r.name, r.levelno) for r in caplog.records] == [("triphase.store", logging.WARNING)]
    assert "job 'b'" in caplog.text
    # Its place is taken, and who finds it so is told that much.
    [again, fresh] = await store.write([made[1], building.submit("e")])
    assert (rejected(again).why, rejected(again).current) == (Why.EXISTS, None)
    assert applied(fresh).job.id == "e"


async def test_a_corrupt_scheduled_job_is_not_waited_for(store: SqliteStore, path: Path) -> None:
    due = [building.scheduled(id, due_at=AT + at) for at, id in enumerate("abc")]
    await store.write(due)
    run_sql(path, "UPDATE jobs SET payload = '{' WHERE id = 'a'")
    assert ids(await store.due(AT + 5, 2)) == "b c"
    assert await store.next_due() == AT + 1


async def test_a_corrupt_job_is_passed_over_among_the_overdue(
    store: SqliteStore, path: Path
) -> None:
    made = [building.submit(id, deadline=AT + at) for at, id in enumerate("abc")]
    await store.write(made)
    run_sql(path, "UPDATE jobs SET payload = '{' WHERE id = 'a'")
    assert await store.next_deadline() == AT, "it was not read yet"
    assert ids(await store.overdue(AT + 5, 2)) == "b c"
    assert await store.next_deadline() == AT + 1
    assert (await store.statistics()).corrupt == 1


@pytest.mark.parametrize("fresh", [False, True])
async def test_a_corrupt_job_is_passed_over_among_those_that_have_ended(
    store: SqliteStore, path: Path, fresh: bool
) -> None:
    for at, id in enumerate("abcd"):
        await first(store, building.cancel(await first(store, building.submit(id)), at=AT + at))
    run_sql(path, "DELETE FROM phases WHERE job = 2")
    assert ids(await store.ended(JobState.CANCELLED, AT + 5, 2, fresh=fresh)) == "a c"
    assert ids(await store.ended(JobState.CANCELLED, AT + 5, 9, fresh=fresh)) == "a c d"
    assert (await store.statistics()).corrupt == 1


async def test_a_corrupt_job_is_not_deleted(store: SqliteStore, path: Path) -> None:
    job = await first(store, building.cancel(await first(store, building.submit("a"))))
    run_sql(path, "UPDATE jobs SET payload = '{' WHERE id = 'a'")
    [result] = await store.write([building.delete(job)])
    assert (rejected(result).why, rejected(result).current) == (Why.STALE, None)
    run_sql(path, "UPDATE jobs SET payload = 'null' WHERE id = 'a'")
    [result] = await store.write([building.delete(job)])
    assert applied(result).job.payload is None


async def test_a_step_of_a_corrupt_job_is_stale(store: SqliteStore, path: Path) -> None:
    job = await first(store, building.submit("a"))
    run_sql(path, "UPDATE jobs SET payload = '{', version = 7 WHERE id = 'a'")
    [result] = await store.write([building.start(job)])
    assert (rejected(result).why, rejected(result).current) == (Why.STALE, None)


async def test_a_corrupt_event_is_passed_over(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.write([building.submit(id) for id in "abc"])
    run_sql(
        path,
        "UPDATE events SET type = 'job.slept' WHERE seq = 1",
        "UPDATE events SET data = '[]' WHERE seq = 3",
    )
    assert [event.seq for event in await store.events()] == [2, 4, 5, 6]
    assert [event.seq for event in await store.events(limit=2)] == [2, 4]
    assert (await store.statistics()).corrupt == 2
    assert len(caplog.records) == 2


# What is refused in the middle of a transaction


@contextmanager
def full_disk(path: Path) -> Generator[None]:
    """Let no file grow any more, for the block."""
    log = path.with_name(f"{path.name}-wal")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("inline_below", [0.0, math.inf], ids=["thread", "inline"])
async def test_a_full_disk_refuses_a_group_and_the_store_goes_on(
    path: Path, inline_below: float
) -> None:
    store = SqliteStore(path, inline_below=inline_below)
    await store.open()
    job = await first(store, building.submit("a"))
    group: list[Operation] = [building.start(job), building.submit("b", payload="x" * 100_000)]
    with full_disk(path), pytest.raises(StoreUnavailable, match="nothing was written"):
        await store.write(group)
    assert await store.get("a") == job
    assert await store.get("b") is None
    results = await store.write(group)
    assert [applied(result).events[0].seq for result in results] == [3, 5]
    await store.close()
    await store.open()
    assert await store.get("a") == applied(results[0]).job
    await store.close()


@pytest.mark.parametrize(
    "bad",
    [
        building.submit("bad", payload={1j}),
        building.submit("bad", key="\udc80"),
        building.submit("bad", priority=2**64),
        building.submit("bad", due_at=math.nan),
    ],
    ids=["not JSON", "not Unicode", "too large", "not a number"],
)
async def test_what_cannot_be_stored_takes_its_group_back_and_the_store_goes_on(
    store: SqliteStore, bad: Submit
) -> None:
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        await store.write([building.submit("a"), bad])
    assert await store.find(Query()) == []
    [result] = await store.write([building.submit("a")])
    assert [event.seq for event in applied(result).events] == [1, 2]


# What is stored


async def test_a_result_is_kept_byte_for_byte(store: SqliteStore, path: Path) -> None:
    def stored() -> list[tuple[str, ...]]:
        return read_sql(path, "SELECT result FROM phases WHERE idx = 0")

    job = await first(store, building.start(await first(store, building.submit("a"))))
    job = await first(store, building.complete(job, {"b": 1, "a": [1.0, 1e22, "é"]}))
    before = stored()
    # In other words the same: were it written again, the bytes would differ.
    run_sql(path, "UPDATE phases SET result = ' ' || result WHERE idx = 0")
    for move in (building.progress, building.fail, building.retry, building.start):
        job = await first(store, move(job))
    await store.close()
    await store.open()
    job = await first(store, building.complete(job, "done"))
    assert stored() == [(f" {text}",) for (text,) in before]
    assert await store.get("a") == job


async def test_a_seq_is_never_given_twice(store: SqliteStore, path: Path) -> None:
    await store.write([building.submit("a"), building.submit("b")])
    run_sql(path, "DELETE FROM events")
    await store.close()
    await store.open()
    [result] = await store.write([building.submit("c")])
    assert applied(result).events[0].seq == 5
    assert (await store.statistics()).last_seq == 6


async def test_a_step_may_add_a_phase(store: SqliteStore) -> None:
    job = await first(store, building.submit("a", phases=["fetch"]))
    step = building.start(job)
    phases = (*step.job.phases, attrs.evolve(job.phases[0], name="encode"))
    step = attrs.evolve(step, job=attrs.evolve(step.job, phases=phases), changed=(0, 1))
    job = await first(store, step)
    assert len(job.phases) == 2
    assert await store.get("a") == job


async def test_a_job_without_timeouts_takes_no_room_for_them(
    store: SqliteStore, path: Path
) -> None:
    await store.write([building.submit("a"), building.submit("b", timeouts=Timeouts(run=2.5))])
    [(none,), (some,)] = read_sql(path, "SELECT timeouts FROM jobs ORDER BY n")
    assert none == "{}"
    assert '"run":2.5' in some


async def test_nothing_but_its_tombstone_is_left_of_a_deleted_job(
    store: SqliteStore, path: Path
) -> None:
    _, job = [
        await first(store, building.cancel(await first(store, building.submit(id)))) for id in "ab"
    ]
    await store.write([building.delete(job)])
    assert read_sql(path, "SELECT n, id FROM jobs") == [(1, "a")]
    assert {n for (n,) in read_sql(path, "SELECT job FROM phases")} == {1}
    left = read_sql(path, "SELECT job_n, job, type FROM events WHERE job_n <> 1")
    assert left == [(2, "b", "job.deleted")]


async def test_a_place_is_not_given_again_while_a_tombstone_stands_there(
    store: SqliteStore, path: Path
) -> None:
    made = building.submit("a")
    await store.write([made, building.delete(made.job), building.submit("b")])
    assert read_sql(path, "SELECT n, id FROM jobs") == [(2, "b")]
    job = await first(store, building.cancel(await first(store, building.submit("c"))))
    await store.write([building.delete(job)])
    await store.close()
    await store.open()
    await store.write([building.submit("d")])
    assert read_sql(path, "SELECT n, id FROM jobs") == [(2, "b"), (4, "d")]


def test_a_folder_for_files_may_be_made_beside_the_file(path: Path) -> None:
    assert SqliteStore(path).folder == f"{path}-files"


async def test_a_read_sees_one_moment_while_a_thread_writes(path: Path) -> None:
    store = SqliteStore(path, inline_below=0)
    await store.open()
    job = await first(store, building.start(await first(store, building.submit("a"))))
    job, reads = await first(store, building.progress(job, 0)), 0
    began = job.version
    async with trio.open_nursery() as nursery:

        async def write(job: Job) -> None:
            for number in range(1, 200):
                job = await first(store, building.progress(job, number))
            nursery.cancel_scope.cancel()

        nursery.start_soon(write, job)
        while True:
            read = await store.get("a")
            assert read is not None
            assert read.phases[0].progress is not None
            assert read.phases[0].progress.done == read.version - began
            reads += 1
    assert reads > 100
    await store.close()


# The SQL

SLOT_SQL = ("migrations/0001_jobs.sql", "queries/slots_by_queue.sql")


@pytest.mark.parametrize("name", SLOT_SQL)
def test_the_sql_names_the_states_that_hold_a_slot(name: str) -> None:
    text = (files("triphase.store.sqlite") / name).read_text("utf-8")
    words = ", ".join(f"'{state}'" for state in states_where(holds_slot=True))
    assert f"state IN ({words})" in text


def test_every_statement_is_used() -> None:
    folder = files("triphase.store.sqlite")
    modules = [file for file in folder.iterdir() if file.name.endswith(".py")]
    source = "\n".join(module.read_text("utf-8") for module in modules)
    names = [file.name.removesuffix(".sql") for file in (folder / "queries").iterdir()]
    assert [name for name in names if f'sql("{name}"' not in source] == []


def statements(module: ModuleType, *verbs: str) -> Mapping[str, str]:
    """Return the statements of a module that begin with one of these words, by their names."""
    named = {name: text for name, text in vars(module).items() if isinstance(text, str)}
    return {name: text for name, text in named.items() if text.startswith(verbs)}


def plan_of(path: Path, statement: str) -> list[str]:
    """Return how the database carries a statement out."""
    named, numbered = re.findall(r":(\w+)", statement), set(re.findall(r"\?\d+", statement))
    unnamed = (1,) * (len(numbered) or statement.count("?"))
    given = dict.fromkeys(named, 1) if named else unnamed
    return [row[3] for row in read_sql(path, f"EXPLAIN QUERY PLAN {statement}", given)]


READS = {
    **statements(reading, "SELECT "),
    **statements(outbox_reading, "SELECT ", "WITH "),
}


@pytest.mark.parametrize("name", READS)
async def test_no_read_sorts_or_goes_through_a_table(
    store: SqliteStore, path: Path, name: str
) -> None:
    plan = plan_of(path, READS[name])
    assert not [step for step in plan if "TEMP B-TREE" in step], plan
    assert not [step for step in plan if step in ("SCAN jobs", "SCAN events", "SCAN hooks")], plan


@pytest.mark.parametrize("name", statements(writing, "SELECT ", "UPDATE ", "DELETE "))
async def test_no_write_goes_through_a_table(store: SqliteStore, path: Path, name: str) -> None:
    plan = plan_of(path, statements(writing, "SELECT ", "UPDATE ", "DELETE ")[name])
    tables = ("SCAN jobs", "SCAN events", "SCAN phases", "SCAN hooks", "SCAN disabled_webhooks")
    assert not [step for step in plan if step in tables], plan


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("_OVERDUE", "jobs_deadline (deadline<?)"),
        ("_ENDED", "jobs_ended (state=? AND finished_at<?)"),
        ("_ENDED_FRESH", "jobs_fresh (state=? AND finished_at<?)"),
        ("_PLACE_OF_DELETED", "events_deleted (job=?)"),
        ("_EVENTS_OF_JOB", "events_job (job_n=? AND seq>?)"),
        ("_HOOKS", "hooks_place ((seq,id)>(?,?))"),
        ("_HOOKS_IN_STATE", "hooks_state (state=? AND (seq,id)>(?,?))"),
        ("_HOOKS_OF_JOB", "hooks_job (job=? AND (seq,id)>(?,?))"),
        # All that decides whether a row is read stands in the index.
        ("_DUE_HOOKS", "COVERING INDEX hooks_due (due_at<?)"),
        ("_DUE_HOOKS", "COVERING INDEX hooks_pending (job=? AND url=? AND seq<?)"),
        ("_LINES", "COVERING INDEX hooks_pending (job=? AND url>?)"),
        ("_LINES", "COVERING INDEX hooks_pending (job>?)"),
        ("_HOOKS_BY_N", "hooks USING INTEGER PRIMARY KEY (rowid=?)"),
        ("_HOOKS_BY_STATE", "COVERING INDEX hooks_state"),
        ("_DISABLED_WEBHOOKS", "disabled_webhooks USING PRIMARY KEY (url=?)"),
    ],
)
async def test_a_read_uses_its_index(store: SqliteStore, path: Path, name: str, index: str) -> None:
    plan = plan_of(path, READS[name])
    assert [step for step in plan if step.endswith(index)], plan


async def test_the_short_update_changes_nothing_that_an_index_looks_at(
    store: SqliteStore, path: Path
) -> None:
    [short, full] = [getattr(writing, name) for name in ("_ADVANCE_JOB", "_STEP_JOB")]
    advanced, stepped = [set(re.findall(r"(\w+) = \?", text)) - {"n"} for text in (short, full)]
    schema = read_sql(
        path, "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?", ["jobs"]
    )
    looked_at = set(re.findall(r"\w+", " ".join(sql for (sql,) in schema if sql)))
    assert advanced & looked_at == set()
    assert stepped - advanced <= looked_at, "and no more than that is compared"


# Where it writes


async def test_a_store_begins_on_the_trio_thread_unless_told_otherwise(path: Path) -> None:
    assert SqliteStore(path).inline
    assert SqliteStore(path, inline_below=math.inf).inline
    store = SqliteStore(path, inline_below=0)
    await store.open()
    for number in range(3):
        assert not store.inline
        await store.write([building.submit(f"{number}")])
    await store.close()


async def test_a_store_whose_disk_is_slow_writes_in_a_thread(path: Path) -> None:
    store = SqliteStore(path, inline_below=1e-9)
    await store.open()
    for number in range(4):
        await store.write([building.submit(f"{number}")])
    assert not store.inline
    assert len(await store.find(Query())) == 4
    await store.close()


def commits(pace: Pace, *seconds: float) -> bool:
    for each in seconds:
        assert pace.inline
        pace.took(each)
    return pace.inline


def test_one_slow_commit_decides_nothing() -> None:
    pace = Pace(0.001)
    assert commits(pace, *[0.0002] * 50, 0.5, *[0.0002] * 3, 0.5)


def test_a_slow_disk_is_left_to_a_thread_and_tried_now_and_then() -> None:
    pace = Pace(0.001)
    assert not commits(pace, *[0.008] * 3)
    for _ in range(3):
        for _ in range(TRY_EVERY):
            assert not pace.inline
            pace.passed()
        assert not commits(pace, 0.008)


def test_a_disk_that_has_recovered_is_trusted_again() -> None:
    pace = Pace(0.001)
    for _ in range(30):
        pace.took(0.008)
    for _ in range(TRY_EVERY):
        pace.passed()
    assert commits(pace, *[0.0001] * 20)
    assert commits(pace, 0.008), "the average has come down too"


def test_a_limit_of_nothing_is_never_tried() -> None:
    pace = Pace(0.0)
    for _ in range(3 * TRY_EVERY):
        assert not pace.inline
        pace.passed()
