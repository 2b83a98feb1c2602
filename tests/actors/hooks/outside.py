"""A receiver in another process, as a test starts it and hears of it."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from tests.actors.gateway.sites import Told, process

from .receiver_process import Manners

PROGRAM = Path(__file__).with_name("receiver_process.py")


@attrs.frozen
class Posted:
    """A request as a receiver has told it."""

    path: str
    headers: dict[str, str]
    body: bytes
    answered: int | None
    """The status of the answer; None if there was none."""


@attrs.frozen(eq=False)
class Outside:
    """A receiver in another process."""

    told: Told

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self.told.one("port"))

    @property
    def url(self) -> str:
        """Where webhooks are sent to."""
        return f"http://127.0.0.1:{self.port}/hooks"

    @property
    def posted(self) -> list[Posted]:
        """What it has received, in its order."""
        return [
            Posted(each["path"], each["headers"], base64.b64decode(each["body"]), each["answered"])
            for each in self.told.all("request")
        ]

    async def until(self, count: int) -> list[Posted]:
        """Wait until it has received so much; return it."""
        await self.told.until("request", count)
        return self.posted

    async def ended(self) -> None:
        """Wait until it is gone."""
        await self.told.ended()


@asynccontextmanager
async def receiving(**manners: Any) -> AsyncGenerator[Outside]:
    """Start a receiver with these `Manners`, which listens; at the end it is killed."""
    arguments = Manners(**manners).arguments()
    async with process(sys.executable, PROGRAM, *arguments) as told:
        await told.until("port", 1)
        yield Outside(told)
