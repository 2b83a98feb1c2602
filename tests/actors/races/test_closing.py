"""Verbs that meet the end of the runtime are done, or say that it is closed. Nothing spins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from tests.actors.sample_jobs import Held, Reopen

import triphase

from .jobs import new_gate
from .moments import ticks

VERBS: dict[str, Callable[[triphase.Runtime, str], Awaitable[object]]] = {
    "cancel": lambda runtime, job: runtime.cancel(job),
    "approve": lambda runtime, job: runtime.approve(job),
    "reject": lambda runtime, job: runtime.reject(job),
    "retry": lambda runtime, job: runtime.retry(job),
    "drain": lambda runtime, job: runtime.drain(),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_an_order_that_meets_the_end_of_the_runtime_is_done_or_says_that_it_is_closed(
    verb: str, reopen: Reopen
) -> None:
    async def attempt(runtime: triphase.Runtime, job: str, count: int) -> None:
        await ticks(count)
        try:
            await VERBS[verb](runtime, job)
        except triphase.RuntimeClosed:
            met.add("closed")
        else:
            met.add("done")

    met: set[str] = set()
    for count in range(45):
        new_gate()
        async with (
            trio.open_nursery() as nursery,
            triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime,
        ):
            job = await runtime.submit(Held("a"), approval=True)
            if verb == "retry":
                await job.cancel()
            nursery.start_soon(attempt, runtime, job.id, count)
    assert met == {"done", "closed"}
