"""Nothing starts any more once a drain has said that nothing runs.

The drain is asked for at every moment of a claim that is under way.
"""

from __future__ import annotations

import trio
import trio.testing
from tests.actors.sample_jobs import Held, Reopen

import triphase

from .jobs import new_gate
from .moments import ticks


async def test_nothing_runs_once_a_drain_has_said_so(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    for count in range(30):
        gate = new_gate()
        async with triphase.open_runtime(
            [Held], store=reopen(), clock=clock, drain_timeout=0
        ) as runtime:
            await runtime.pause("held")
            job = await runtime.submit(Held("a"))
            await runtime.resume("held")
            await ticks(count)
            if await runtime.drain(timeout=5):
                await trio.testing.wait_all_tasks_blocked()
                assert runtime.statistics().active == 0, count
                assert gate.order == [], count
            gate.opened.set()
        async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
            await runtime.wait(job.id)
