"""What the tests of processes share: a pool, and an ear for what handlers say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import attrs
import pytest
import trio

from triphase.endings import Ending
from triphase.external import Command
from triphase.processes import Processes, open_processes
from triphase_protocol import Json, Progress

from .jobs import call_of
from .scripts import environment

PATIENCE = 30.0
"""Seconds after which a test gives up."""


@pytest.fixture(scope="session", autouse=True)
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Generator[None, None, None]:
    """Keep bytecode where the environment keeps none: most of these tests start interpreters."""
    with pytest.MonkeyPatch.context() as patched:
        if sys.dont_write_bytecode:
            patched.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
            patched.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            command = [sys.executable, "-c", "import triphase.processes.worker"]
            subprocess.run(command, env=environment(), check=True)
        yield


@pytest.fixture
async def processes() -> AsyncGenerator[Processes, None]:
    """An open pool."""
    async with open_processes(close_grace=1) as pool:
        yield pool


class Ear:
    """Hears what handlers write to a named pipe."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        os.mkfifo(path)
        # Open for writing as well, so that it never ends.
        self._stream = trio.lowlevel.FdStream(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        self._rest = b""

    async def line(self) -> str:
        """Wait for the next line."""
        with trio.fail_after(PATIENCE):
            while b"\n" not in self._rest:
                self._rest += await self._stream.receive_some()
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        """Hear no more."""
        self._stream.close()


@pytest.fixture
async def ear(tmp_path: Path) -> AsyncGenerator[Ear, None]:
    """An ear for `Do(…, path=ear.path)`."""
    ear = Ear(tmp_path / "ear")
    yield ear
    ear.close()


@attrs.frozen
class Gated:
    """A command that waits for the test in the middle."""

    command: Command
    gate: str

    def open(self) -> None:
        """Let it go on."""
        descriptor = os.open(self.gate, os.O_RDWR | os.O_NONBLOCK)
        os.write(descriptor, b"go\n")
        os.close(descriptor)


@pytest.fixture
def gated(tmp_path: Path, ear: Ear) -> Gated:
    """It says its number, waits, and exits with code 4."""
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    text = f"exec 3<>{gate}; echo before; echo $$ > {ear.path}; read x <&3; echo after; exit 4"
    return Gated(Command(["sh", "-c", text], ok_codes=[4]), gate)


@attrs.define(eq=False)
class Running:
    """A call in the background."""

    stop: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    done: trio.Event = attrs.field(factory=trio.Event)
    endings: list[Ending] = attrs.field(factory=list[Ending])

    async def ending(self) -> Ending:
        """Wait for its end."""
        with trio.fail_after(PATIENCE):
            await self.done.wait()
        (ending,) = self.endings
        return ending


async def run(
    processes: Processes,
    instance: object,
    phase: str = "plain",
    *,
    results: dict[str, Json] | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    stop: trio.Event | None = None,
    grace: float = PATIENCE,
) -> Ending:
    """Run one phase of a job to its end."""
    with trio.fail_after(PATIENCE):
        return await processes.run(
            call_of(instance, phase, results),
            report=report,
            stop=trio.Event() if stop is None else stop,
            grace=grace,
        )


def start(
    nursery: trio.Nursery,
    processes: Processes,
    instance: object,
    phase: str = "plain",
    *,
    grace: float = PATIENCE,
) -> Running:
    """Run one phase of a job in the background."""
    running = Running()

    async def task() -> None:
        try:
            with running.scope:
                ending = await run(processes, instance, phase, stop=running.stop, grace=grace)
                running.endings.append(ending)
        finally:
            running.done.set()

    nursery.start_soon(task)
    return running


def is_gone(pid: int) -> bool:
    """Is there no such process?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def wait_gone(pid: int) -> None:
    """Wait for the end of a process that is not a child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with trio.fail_after(PATIENCE):
            await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)
