"""A gateway on a real port, which can end and begin again there, and clients in processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

import triphase
from triphase.gateway import Gateway, serve_gateway
from triphase_protocol import unstructure

PATIENCE = 60
"""Seconds after which a client that has not told what is waited for never will."""


@attrs.define(eq=False)
class Told:
    """What somebody outside tells, in its order."""

    values: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    over: bool = False
    """Nothing more comes."""

    _news: trio.Event = attrs.field(factory=trio.Event)

    def add(self, value: dict[str, Any]) -> None:
        """Hear something."""
        self.values.append(value)
        self._tell()

    def end(self) -> None:
        """Hear that nothing more comes."""
        self.over = True
        self._tell()

    def all(self, name: str) -> list[Any]:
        """Return what was told under a name."""
        return [value[name] for value in self.values if name in value]

    def one(self, name: str) -> Any:
        """Return the one thing that was told under a name."""
        [found] = self.all(name)
        return found

    async def until(self, name: str, count: int) -> None:
        """Wait until so much was told under a name."""
        with trio.fail_after(PATIENCE):
            while len(self.all(name)) < count:
                assert not self.over, f"it ended, and told {self.values}"
                await self._news.wait()

    async def ended(self) -> None:
        """Wait until nothing more comes."""
        with trio.fail_after(PATIENCE):
            while not self.over:
                await self._news.wait()

    def _tell(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()


@asynccontextmanager
async def process(*command: object, **options: Any) -> AsyncGenerator[Told]:
    """Run a program that tells JSON objects, a line each; at the end it is killed.

    With it end the processes that it has started. The options are those of `subprocess.Popen`.
    """
    told = Told()
    async with trio.open_nursery() as nursery:
        running = await trio.lowlevel.open_process(
            [*map(str, command)], stdout=subprocess.PIPE, start_new_session=True, **options
        )
        nursery.start_soon(_listen, running, told)
        try:
            yield told
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await running.wait()
        nursery.cancel_scope.cancel()


async def _listen(running: trio.Process, told: Told) -> None:
    assert running.stdout is not None
    rest = b""
    async with running.stdout as stdout:
        async for data in stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                told.add(json.loads(line))
    told.end()


@attrs.frozen
class Place:
    """Where a gateway is, whenever there is one."""

    store: Path
    port: int
    origins: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def forget(self) -> None:
        """Delete the store, so that the next has another log."""
        for path in self.store.parent.glob(f"{self.store.name}*"):
            path.unlink()


@contextmanager
def reserved(store: Path, origins: Sequence[str] = ()) -> Generator[Place]:
    """Return a place whose port nobody else is given, also while no gateway is there."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield Place(store, holder.getsockname()[1], tuple(origins))


@attrs.frozen(eq=False)
class Site:
    """A runtime, and its gateway."""

    runtime: triphase.Runtime
    gateway: Gateway

    def cut(self) -> None:
        """Cut every connection, without a word."""
        peers = self.gateway.peers()
        assert peers, "there is none"
        for peer in peers:
            peer.socket.wire.abort()

    async def run(self, *jobs: object) -> None:
        """Submit jobs, and wait until they have ended."""
        handles = [await self.runtime.submit(job) for job in jobs]
        await self.runtime.wait_all(handles)

    async def log(self) -> list[Any]:
        """Return all events that there are, as they travel."""
        head = self.runtime.statistics().feed.last_seq
        found: list[Any] = []
        if head:
            async for event in self.runtime.events(after=0):
                found.append(unstructure(event))
                if event.seq == head:
                    break
        return found


@asynccontextmanager
async def open_site(place: Place, *jobs: type, **options: Any) -> AsyncGenerator[Site]:
    """Open a runtime and a gateway; at the end clients are told that it ends."""
    async with (
        triphase.open_runtime(jobs, store=place.store) as runtime,
        trio.open_nursery() as nursery,
    ):
        serve = partial(
            serve_gateway, port=place.port, origins=place.origins, retry_after=0.1, **options
        )
        yield Site(runtime, await nursery.start(serve, runtime))
        nursery.cancel_scope.cancel()
