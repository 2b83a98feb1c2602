"""The command line as processes: signals, pipes and terminals."""

from __future__ import annotations

import os
import pty
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

import triphase

from .conftest import Cli, Spawn
from .running import finish, run_jobs

pytestmark = pytest.mark.slow


@pytest.fixture
def store(folder: Path, sample_types: list[type]) -> list[type]:
    """A store with a job that has completed, and the job types."""
    ping: Any = sample_types[1]
    trio.run(run_jobs, sample_types, [ping()])
    return sample_types


def output_on_terminal(spawn: Spawn, *arguments: str) -> tuple[int, str]:
    """Run a command whose streams are a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    os.environ["COLUMNS"] = "80"
    process = spawn(*arguments, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    parts: list[bytes] = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:
        # How Linux says that the other end is closed.
        pass
    finally:
        os.close(ours)
        del os.environ["COLUMNS"]
    return process.wait(), b"".join(parts).decode("utf-8")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_quietly(
    store: object, spawn: Spawn, number: signal.Signals, code: int
) -> None:
    process = spawn("tail", "--after", "0")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("1\t")
    process.send_signal(number)
    _, err = process.communicate()
    assert (process.returncode, err) == (code, "")


@pytest.mark.parametrize("arguments", [("tail", "--after", "0"), ("ls", "--json"), ("show", "a")])
def test_a_reader_that_is_gone_ends_a_command_quietly(
    folder: Path, sample_types: list[type], spawn: Spawn, arguments: tuple[str, ...]
) -> None:
    ping: Any = sample_types[1]
    trio.run(run_jobs, sample_types, [ping()], "abc")
    process = spawn(*arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


def test_watch_follows_a_job_that_another_process_runs(
    cli: Cli, store: list[type], spawn: Spawn
) -> None:
    id = cli("submit", "Ping", "--jobs", "sample").out.strip()
    process = spawn("watch", id)
    assert process.stderr is not None
    assert "no process runs the jobs of this store now" in process.stderr.readline()
    trio.run(finish, store)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert out.splitlines()[-1].split("\t")[2:4] == [id, "job.completed"]


def test_a_terminal_gets_a_table_in_colour(store: object, spawn: Spawn) -> None:
    code, text = output_on_terminal(spawn, "ls")
    assert code == 0
    assert "phases" in text.splitlines()[0]
    assert "\x1b[32mcompleted" in text
    assert max(len(line) for line in text.splitlines() if "\x1b" not in line) <= 80


def test_no_color_is_respected(
    store: object, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    code, text = output_on_terminal(spawn, "ls")
    assert code == 0
    assert "completed" in text
    assert "\x1b[3" not in text


def test_a_terminal_gets_bars(cli: Cli, store: object, spawn: Spawn) -> None:
    id = cli("ls").cells[0][0]
    code, text = output_on_terminal(spawn, "watch", id)
    assert code == 0
    assert "━━━" in text
    assert "job.completed" not in text


def test_a_terminal_gets_json_if_it_asks_for_it(store: object, spawn: Spawn) -> None:
    code, text = output_on_terminal(spawn, "ls", "--json")
    assert code == 0
    assert text.startswith('{"id":')


# The demo


SOME = [f"--package={name}" for name in ("json", "tomllib", "email", "xml", "unittest", "asyncio")]


def phases_of(store: str) -> tuple[int, list[tuple[str, str]]]:
    """Return how many jobs a store has, and the phases that were completed, each time it was."""

    async def read() -> tuple[int, list[tuple[str, str]]]:
        async with triphase.store.sqlite.open_reader(store) as reader:
            jobs = sum((await reader.statistics()).jobs.values())
            events = await reader.events(types=[triphase.EventType.PHASE_COMPLETED])
            return jobs, [(event.job, str(event.phase)) for event in events]

    return trio.run(read)


def test_a_demo_that_was_killed_goes_on_and_does_nothing_twice(
    cli: Cli, folder: Path, spawn: Spawn
) -> None:
    process = spawn("demo", *SOME)
    assert process.stderr is not None
    assert " completed" in next(line for line in process.stderr if "/6 " in line)
    process.kill()
    process.wait()
    _, before = phases_of("triphase-demo/jobs.db")
    ran = cli("demo", *SOME, "--json")
    (summary,) = ran.objects
    jobs, after = phases_of("triphase-demo/jobs.db")
    assert ran.code == 0
    assert (jobs, summary["completed"], summary["recognised"]) == (6, 6, 6)
    assert len(after) == len(set(after)) == 6 * 4
    assert after[: len(before)] == before
    assert summary["phases_kept"] == len(before) >= 4


def test_ctrl_c_in_a_demo_puts_its_jobs_back(cli: Cli, folder: Path, spawn: Spawn) -> None:
    process = spawn("demo", *SOME)
    assert process.stderr is not None
    line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert "/6 " in line or "json: " in line
    assert process.returncode == 130
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    states = {cells[2] for cells in cli("ls", "--store", "triphase-demo/jobs.db").cells}
    assert states <= {"queued", "scheduled", "completed"}


def test_a_demo_on_a_terminal_draws_its_progress(spawn: Spawn) -> None:
    code, text = output_on_terminal(spawn, "demo", "--package=json")
    assert code == 0
    assert "all packages" in text
    assert "PlannedFailure" in text
    assert "Look at it:" in text


def test_a_second_demo_at_the_same_time_is_turned_away(
    cli: Cli, folder: Path, spawn: Spawn
) -> None:
    process = spawn("demo", *SOME)
    assert process.stderr is not None
    process.stderr.readline()
    ran = cli("demo", *SOME)
    assert ran.code == 4
    assert f"owned by process {process.pid}" in ran.err
