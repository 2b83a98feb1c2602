"""Nothing that was acknowledged or published is lost when the process is killed."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import trio

from triphase.store import Query, SqliteStore, Store
from triphase.store.backend import PAGE_MOST
from triphase_protocol import Event, EventType, Job, fold

from .sqlite_files import read_sql

ROUNDS = int(os.environ.get("TRIPHASE_KILL_ROUNDS", "10"))
"""How many processes are killed, one after another on the same file."""

PROGRAM = "import sys, trio; from tests.actors.store.killed import main; trio.run(main, {}, {}, {})"


@attrs.define
class Heard:
    """What a process has said before it was killed."""

    told: list[tuple[str, int]] = attrs.field(factory=list[tuple[str, int]])
    """The job and version of each acknowledgement."""

    published: list[tuple[int, str, int]] = attrs.field(factory=list[tuple[int, str, int]])
    """The seq, job and version of each event."""

    def take(self, line: bytes) -> None:
        """Take in a line; the last may be cut off."""
        match line.decode().split(" "):
            case ["told", job, version] if version.endswith("\n"):
                self.told.append((job, int(version)))
            case ["published", seq, job, version] if version.endswith("\n"):
                self.published.append((int(seq), job, int(version)))
            case _:
                assert not line.endswith(b"\n"), line


@attrs.frozen
class Contents:
    """All that is in a store."""

    jobs: list[Job]
    events: list[Event]

    @property
    def deleted(self) -> dict[str, Event]:
        """What is left of each job that was deleted, by its id."""
        return {e.job: e for e in self.events if e.type is EventType.JOB_DELETED}


def run_until_killed(path: Path, name: str, *, inline_below: float, acknowledgements: int) -> Heard:
    """Run the process, and kill it once it has said so much."""
    program = PROGRAM.format(repr(str(path)), repr(name), f"float({str(inline_below)!r})")
    root, heard = Path(__file__).parents[3], Heard()
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                heard.take(line)
                if len(heard.told) >= acknowledgements:
                    break
        finally:
            process.kill()
        # What it had said in the meantime counts as well.
        for line in process.stdout:
            heard.take(line)
    return heard


async def contents(path: Path) -> Contents:
    """Open the store as its next owner does, and read it all."""
    store = SqliteStore(path)
    await store.open()
    try:
        return Contents(await all_jobs(store), await all_events(store))
    finally:
        await store.close()


async def all_jobs(store: Store) -> list[Job]:
    jobs: list[Job] = []
    while True:
        after = jobs[-1].id if jobs else None
        page = await store.find(Query(newest_first=False, after=after, limit=PAGE_MOST))
        if not page:
            return jobs
        jobs += page


async def all_events(store: Store) -> list[Event]:
    events: list[Event] = []
    while True:
        page = await store.events(after=events[-1].seq if events else 0)
        if not page:
            return events
        events += page


def check_whole(contents: Contents) -> None:
    """Every row is the fold of its log, and the log is in order, without what was deleted."""
    logs: dict[str, list[Event]] = {job.id: [] for job in contents.jobs}
    logs |= {job: [] for job in contents.deleted}
    seqs = [event.seq for event in contents.events]
    assert seqs == sorted(set(seqs))
    for event in contents.events:
        logs[event.job].append(event)
    # Each event has a seq, those of a deleted job too: they are the gaps.
    gone = [tombstone.version - 1 for tombstone in contents.deleted.values()]
    assert seqs[-1] - len(seqs) == sum(gone)
    for id, tombstone in contents.deleted.items():
        assert logs.pop(id) == [tombstone]
    assert logs.keys() == {job.id for job in contents.jobs}
    for job in contents.jobs:
        summary = fold(logs[job.id])
        assert (summary.state, summary.run, summary.version) == (job.state, job.run, job.version)
        assert summary.phases == {phase.name: phase.state for phase in job.phases}


def check_no_leftovers(path: Path) -> None:
    """Nothing but its last event is left of a job that was deleted."""
    rest = "SELECT {0} FROM {1} WHERE {0} NOT IN (SELECT n FROM jobs)"
    assert read_sql(path, rest.format("job", "phases")) == []
    others = f"{rest.format('job_n', 'events')} AND type <> 'job.deleted'"
    assert read_sql(path, others) == []


def check_nothing_lost(heard: Heard, contents: Contents) -> None:
    """What was acknowledged or published is in the store, as it was said, or was deleted since."""
    deleted = {job: tombstone.version for job, tombstone in contents.deleted.items()}
    versions = {job.id: job.version for job in contents.jobs} | deleted
    assert [job for job, version in heard.told if versions[job] < version] == []
    told = [told for told in heard.told if told[1] >= deleted.get(told[0], 0)]
    stored = {(event.job, event.version) for event in contents.events}
    assert [each for each in told if each not in stored] == []
    published = [said for said in heard.published if said[2] >= deleted.get(said[1], 0)]
    rows = {(event.seq, event.job, event.version) for event in contents.events}
    assert [each for each in published if each not in rows] == []
    order = [seq for seq, _, _ in heard.published]
    assert order == sorted(set(order)), "published in order, and once"


@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * ROUNDS)
def test_what_was_acknowledged_or_published_outlives_a_kill(tmp_path: Path) -> None:
    draw = random.Random(8)
    path = tmp_path / "jobs.db"
    before = Contents([], [])
    for number in range(ROUNDS):
        heard = run_until_killed(
            path,
            f"{number}",
            inline_below=(0.0, math.inf)[number % 2],
            acknowledgements=draw.randint(1, 600),
        )
        after = trio.run(contents, path)
        check_whole(after)
        check_no_leftovers(path)
        check_nothing_lost(heard, after)
        assert after.events[: len(before.events)] == before.events
        assert after.jobs[: len(before.jobs)] == before.jobs
        assert heard.told
        before = after
