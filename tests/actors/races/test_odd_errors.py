"""Handlers that end by what is no `Exception`, or by a `Cancelled` that they had kept.

That is an error of the handler like any other: its job fails, and no other one is touched.
"""

from __future__ import annotations

import asyncio

import pytest
import trio
import trio.testing

import triphase


class Odd(BaseException):
    """No exception."""


@triphase.job()
class Raises:
    what: str

    @triphase.phase()
    async def only(self, ctx: triphase.Context) -> None:
        match self.what:
            case "odd":
                raise Odd
            case "of asyncio":
                raise asyncio.CancelledError
            case "in a group":
                raise BaseExceptionGroup("both", [Odd(), ValueError()])
            case _:
                kept: list[BaseException] = []
                with trio.CancelScope() as scope:
                    scope.cancel()
                    try:
                        await trio.lowlevel.checkpoint()
                    except trio.Cancelled as exc:
                        kept.append(exc)
                        raise
                raise kept[0]


@pytest.mark.parametrize("what", ["odd", "of asyncio", "in a group", "a stray cancel"])
def test_whatever_a_handler_raises_is_a_failure_of_its_job_alone(what: str) -> None:
    async def main() -> None:
        async with triphase.open_runtime([Raises], store="memory:") as runtime:
            job = await runtime.submit(Raises(what))
            with trio.fail_after(60):
                assert isinstance(await job.wait(), triphase.Failed)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
