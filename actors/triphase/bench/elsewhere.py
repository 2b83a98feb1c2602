"""What runs in a process of its own, so that it is not counted with what is measured."""

from __future__ import annotations

import functools
import resource
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from triphase.gateway import Gateway

READ: Final = 2**16


@attrs.define(eq=False)
class Elsewhere:
    """A process beside this one."""

    process: trio.Process
    _unread: bytes = b""

    async def say(self, line: str) -> None:
        """Write a line to it. A checkpoint."""
        assert self.process.stdin is not None, "it was asked for"
        await self.process.stdin.send_all(line.encode() + b"\n")

    async def hear(self) -> str:
        """Return the next line that it writes. A checkpoint.

        Raises:
          EOFError: if it has ended.
        """
        assert self.process.stdout is not None, "it was asked for"
        while b"\n" not in self._unread:
            data = await self.process.stdout.receive_some(READ)
            if not data:
                raise EOFError("the other process has ended")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    async def finish(self) -> None:
        """End its input, and so it. A checkpoint."""
        assert self.process.stdin is not None, "it was asked for"
        await self.process.stdin.aclose()


@asynccontextmanager
async def clients(module: str, gateway: Gateway, *arguments: str) -> AsyncGenerator[Elsewhere]:
    """Run a module of this package with a gateway's host and port, for the time of the block.

    It has to say `ready` first. When the block is left its input ends, and then so does it.
    """
    raise_file_limit()
    place = urlsplit(gateway.urls[0])
    where = [str(place.hostname), str(place.port)]
    async with process_of(module, *where, *arguments) as found:
        line = await found.hear()
        assert line == "ready", line
        yield found


@asynccontextmanager
async def process_of(module: str, *arguments: str) -> AsyncGenerator[Elsewhere]:
    """Run a module of this package for the time of the block.

    When the block is left its input ends, and then so does it.
    """
    command = [sys.executable, "-m", f"triphase.bench.{module}", *arguments]
    start = functools.partial(
        trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    async with trio.open_nursery() as nursery:
        found = Elsewhere(await nursery.start(start))
        yield found
        await found.finish()


async def alone(module: str, *arguments: str) -> bytes:
    """Run a module of this package in a process of its own, and return what it writes.

    A checkpoint; when it is cancelled, the process is ended.

    Raises:
      subprocess.CalledProcessError: if it fails.
    """
    command = [sys.executable, "-m", f"triphase.bench.{module}", *arguments]
    done = await trio.run_process(command, capture_stdout=True)
    return bytes(done.stdout)


def raise_file_limit() -> None:
    """Let this process, and those that it starts, have as many files as it may. Never waits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
