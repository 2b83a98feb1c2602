"""Explain: empty exactly when the next admission starts the job."""

from __future__ import annotations

import pytest
import trio.testing
from hypothesis import given, settings, strategies as st

import triphase
from triphase.admission import admit, blockers
from triphase_protocol import Job, JobState, Queue

from .sample_jobs import Gate, Held, Reopen, Transcode


async def test_what_stands_in_the_way_is_named(reopen: Reopen, gate: Gate) -> None:
    queues = {"held": Queue(1), "media": Queue(5, paused=True)}
    async with triphase.open_runtime(
        [Held, Transcode], store=reopen(), queues=queues, limit=3
    ) as runtime:
        running = await runtime.submit(Held("a"))
        behind = await runtime.submit(Held("b"))
        later = await runtime.submit(Held("c"), delay=60)
        paused = await runtime.submit(Transcode("u"))
        await trio.testing.wait_all_tasks_blocked()
        assert await running.explain() == (triphase.NotWaiting(JobState.RUNNING),)
        assert await behind.explain() == (triphase.QueueFull("held", 1, 1),)
        assert await later.explain() == (triphase.NotDue((await later.get()).due_at),)
        assert await paused.explain() == (triphase.QueuePaused("media"),)
        assert not await runtime.drain(timeout=0)
        assert triphase.Draining() in await behind.explain()
        with pytest.raises(triphase.JobNotFound):
            await runtime.explain("nobody")
        gate.opened.set()
        await running.wait()
        assert await running.explain() == (triphase.NotWaiting(JobState.COMPLETED),)


async def test_the_total_limit_and_what_a_runtime_does_not_know_are_named(
    reopen: Reopen, gate: Gate
) -> None:
    async with triphase.open_runtime([Held, Transcode], store=reopen(), limit=1) as runtime:
        await runtime.submit(Held("a"))
        await trio.testing.wait_all_tasks_blocked()
        waiting = await runtime.submit(Transcode("u"))
        await trio.testing.wait_all_tasks_blocked()
        assert await waiting.explain() == (triphase.StoreFull(1, 1),)
        gate.opened.set()
        await waiting.wait()
        unknown = await runtime.submit(Transcode("u"), delay=1e9)
    clock = triphase.TrioClock(4e9)
    async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
        found = await runtime.explain(unknown.id)
        assert set(found) == {triphase.TypeUnknown("Transcode"), triphase.QueueUnknown("media")}


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 1)), min_size=1, max_size=10),
    st.dictionaries(st.sampled_from("ab"), st.builds(Queue, st.integers(1, 3), st.booleans())),
    st.integers(1, 5),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
)
def test_explain_is_empty_exactly_for_the_jobs_that_are_admitted(
    drawn: list[tuple[str, int]], queues: dict[str, Queue], limit: int, holders: dict[str, int]
) -> None:
    jobs = [
        Job(
            id=f"j{index}",
            type="T",
            state=JobState.QUEUED,
            queue=queue,
            priority=priority,
            position=index + 1,
        )
        for index, (queue, priority) in enumerate(drawn)
    ]
    admitted = admit(jobs, queues=queues, limit=limit, holders=holders).admitted
    for job in jobs:
        found = blockers(
            job,
            jobs,
            types=("T",),
            queues=queues,
            limit=limit,
            holders=holders,
            now=0.0,
            draining=False,
        )
        assert (not found) == (job in admitted)
