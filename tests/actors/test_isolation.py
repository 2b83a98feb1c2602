"""Phases in processes and as commands: stopped for good, found again, and their results kept."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import triphase
from triphase_protocol import fold

from .processes.conftest import PATIENCE, Ear, is_gone, wait_gone
from .processes.isolated import isolated_jobs

pytestmark = pytest.mark.slow

Isolated, Program = isolated_jobs.Isolated, isolated_jobs.Program
Plain, Selected = isolated_jobs.Plain, isolated_jobs.Selected
TYPES: list[type[Any]] = [Isolated, Program, Plain, Selected]


@pytest.fixture
async def ear(tmp_path: Path) -> AsyncGenerator[Ear, None]:
    """Hears what a handler or a command says."""
    ear = Ear(tmp_path / "ear")
    yield ear
    ear.close()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store in a file, beside which commands may survive."""
    return str(tmp_path / "jobs.db")


async def events_of(runtime: triphase.Runtime, job: triphase.JobHandle) -> list[triphase.Event]:
    """Return the whole log of a job, which must lead to its row."""
    events = await runtime._parts.store.events(job=job.id)
    assert fold(events).state is (await job.get()).state
    return events


async def test_a_phase_in_a_process_is_a_phase_like_any_other() -> None:
    async with triphase.open_runtime(TYPES, store="memory:") as runtime:
        job = await runtime.submit(Isolated("return"))
        with trio.fail_after(PATIENCE):
            assert await job.wait() == triphase.Completed(job=job.id, run=1, result=True)
        record = await job.get()
        assert record.phases[1].progress == triphase.Progress(done=1, total=2, message="attempt 1")
        assert runtime.statistics().processes.started == 1
    assert runtime.statistics().processes.alive == 0


async def test_a_process_that_dies_is_a_try_that_failed() -> None:
    async with triphase.open_runtime(TYPES, store="memory:") as runtime:
        job = await runtime.submit(Isolated("crash"))
        with trio.fail_after(PATIENCE):
            assert isinstance(await job.wait(), triphase.Completed)
        record = await job.get()
    assert record.phases[1].spent == {"error": 1}


async def test_a_policy_says_which_errors_are_tried_again_here_and_in_a_process() -> None:
    async with triphase.open_runtime(TYPES, store="memory:") as runtime:
        jobs = {
            "in a process, refused": (Isolated("raise"), 1),
            "in a thread, listed": (Selected("listed"), 3),
            "in a thread, not listed": (Selected("other"), 1),
        }
        for what, (payload, tries) in jobs.items():
            job = await runtime.submit(payload)
            with trio.fail_after(PATIENCE):
                assert isinstance(await job.wait(), triphase.Failed), what
            assert [p.attempt for p in (await job.get()).phases if p.attempt][-1] == tries, what


@pytest.mark.parametrize(("what", "how"), [("wait", "terminated"), ("ignore", "killed")])
async def test_a_cancel_ends_the_process_and_the_event_says_how(
    what: str, how: str, ear: Ear
) -> None:
    async with triphase.open_runtime(TYPES, store="memory:") as runtime:
        job = await runtime.submit(Isolated(what, ear.path))
        await ear.line()
        await job.cancel(reason="enough")
        with trio.fail_after(PATIENCE):
            assert isinstance(await job.wait(), triphase.Cancelled)
        events = await events_of(runtime, job)
        assert events[-1].data["how"] == how
        assert (await job.get()).stop.how == how  # type: ignore[union-attr]
        # Killed, it costs nothing any more.
        assert runtime.statistics().processes.alive == 0
        assert runtime.statistics().handlers.abandoned_ever == 0


async def test_leaving_the_runtime_ends_the_process_and_puts_the_job_back(
    ear: Ear, store: str
) -> None:
    async with triphase.open_runtime(TYPES, store=store, drain_timeout=0) as runtime:
        job = await runtime.submit(Isolated("ignore", ear.path))
        await ear.line()
    assert runtime.statistics().processes.alive == 0
    queues = {"default": triphase.Queue(paused=True)}
    async with triphase.open_runtime(TYPES, store=store, queues=queues) as runtime:
        record = await runtime.get(job)
        assert (record.state.value, record.phases[1].spent) == ("queued", {"shutdown": 1})


async def test_a_command_is_a_phase_whose_exit_code_decides() -> None:
    async with triphase.open_runtime(TYPES, store="memory:") as runtime:
        cases: list[tuple[list[str], str | None]] = [
            (["true"], None),
            (["false"], "CommandFailed"),
            (["no-such-program"], "CommandNotStarted"),
            (["raise"], "Fail"),
            (["return"], "Fail"),
            (["exit"], "SystemExit"),
            ([], "InvalidValue"),
        ]
        for argv, error in cases:
            job = await runtime.submit(Plain(argv))
            with trio.fail_after(PATIENCE):
                outcome = await job.wait()
            if error is None:
                assert outcome == triphase.Completed(job=job.id, run=1, result=0)
            else:
                assert isinstance(outcome, triphase.Failed)
                assert outcome.error.type == error
                # By the name of what failed it, the policy says whether it is tried again.
                again = error not in ("CommandFailed", "Fail")
                assert (await job.get()).phases[0].attempt == (3 if again else 1)


def let_go(ear: Ear, word: str) -> None:
    """Let a waiting command go on."""
    descriptor = os.open(f"{ear.path}.gate", os.O_RDWR | os.O_NONBLOCK)
    os.write(descriptor, f"{word}\n".encode())
    os.close(descriptor)


@pytest.fixture
def program(ear: Ear) -> str:
    """The path that a `Program` is given."""
    os.mkfifo(f"{ear.path}.gate")
    return ear.path


async def test_a_command_goes_on_without_the_runtime_and_the_next_one_has_its_result(
    ear: Ear, store: str, program: str
) -> None:
    async with triphase.open_runtime(TYPES, store=store, drain_timeout=0) as runtime:
        job = await runtime.submit(Program(program))
        pid = int(await ear.line())
    assert not is_gone(pid)
    async with triphase.open_runtime(TYPES, store=store) as runtime:
        while (await runtime.get(job)).state is not triphase.JobState.RUNNING:
            await trio.testing.wait_all_tasks_blocked()
        descriptor = os.open(f"{ear.path}.gate", os.O_RDWR | os.O_NONBLOCK)
        os.write(descriptor, b"finished\n")
        with trio.fail_after(PATIENCE):
            outcome = await runtime.wait(job)
        os.close(descriptor)
        assert outcome == triphase.Completed(job=job.id, run=2, result="finished")
        record = await runtime.get(job)
        assert record.phases[0].spent == {"shutdown": 1}
        assert record.phases[0].origin == 1
        await trio.testing.wait_all_tasks_blocked()
        assert await runtime._parts.orders.commands.list() == []


async def test_a_cancel_while_its_job_waits_stops_a_command_before_it_is_acknowledged(
    ear: Ear, store: str, program: str
) -> None:
    async with triphase.open_runtime(TYPES, store=store, drain_timeout=0) as runtime:
        job = await runtime.submit(Program(program, ignores=True))
        pid = int(await ear.line())
    queues = {"default": triphase.Queue(paused=True)}
    async with triphase.open_runtime(TYPES, store=store, queues=queues) as runtime:
        assert not is_gone(pid)
        with trio.fail_after(PATIENCE):
            record = await runtime.cancel(job, reason="enough")
        assert record.state is triphase.JobState.CANCELLED
        await wait_gone(pid)


async def test_a_cancel_of_a_running_command_ends_it(ear: Ear, store: str, program: str) -> None:
    async with triphase.open_runtime(TYPES, store=store) as runtime:
        job = await runtime.submit(Program(program, ignores=True))
        pid = int(await ear.line())
        await job.cancel()
        with trio.fail_after(PATIENCE):
            assert isinstance(await job.wait(), triphase.Cancelled)
        assert (await events_of(runtime, job))[-1].data["how"] == "killed"
        await wait_gone(pid)


async def test_a_command_that_nobody_waits_for_is_found_and_stopped(
    ear: Ear, store: str, program: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with triphase.open_runtime(TYPES, store=store, drain_timeout=0) as runtime:
        job = await runtime.submit(Program(program))
        pid = int(await ear.line())

    # Another, who does not know that there are such commands, ends the job.
    @triphase.job(name="Program")
    class Other:
        path: str
        code: int = 0
        ignores: bool = False

        @triphase.phase()
        async def run(self, ctx: triphase.Context) -> None: ...

        @triphase.phase()
        async def read(self, ctx: triphase.Context) -> None: ...

    queues = {"default": triphase.Queue(paused=True)}
    async with triphase.open_runtime([Other], store=store, queues=queues) as first:
        await first.cancel(job)
    async with triphase.open_runtime(TYPES, store=store) as second:
        await wait_gone(pid)
        # By the first, if its look was under way when the job ended; else by the second.
        while not any(each.statistics().reconciler.commands for each in (first, second)):
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert "which nobody waits for, was stopped" in caplog.text


async def test_a_class_that_no_process_can_import_is_refused_when_the_runtime_opens() -> None:
    @triphase.job()
    class Local:
        @triphase.phase(isolation="process")
        def only(self, ctx: triphase.Context) -> None: ...

    with pytest.raises(triphase.DefinitionError, match="inside of a function"):
        async with triphase.open_runtime([Local], store="memory:"):
            pytest.fail("it opened")
