"""Whoever comes late, from another run or with an old reading, changes nothing that is newer.

Rows 2 and 19 to 21 of `docs/explanation/shipped-bugs.md`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.actors.processes.conftest import PATIENCE, Ear
from tests.actors.sample_jobs import Gate, Held, Reopen

import triphase
from triphase.processes import KeptCommand
from triphase.store import SqliteStore
from triphase_protocol import JobState

from .moments import Hold, log_of, types


@triphase.job()
class Late:
    """Its first run will not stop, and has something to say long afterwards."""

    says: str

    @triphase.phase(stop_grace=5)
    async def only(self, ctx: triphase.Context) -> object:
        if ctx.run > 1:
            await ctx.progress(ctx.run, total=9)
            await trio.sleep(1000)
            return ctx.run
        with trio.CancelScope(shield=True):
            await trio.sleep(100)
            if self.says == "progress":
                await ctx.progress(99, message="from the past")
                await trio.sleep(100)
        return await LATE[self.says]()


async def returns() -> object:
    return "from the past"


async def raises() -> object:
    raise ValueError("from the past")


async def snoozes() -> object:
    return triphase.Snooze(1)


async def cancels() -> object:
    return triphase.Cancel("from the past")


LATE: dict[str, Callable[[], Awaitable[object]]] = {
    "result": returns,
    "error": raises,
    "snooze": snoozes,
    "cancel": cancels,
    "progress": returns,
}


@pytest.mark.parametrize("says", LATE)
async def test_what_an_abandoned_handler_says_does_not_reach_the_next_run(
    says: str, reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async with triphase.open_runtime([Late], store=reopen(), clock=clock) as runtime:
        job = await runtime.submit(Late(says))
        await trio.testing.wait_all_tasks_blocked()
        await job.cancel()
        await job.wait()
        await job.retry()
        await trio.sleep(50)
        before = await job.get()
        assert before.phases[0].progress == triphase.Progress(done=2, total=9)
        # It speaks now.
        await trio.sleep(300)
        assert await job.get() == before
        assert await job.wait() == triphase.Completed(job=job.id, run=2, result=2)
        await log_of(runtime, job.id)
        assert runtime.statistics().handlers.running == 0


@triphase.job()
class Twice:
    """A command that fails at first, and runs on the second time until it is stopped."""

    path: str

    @triphase.command(survives=True, stop_grace=0, retry=triphase.Retry(attempts=2, backoff=0))
    def only(self, ctx: triphase.Context) -> list[str]:
        if ctx.attempt == 1:
            return ["false"]
        return ["sh", "-c", f"echo up > {self.path}; read word < {self.path}.gate"]


@pytest.fixture
async def ear(tmp_path: Path) -> AsyncGenerator[Ear, None]:
    """Hears what a command says."""
    ear = Ear(tmp_path / "ear")
    os.mkfifo(f"{ear.path}.gate")
    yield ear
    ear.close()


@pytest.mark.slow
async def test_a_run_that_is_still_tidying_up_takes_nothing_from_the_next(
    ear: Ear, tmp_path: Path
) -> None:
    async with triphase.open_runtime([Twice], store=str(tmp_path / "jobs.db")) as runtime:
        commands, directory = runtime._parts.orders.commands, runtime._parts.directory
        with Hold(commands, "discard", before=True) as hold, trio.fail_after(PATIENCE):
            job = await runtime.submit(Twice(ear.path))
            await hold.reached.wait()
            # The end of the first run is durable; it has not tidied up, and the second runs.
            assert await ear.line() == "up"
            actor = directory.actor_of(job.id)
            hold.go.set()
            await hold.done.wait()
            await trio.testing.wait_all_tasks_blocked()
            # What was removed is its own, and its actor has taken leave of nobody but itself.
            assert await commands.list() == [KeptCommand(job.id, 0, origin=2)]
            assert await commands.lives(KeptCommand(job.id, 0, origin=2))
            assert directory.actor_of(job.id) is actor is not None
            await job.cancel()
            assert isinstance(await job.wait(), triphase.Cancelled)
        record = await job.get()
        assert (record.run, dict(record.phases[0].spent)) == (2, {"error": 1})
        await log_of(runtime, job.id)


async def test_the_lock_of_a_store_outlives_its_owners_so_that_two_never_have_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.db"
    lock = f"{path}-lock"
    first, second, third = (SqliteStore(path) for _ in range(3))
    await first.open()
    # Somebody has the lock file open, to try for it in a moment.
    waiting = os.open(lock, os.O_RDONLY)
    await first.close()
    await second.open()
    assert os.path.samestat(os.fstat(waiting), os.stat(lock))
    os.close(waiting)
    with pytest.raises(triphase.StoreLocked):
        await third.open()
    await second.close()


@pytest.mark.parametrize("method", ["overdue", "due", "ended"])
async def test_what_somebody_moved_since_it_was_read_is_left_alone_by_a_sweep(
    method: str,
    reopen: Reopen,
    gate: Gate,
    clock: triphase.TrioClock,
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = reopen()
    async with triphase.open_runtime(
        [Held], store=store, clock=clock, retention=triphase.Retention(delete_after=5)
    ) as runtime:
        await runtime.pause("held")
        match method:
            case "overdue":
                job = await runtime.submit(Held("a"), queue_timeout=5)
            case "due":
                job = await runtime.submit(Held("a"), delay=5)
            case _:
                job = await runtime.submit(Held("a"))
                await job.cancel()
        with Hold(store, method, answer=bool) as hold:
            # It was read as one that is to be ended, queued or deleted; somebody is quicker.
            await hold.reached.wait()
            moved = await (job.retry() if method == "ended" else job.cancel())
        await trio.testing.wait_all_tasks_blocked()
        assert await job.get() == moved
        log = types(await log_of(runtime, job.id))
        assert log[-1] == ("job.queued" if method == "ended" else "job.cancelled")
        statistics = runtime.statistics().reconciler
        assert (statistics.expired, statistics.deleted, statistics.failed) == (0, 0, 0)
        assert moved.state is (JobState.QUEUED if method == "ended" else JobState.CANCELLED)
        if method == "ended":
            await job.cancel()
