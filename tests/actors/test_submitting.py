"""Submitting and finding: keys, limits, order, due times, and what is refused."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import trio
import trio.testing

import triphase

from .sample_jobs import Flaky, Gate, Held, Reopen, Transcode


async def test_the_same_key_and_payload_is_the_same_job(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode, Flaky], store=reopen()) as runtime:
        first = await runtime.submit(Transcode("u"), key="k")
        again = await runtime.submit(Transcode("u"), key="k")
        assert (again, again.created) == (first, False)
        assert first.created
        assert not runtime.handle(first.id).created
        await first.wait()
        assert await runtime.submit(Transcode("u"), key="k") == first
        with pytest.raises(triphase.KeyConflict, match=f"key 'k' belongs to job {first.id}"):
            await runtime.submit(Transcode("v"), key="k")
        with pytest.raises(triphase.KeyConflict, match="another type"):
            await runtime.submit(Flaky(0), key="k")
        assert len((await runtime.find()).jobs) == 1


async def test_many_submits_of_one_key_at_once_make_one_job(reopen: Reopen) -> None:
    ids: set[str] = set()
    made: list[bool] = []

    async def submit(runtime: triphase.Runtime) -> None:
        job = await runtime.submit(Transcode("u"), key="k")
        ids.add(job.id)
        made.append(job.created)

    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(submit, runtime)
        assert len(ids) == 1
        assert sorted(made) == [False] * 19 + [True]


async def test_limits_hold_per_queue_and_in_total(reopen: Reopen, gate: Gate) -> None:
    async with triphase.open_runtime(
        [Held], store=reopen(), queues={"held": triphase.Queue(3)}, limit=2
    ) as runtime:
        jobs = [await runtime.submit(Held(str(n))) for n in range(8)]
        await trio.testing.wait_all_tasks_blocked()
        assert gate.inside == 2
        gate.opened.set()
        await runtime.wait_all(job.id for job in jobs)
        assert gate.most == 2
        assert sorted(gate.order) == [str(n) for n in range(8)]


async def test_higher_priority_starts_first(reopen: Reopen, gate: Gate) -> None:
    queues = {"held": triphase.Queue(1)}
    async with triphase.open_runtime([Held], store=reopen(), queues=queues) as runtime:
        await runtime.submit(Held("blocker"))
        await trio.testing.wait_all_tasks_blocked()
        jobs = [
            await runtime.submit(Held(name), priority=priority)
            for name, priority in [("low", -1), ("first", 0), ("second", 0), ("urgent", 9)]
        ]
        gate.opened.set()
        await runtime.wait_all(job.id for job in jobs)
    assert gate.order == ["blocker", "urgent", "first", "second", "low"]


async def test_delayed_and_dated_jobs_start_when_they_are_due(
    reopen: Reopen, gate: Gate, clock: triphase.TrioClock, autojump_clock: trio.testing.MockClock
) -> None:
    gate.opened.set()
    async with triphase.open_runtime([Held], store=reopen(), clock=clock) as runtime:
        begin = clock.now()
        later = await runtime.submit(Held("delay"), delay=3600)
        date = datetime.datetime.fromtimestamp(begin + 60, datetime.UTC)
        dated = await runtime.submit(Held("dated"), at=date)
        assert (await later.get()).state is triphase.JobState.SCHEDULED
        await runtime.wait_all([later.id, dated.id])
        assert (await dated.get()).started_at == pytest.approx(begin + 60)
        assert (await later.get()).started_at == pytest.approx(begin + 3600)
    assert gate.order == ["dated", "delay"]


async def test_unknown_ids_types_and_queues_are_named(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        with pytest.raises(triphase.JobNotFound, match="'nobody'"):
            await runtime.get("nobody")
        with pytest.raises(triphase.JobNotFound, match="'nobody'"):
            await runtime.wait("nobody")
        with pytest.raises(triphase.UnknownJobType, match=r"'Held' .*: Transcode"):
            await runtime.submit(Held("x"))
        with pytest.raises(triphase.UnknownQueue, match=r"'nowhere'; there are: media"):
            await runtime.submit(Transcode("u"), queue="nowhere")
        assert (await runtime.find()).jobs == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": -1}, "delay=-1"),
        ({"delay": float("nan")}, "delay=nan"),
        ({"delay": 1, "at": 2.0}, "give one of them"),
        ({"at": datetime.datetime(2030, 1, 1)}, "needs a time zone"),
        ({"at": "tomorrow"}, "at='tomorrow'"),
        ({"priority": 1.5}, "priority=1.5"),
        ({"priority": 2**40}, "priority="),
        ({"key": ""}, "key ''"),
        ({"key": 7}, "key 7"),
        ({"labels": {"a": 1}}, "label 'a' 1"),
        ({"labels": ["a"]}, "labels="),
        ({"labels": {"a": "\ud800"}}, "surrogate"),
    ],
)
async def test_an_option_out_of_range_is_named_and_nothing_is_stored(
    options: dict[str, Any], message: str
) -> None:
    async with triphase.open_runtime([Transcode], store="memory:") as runtime:
        with pytest.raises(triphase.InvalidValue) as caught:
            await runtime.submit(Transcode("u"), **options)
        assert message in str(caught.value)
        assert (await runtime.find()).jobs == ()


async def test_a_payload_of_the_wrong_shape_names_the_field_and_nothing_is_stored() -> None:
    five: Any = 5
    async with triphase.open_runtime([Transcode], store="memory:") as runtime:
        with pytest.raises(triphase.InvalidPayload, match=r"\$\.url: expected str, got 5 \(int\)"):
            await runtime.submit(Transcode(five))
        assert (await runtime.find()).jobs == ()


async def test_a_handle_stands_for_its_id_and_a_name_for_a_list_of_one(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode], store=reopen()) as runtime:
        job = await runtime.submit(Transcode("u"))
        outcome = await runtime.wait(job)
        assert await runtime.wait_all([job]) == {job.id: outcome}
        assert (await runtime.get(job)).id == job.id
        assert [each.id for each in (await runtime.find(types="Transcode")).jobs] == [job.id]
        assert [each.id for each in (await runtime.find(states="completed")).jobs] == [job.id]
        wrong: Any = 7
        with pytest.raises(triphase.InvalidValue, match="7 is neither"):
            await runtime.get(wrong)


async def test_find_filters_and_pages(reopen: Reopen) -> None:
    async with triphase.open_runtime([Transcode, Flaky], store=reopen()) as runtime:
        ids = [
            (await runtime.submit(Transcode(str(n)), labels={"n": str(n % 2)})).id for n in range(5)
        ]
        await runtime.submit(Flaky(0))
        await runtime.wait_all(ids)
        found = await runtime.find(types=["Transcode"], labels={"n": "0"}, newest_first=False)
        assert [job.id for job in found.jobs] == [ids[0], ids[2], ids[4]]
        page = await runtime.find(types=["Transcode"], limit=3)
        assert [job.id for job in page.jobs] == [ids[4], ids[3], ids[2]]
        rest = await runtime.find(types=["Transcode"], limit=3, after=page.next)
        assert [job.id for job in rest.jobs] == [ids[1], ids[0]]
        assert rest.next is None
        assert (await runtime.find(states=["failed"])).jobs == ()
        with pytest.raises(triphase.InvalidValue, match="'done' is not a job state"):
            await runtime.find(states=["done"])
        with pytest.raises(triphase.InvalidValue, match="limit=0"):
            await runtime.find(limit=0)
