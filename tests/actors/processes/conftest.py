"""What the tests of processes share: a pool, and an ear for what handlers say."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import attrs
import pytest
import trio

from triphase.processes import ProcessEnding, Processes, open_processes
from triphase_protocol import Json, Progress

from .jobs import call_of

PATIENCE = 30.0
"""Seconds after which a test gives up."""


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


@attrs.define(eq=False)
class Running:
    """A call in the background."""

    stop: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    done: trio.Event = attrs.field(factory=trio.Event)
    endings: list[ProcessEnding] = attrs.field(factory=list[ProcessEnding])

    async def ending(self) -> ProcessEnding:
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
) -> ProcessEnding:
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
