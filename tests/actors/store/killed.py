"""The process that `test_kill.py` kills: it commits as fast as it can, and says what it was told.

A line is written at once: `told JOB VERSION` when a commit was acknowledged,
`published SEQ JOB VERSION` when an event was published. A third of the jobs are deleted.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

import trio

from triphase.actor import open_supervisor
from triphase.store import Applied, SqliteStore
from triphase.store.committer import Committer, Writer
from triphase.store.operations import JobOperation
from triphase_protocol import Job

from . import building

LIVES = 8
"""How many jobs are under way at a time."""


def say(lines: Sequence[str]) -> None:
    """Write lines that are there even if the process is gone the next moment."""
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


def publish(applied: Sequence[Applied]) -> None:
    """Tell of each event."""
    events = [event for each in applied for event in each.events]
    say([f"published {event.seq} {event.job} {event.version}" for event in events])


async def commit(writer: Writer, operation: JobOperation) -> Job:
    """Commit an operation and tell of its acknowledgement."""
    job = building.applied(await writer.commit(operation)).job
    say([f"told {job.id} {job.version}"])
    return job


async def live(writer: Writer, name: str) -> None:
    """Take one job after another through its life."""
    for number in itertools.count():
        job = await commit(writer, building.submit(f"{name}.{number}", payload="x" * number))
        job = await commit(writer, building.claim(job))
        job = await commit(writer, building.progress(job))
        if number % 3 == 0:
            await commit(writer, building.cancel(job))
            continue
        job = await commit(writer, building.complete(job, {"number": number}))
        job = await commit(writer, building.complete(job, name))
        if number % 3 == 1:
            await commit(writer, building.delete(job))


async def main(path: str, name: str, inline_below: float) -> None:
    """Own the store and commit until killed."""
    store = SqliteStore(path, inline_below=inline_below)
    await store.open()
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        committer = await supervisor.start(lambda: Committer(store, publish), name="committer")
        for number in range(LIVES):
            nursery.start_soon(live, Writer(committer), f"{name}.{number}")
