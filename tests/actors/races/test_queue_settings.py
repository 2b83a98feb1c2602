"""No job starts against a setting of its queue once that has been acknowledged.

The setting is changed at every moment of a claim that is under way.
"""

from __future__ import annotations

import pytest
import trio
import trio.testing
from tests.actors.sample_jobs import Held, Reopen

import triphase

from .jobs import new_gate
from .moments import ticks


@pytest.mark.parametrize("verb", ["pause", "set_limit"])
async def test_nothing_starts_against_a_setting_once_that_is_acknowledged(
    verb: str, reopen: Reopen
) -> None:
    for count in range(30):
        gate = new_gate()
        async with triphase.open_runtime([Held], store=reopen(), drain_timeout=0) as runtime:
            slots = runtime._parts.store.slots
            await runtime.set_limit("held", 1)
            jobs = [await runtime.submit(Held(str(number))) for number in range(4)]
            await trio.testing.wait_all_tasks_blocked()
            await runtime.set_limit("held", 4)
            await ticks(count)
            if verb == "pause":
                await runtime.pause("held")
            else:
                await runtime.set_limit("held", 1)
            held = await slots()
            await trio.testing.wait_all_tasks_blocked()
            assert await slots() == held, count
            await runtime.resume("held")
            await runtime.set_limit("held", None)
            gate.opened.set()
            await runtime.wait_all(jobs)


async def test_a_resume_that_is_cancelled_is_acted_upon_if_it_was_made(
    reopen: Reopen, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    async def resume(runtime: triphase.Runtime, scope: trio.CancelScope) -> None:
        with scope:
            await runtime.resume("held")

    made: set[bool] = set()
    for count in range(30):
        gate, scope = new_gate(), trio.CancelScope()
        async with (
            trio.open_nursery() as nursery,
            triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime,
        ):
            await runtime.pause("held")
            job = await runtime.submit(Held("a"))
            nursery.start_soon(resume, runtime, scope)
            await ticks(count)
            scope.cancel()
            # No time passes in here: nothing comes of the slow look.
            await trio.testing.wait_all_tasks_blocked()
            resumed = not runtime.queues()["held"].paused
            assert gate.order == (["a"] if resumed else []), count
            made.add(resumed)
            gate.opened.set()
            await runtime.resume("held")
            await job.wait()
    assert made == {True, False}
