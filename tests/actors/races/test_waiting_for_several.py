"""Who waits for several jobs hears of each, in whichever order they are named.

A job that ends while another is waited for may be deleted before its turn has come.
"""

from __future__ import annotations

import trio
import trio.testing
from tests.actors.sample_jobs import Gate, Held, Reopen

import triphase

from .jobs import Three


async def test_who_waits_for_several_hears_of_each_in_whichever_order_they_are_named(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    answers: list[dict[str, triphase.Outcome | triphase.TimedOut | triphase.NotFound]] = []

    async def wait(*jobs: triphase.JobHandle) -> None:
        answers.append(await runtime.wait_all(jobs))

    async with (
        trio.open_nursery() as nursery,
        triphase.open_runtime(
            [Held, Three],
            store=reopen(),
            clock=clock,
            retention=triphase.Retention(delete_after=5),
        ) as runtime,
    ):
        slow, quick = await runtime.submit(Held("a")), await runtime.submit(Three(), delay=1)
        nursery.start_soon(wait, quick, slow)
        nursery.start_soon(wait, slow, quick)
        await trio.sleep(60)
        gate.opened.set()
    assert len(answers) == 2
    assert answers[0] == answers[1]
