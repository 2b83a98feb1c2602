"""A gateway in memory, for commands that are run in the same trio loop."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import attrs
import pytest
import trio
from tests.actors.gateway.rig import End, Rig, open_rig

import triphase
from triphase.cli import gateway_source
from triphase.cli.places import Place, Remote
from triphase.client import connect

URL: Final = "ws://test/ws"
THERE: Final = Place(url=URL)
ASKED: Final = Remote(url=URL)


@attrs.define(eq=False)
class Line:
    """Makes the connections of commands to a gateway, and cuts them."""

    rig: Rig
    capsys: pytest.CaptureFixture[str]
    up: bool = True
    streams: list[End] = attrs.field(factory=list[End])
    notes: str = ""
    """What was written to stderr, as far as it was looked at."""

    async def dial(self) -> trio.abc.Stream:
        """Connect, if there is somebody."""
        if not self.up:
            raise OSError("nobody is there")
        stream = await self.rig.dial()
        assert isinstance(stream, End)
        self.streams.append(stream)
        return stream

    def cut(self) -> None:
        """Cut the last connection."""
        self.streams[-1].abort()

    def objects(self) -> list[Any]:
        """Return what was written since the last time, as JSON lines."""
        return [json.loads(line) for line in self.lines()]

    def cells(self) -> list[list[str]]:
        """Return what was written since the last time, as plain lines."""
        return [line.split("\t") for line in self.lines()]

    def lines(self) -> list[str]:
        """Return what was written since the last time."""
        captured = self.capsys.readouterr()
        self.notes += captured.err
        return captured.out.splitlines()


@asynccontextmanager
async def line_to(
    rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Line]:
    """Have the commands that are run in this block connect to a gateway."""
    line = Line(rig, capsys)
    with monkeypatch.context() as patch:
        made = partial(connect, dial=line.dial, entropy=triphase.Entropy(1))
        patch.setattr(gateway_source, "connect", made)
        yield line


@asynccontextmanager
async def line_of(
    *jobs: type,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    **options: Any,
) -> AsyncGenerator[Line]:
    """Open a runtime with a gateway that the commands in this block connect to."""
    async with open_rig(*jobs, **options) as rig, line_to(rig, capsys, monkeypatch) as line:
        yield line
