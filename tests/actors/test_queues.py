"""Queues: paused, resumed and resized while a runtime is open, and after a restart."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import triphase
from triphase.store.backend import PAGE_MOST

from .sample_jobs import Gate, Held, Reopen


async def test_a_paused_queue_starts_nothing_and_a_resumed_one_goes_on(
    gate: Gate, reopen: Reopen
) -> None:
    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        running = await runtime.submit(Held("running"))
        await trio.testing.wait_all_tasks_blocked()
        await runtime.pause("held")
        waiting = await runtime.submit(Held("waiting"))
        await trio.testing.wait_all_tasks_blocked()
        assert gate.order == ["running"]
        assert await runtime.explain(waiting) == (triphase.QueuePaused("held"),)
        gate.opened.set()
        # What runs goes on.
        assert isinstance(await running.wait(), triphase.Completed)
        await runtime.resume("held")
        assert isinstance(await waiting.wait(), triphase.Completed)


async def test_a_higher_limit_starts_more_and_a_lower_one_stops_nobody(
    gate: Gate, reopen: Reopen
) -> None:
    queues = {"held": triphase.Queue(limit=1)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        jobs = [await runtime.submit(Held(str(n))) for n in range(6)]
        await trio.testing.wait_all_tasks_blocked()
        assert gate.inside == 1
        await runtime.set_limit("held", 3)
        await trio.testing.wait_all_tasks_blocked()
        assert gate.inside == 3
        await runtime.set_limit("held", 2)
        await trio.testing.wait_all_tasks_blocked()
        assert gate.inside == 3
        assert await runtime.explain(jobs[-1]) == (triphase.QueueFull("held", 2, 3),)
        assert await runtime.queue_states() == {
            "held": triphase.QueueState(limit=2, paused=False, queued=3, running=3)
        }
        gate.opened.set()
        await runtime.wait_all(jobs)


async def test_what_was_set_of_a_queue_outlives_a_restart_and_none_goes_back(
    gate: Gate, reopen: Reopen
) -> None:
    queues = {"held": triphase.Queue(limit=4)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        await runtime.pause("held")
        await runtime.set_limit("held", 9)
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        assert runtime.queues() == {"held": triphase.Queue(limit=9, paused=True)}
        await runtime.set_limit("held", None)
        await runtime.resume("held")
        await runtime.resume("held")
        assert runtime.queues() == queues
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        assert runtime.queues() == queues


async def test_what_was_not_set_of_a_queue_is_what_is_declared_now(reopen: Reopen) -> None:
    queues = {"held": triphase.Queue(limit=4)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        # The same as is declared, but set all the same.
        await runtime.set_limit("held", 4)
    queues = {"held": triphase.Queue(limit=10, paused=True)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        assert runtime.queues()["held"] == triphase.Queue(limit=4, paused=True)
        await runtime.resume("held")
        await runtime.set_limit("held", None)
        assert runtime.queues()["held"] == triphase.Queue(limit=10)


async def test_two_who_set_one_queue_at_once_do_not_undo_each_other(reopen: Reopen) -> None:
    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runtime.pause, "held")
            nursery.start_soon(runtime.set_limit, "held", 2)
        assert runtime.queues()["held"] == triphase.Queue(limit=2, paused=True)
    async with triphase.open_runtime([Held], store=reopen()) as runtime:
        assert runtime.queues()["held"] == triphase.Queue(limit=2, paused=True)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3"])
async def test_a_limit_that_cannot_be_is_refused(limit: Any) -> None:
    async with triphase.open_runtime([Held], store="memory:") as runtime:
        with pytest.raises(triphase.InvalidValue, match="limit="):
            await runtime.set_limit("held", limit)
        for verb in (runtime.pause, runtime.resume):
            with pytest.raises(triphase.UnknownQueue, match="no queue 'other'; there are: held"):
                await verb("other")
        with pytest.raises(triphase.UnknownQueue):
            await runtime.set_limit("other", 1)
    with pytest.raises(triphase.RuntimeClosed):
        await runtime.pause("held")


async def test_more_jobs_than_one_read_returns_are_started_without_a_pause(
    gate: Gate, reopen: Reopen
) -> None:
    count = PAGE_MOST + 200
    queues = {"held": triphase.Queue(limit=2 * count, paused=True)}
    async with triphase.open_runtime(
        [Held], store=reopen(), queues=queues, limit=2 * count
    ) as runtime:
        jobs = [await runtime.submit(Held(str(n))) for n in range(count)]
        await runtime.resume("held")
        for _ in range(5):
            await trio.testing.wait_all_tasks_blocked()
        # All of them: nothing but a timer would go on from here.
        assert gate.inside == count
        gate.opened.set()
        await runtime.wait_all(jobs)
