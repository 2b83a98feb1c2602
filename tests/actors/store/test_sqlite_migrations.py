"""What becomes of the jobs in an SQLite store of an older version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from triphase.store import NewHook, Query, SqliteStore
from triphase.store.sqlite.connection import Connection, connect_writer
from triphase.store.sqlite.rows import Row
from triphase.store.sqlite.schema import MIGRATIONS, NEWEST, migrate
from triphase_protocol import (
    Deadline,
    ErrorRecord,
    EventType,
    HookState,
    Job,
    JobState,
    Json,
    PhaseRecord,
    PhaseState,
    Stop,
    StopCause,
    StopHow,
    StopStep,
)

from . import building
from .building import applied
from .sqlite_files import read_sql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is, or is to be."""
    return tmp_path / "jobs.db"


AT = 1_700_000_000.123456789
"""A time that takes all the digits of a float."""


def insert(connection: Connection, table: str, **columns: object) -> None:
    """Insert a row, as an older version has."""
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    connection.execute(statement, tuple(columns.values())).fetchall()


def put_old_job(connection: Connection, n: int, **columns: object) -> None:
    """Insert a job as version 3 did, with its phases and an event."""
    fields: dict[str, object] = {
        "n": n,
        "id": f"job {n}",
        "type": "Transcode",
        "queue": "media",
        "state": "running",
        "priority": 1,
        "position": 2,
        "run": 1,
        "version": 1,
        "key": f"key {n}",
        "digest": "d",
        "payload": '{"a": [1.0]}',
        "labels": '{"x": "y"}',
        "submitted_at": AT,
        "due_at": AT,
        "started_at": AT,
    }
    insert(connection, "jobs", **{**fields, **columns})
    phases: dict[str, object] = {"job": n, "attempt": 1, "spent": "{}"}
    insert(connection, "phases", idx=0, name="a", state="completed", result='"x"', **phases)
    insert(connection, "phases", idx=1, name="b", state="running", version=3, **phases)
    event: dict[str, object] = {"job_n": n, "job": f"job {n}", "version": 1, "run": 1}
    insert(connection, "events", type="job.started", at=AT, data="{}", **event)


def put_old_store(path: Path, *jobs: Mapping[str, object]) -> None:
    """Make a store of version 3 that holds these jobs."""
    with closing(connect_writer(str(path), "full")) as connection:
        migrate(connection, str(path), {number: MIGRATIONS[number] for number in (1, 2, 3)})
        for n, columns in enumerate(jobs, 1):
            put_old_job(connection, n, **columns)


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open()
    return store


async def test_the_jobs_of_version_3_are_kept(path: Path) -> None:
    put_old_store(path, {}, {"state": "cancelled", "finished_at": AT, "reason": "enough"})
    store = await opened(path)
    assert read_sql(path, "SELECT value FROM meta WHERE key = 'schema_version'") == [(str(NEWEST),)]
    job = await store.get("job 1")
    assert job is not None
    assert job == Job(
        id="job 1",
        type="Transcode",
        state=JobState.RUNNING,
        queue="media",
        priority=1,
        position=2,
        run=1,
        version=1,
        key="key 1",
        digest="d",
        payload={"a": [1.0]},
        labels={"x": "y"},
        phases=(
            PhaseRecord(name="a", state=PhaseState.COMPLETED, attempt=1, result="x"),
            PhaseRecord(name="b", state=PhaseState.RUNNING, attempt=1, version=3),
        ),
        submitted_at=AT,
        due_at=AT,
        started_at=AT,
    )
    assert [event.type for event in await store.events(job="job 1")] == [EventType.JOB_STARTED]
    [ended] = await store.ended(JobState.CANCELLED, AT, 5, fresh=True)
    assert (ended.id, ended.stale_at) == ("job 2", None)
    assert await store.next_deadline() is None
    assert await store.queue_settings() == {}
    # And they go on as the others do.
    results = await store.write([building.progress(job), building.delete(ended)])
    assert await store.get("job 1") == applied(results[0]).job
    assert await store.gone("job 2")
    await store.close()


ERROR = {"type": "Timeout", "message": "slow", "traceback": None}

OLD_STOP: Mapping[str, Json] = {
    "cause": "cancel",
    "asked_at": AT,
    "grace_until": AT + 5,
    "reason": "enough",
    "by": "me",
    "error": None,
    "whole_job": False,
    "stopped_at": None,
    "abandoned": False,
}

NEW_STOP = Stop(
    cause=StopCause.CANCEL,
    asked_at=AT,
    cancel_at=AT,
    grace_until=AT + 5,
    step=StopStep.CANCEL,
    reason="enough",
    by="me",
)

TIMED_OUT = attrs.evolve(
    NEW_STOP,
    cause=StopCause.TIMEOUT,
    error=ErrorRecord(type="Timeout", message="slow"),
    stopped_at=AT + 1,
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, NEW_STOP),
        ({"stopped_at": AT + 1}, attrs.evolve(NEW_STOP, stopped_at=AT + 1, how=StopHow.STOPPED)),
        (
            {"stopped_at": AT + 1, "abandoned": True},
            attrs.evolve(NEW_STOP, stopped_at=AT + 1, how=StopHow.ABANDONED),
        ),
        (
            {"cause": "timeout", "error": ERROR, "stopped_at": AT + 1},
            attrs.evolve(TIMED_OUT, deadline=Deadline.PHASE, how=StopHow.STOPPED),
        ),
        (
            {"cause": "timeout", "error": ERROR, "stopped_at": AT + 1, "whole_job": True},
            attrs.evolve(TIMED_OUT, deadline=Deadline.JOB, how=StopHow.STOPPED),
        ),
    ],
)
async def test_a_stop_of_version_3_can_be_read(
    path: Path, before: dict[str, Json], after: Stop
) -> None:
    text = json.dumps({**OLD_STOP, **before})
    put_old_store(path, {"stop": text}, {"stop": None}, {"stop": "{"}, {"stop": "[]"})
    store = await opened(path)
    assert [job.id for job in await store.find(Query())] == ["job 2", "job 1"]
    job = await store.get("job 1")
    assert job is not None
    assert job.stop == after
    assert (await store.statistics()).corrupt == 2, "what was unreadable before is so now"
    await store.close()


def stops(path: Path) -> list[Row]:
    return read_sql(path, "SELECT stop FROM jobs")


async def test_a_stop_is_rewritten_once(path: Path) -> None:
    put_old_store(path, {"stop": json.dumps(OLD_STOP)})
    await (await opened(path)).close()
    before = stops(path)
    await (await opened(path)).close()
    assert stops(path) == before


async def test_the_jobs_of_version_4_are_told_of_nowhere(path: Path) -> None:
    with closing(connect_writer(str(path), "full")) as connection:
        migrate(connection, str(path), {number: MIGRATIONS[number] for number in (1, 2, 3, 4)})
        put_old_job(connection, 1)
    store = await opened(path)
    job = await store.get("job 1")
    assert job is not None
    assert job.webhooks == ()
    assert await store.hooks() == []
    # And their events can be delivered from now on.
    hook = NewHook(id="h", event=-1, url="https://example.org/")
    [result] = await store.write([building.hooked(building.progress(job), hook)])
    [row] = await store.hooks(job="job 1")
    [told, stopped] = await store.write(
        [building.tried(row, HookState.DELIVERED), building.stop(applied(result).job)]
    )
    assert applied(told).job.version == job.version + 2
    assert applied(stopped).job.version == job.version + 3
    await store.close()
