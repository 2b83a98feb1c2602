"""The job types that several tests of the runtime submit."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

import triphase
from triphase.store import Store

Reopen = Callable[[], Store]
"""Makes a new handle on one and the same database."""


@attrs.frozen
class Size:
    width: int
    height: int


@triphase.job(queue="media")
class Transcode:
    url: str

    @triphase.phase()
    async def fetch(self, ctx: triphase.Context) -> Size:
        await ctx.progress(3, total=10, message="downloading")
        return Size(4, 3)

    @triphase.phase()
    def encode(self, ctx: triphase.Context) -> dict[str, int]:
        size = ctx.result_of(Transcode.fetch)
        ctx.progress_nowait(1, total=1)
        return {"pixels": size.width * size.height, "attempt": ctx.attempt}


class Gate:
    """Holds handlers until it is opened, and counts those inside."""

    def __init__(self) -> None:
        self.opened = trio.Event()
        self.inside = 0
        self.most = 0
        self.order: list[str] = []

    async def pass_through(self, name: str) -> None:
        self.order.append(name)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.opened.wait()
        finally:
            self.inside -= 1


# Handlers are methods of module-level classes: they find their gate here.
gates: list[Gate] = []


@triphase.job(queue="held")
class Held:
    name: str

    @triphase.phase()
    async def hold(self, ctx: triphase.Context) -> str:
        await gates[0].pass_through(self.name)
        return self.name


@triphase.job()
class Flaky:
    fails: int

    @triphase.phase()
    async def sure(self, ctx: triphase.Context) -> int:
        return ctx.attempt

    @triphase.phase(retry=triphase.Retry(attempts=4, backoff=10, jitter=False))
    async def shaky(self, ctx: triphase.Context) -> int:
        if ctx.attempt <= self.fails:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return ctx.attempt
