"""What the tests of the command line share: a folder with job types, and ways to run commands."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from triphase.cli.job_types import job_types
from triphase.cli.main import main

from .asking import Line, line_of
from .ran import Ran

SAMPLE = """
import triphase


@triphase.job(queue="media")
class Transcode:
    url: str
    preset: str = "fast"

    @triphase.phase()
    async def fetch(self, ctx: triphase.Context) -> str:
        await ctx.progress(3, total=10, message="down\\tloading")
        return "in.mp4"

    @triphase.phase()
    async def encode(self, ctx: triphase.Context) -> dict[str, int]:
        if self.preset == "broken":
            raise ValueError("no such preset\\nat \\x1b[31mall")
        return {"frames": 1200}


@triphase.job
class Ping:
    @triphase.phase()
    async def send(self, ctx: triphase.Context) -> str:
        return "pong"


ONE, BOTH, NONE, WRONG = Ping, [Transcode, Ping], [], [int]
"""


Cli = Callable[..., Ran]
"""Runs the command line in this process: `cli("ls", "--json")`."""

Spawn = Callable[..., "subprocess.Popen[str]"]
"""Starts the command line as a process of its own."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with job types in `sample.py`, and nothing else."""
    (tmp_path / "sample.py").write_text(SAMPLE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    ours = ("STORE", "JOBS", "URL", "TOKEN")
    for name in (*(f"TRIPHASE_{each}" for each in ours), "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    log = logging.getLogger("triphase")
    handlers = list(log.handlers)
    yield tmp_path
    log.handlers[:] = handlers
    sys.modules.pop("sample", None)


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process."""

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def sample_types(folder: Path) -> list[type]:
    """The job types of `sample.py`."""
    return job_types("sample:BOTH")


@pytest.fixture
def spawn(folder: Path) -> Iterator[Spawn]:
    """Start a command as a process; what is left of it at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "triphase", *arguments]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TERM": "xterm"}
        started.append(subprocess.Popen(command, text=True, env=environment, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


OpenLine = Callable[..., AbstractAsyncContextManager[Line]]
"""Opens a runtime with a gateway in memory: `async with open_line(Clip) as line:`."""


@pytest.fixture
def open_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> OpenLine:
    """Open a gateway to which the commands in the block connect."""
    return partial(line_of, capsys=capsys, monkeypatch=monkeypatch)
