"""Job types that several of these tests run; their handlers say that they were called."""

from __future__ import annotations

import trio
from tests.actors.sample_jobs import Gate, gates

import triphase

started: list[str] = []
"""The phases whose handlers were called, in order."""


@triphase.job()
class Three:
    """Three phases that do a little, one after the other."""

    @triphase.phase()
    async def one(self, ctx: triphase.Context) -> dict[str, int]:
        return await work("one", ctx)

    @triphase.phase()
    async def two(self, ctx: triphase.Context) -> dict[str, int]:
        return await work("two", ctx)

    @triphase.phase()
    async def three(self, ctx: triphase.Context) -> dict[str, int]:
        return await work("three", ctx)


async def work(name: str, ctx: triphase.Context) -> dict[str, int]:
    """Begin, yield, and return what tells one run from another."""
    started.append(name)
    await trio.lowlevel.checkpoint()
    return {"run": ctx.run}


def new_gate() -> Gate:
    """Let `Held` jobs wait at a new gate from now on."""
    gates[:] = [Gate()]
    return gates[0]
