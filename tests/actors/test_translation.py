"""Jobs that were submitted when their type had other phases: refused, or translated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio
import trio.testing

import triphase
from triphase.store import Store

from .sample_jobs import Reopen

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def older() -> type[Any]:
    @triphase.job(name="Import")
    class Import:
        @triphase.phase()
        async def load(self, ctx: triphase.Context) -> list[int]:
            ran.append("load")
            return [1, 2]

        @triphase.phase()
        async def write(self, ctx: triphase.Context) -> None:
            ran.append("write")
            raise ConnectionError("no")

    return Import


def newer(translate: Callable[[triphase.Job], Mapping[str, Any] | None] | None) -> type[Any]:
    @triphase.job(name="Import", translate=translate)
    class Import:
        @triphase.phase(version=2)
        async def load(self, ctx: triphase.Context) -> dict[str, list[int]]:
            ran.append("load 2")
            return {"rows": [1, 2]}

        @triphase.phase()
        async def check(self, ctx: triphase.Context) -> str:
            ran.append("check")
            return "checked"

        @triphase.phase()
        async def write(self, ctx: triphase.Context) -> int:
            ran.append("write 2")
            rows: dict[str, list[int]] = ctx.result_of(Import.load)
            return len(rows["rows"])

    return Import


def with_rows(job: triphase.Job) -> dict[str, Any]:
    """Keep what was loaded, in its new shape."""
    [load, _] = job.phases
    return {"load": {"rows": load.result}} if load.state == "completed" else {}


async def failed_job(store: Store) -> str:
    kind = older()
    async with triphase.open_runtime([kind], store=store) as runtime:
        job = await runtime.submit(kind())
        assert isinstance(await job.wait(), triphase.Failed)
        return job.id


async def test_a_retry_goes_on_with_the_results_that_still_count(reopen: Reopen) -> None:
    id = await failed_job(reopen())
    async with triphase.open_runtime([newer(with_rows)], store=reopen()) as runtime:
        await runtime.retry(id)
        assert await runtime.wait(id) == triphase.Completed(job=id, run=2, result=2)
        record = await runtime.get(id)
        assert [(phase.name, phase.version) for phase in record.phases] == [
            ("load", 2),
            ("check", 1),
            ("write", 1),
        ]
        events = [event async for event in runtime.events_of(id)]
    assert ran == ["load", "write", "check", "write 2"]
    retried = next(event for event in events if event.type is triphase.EventType.JOB_RETRIED)
    assert retried.data["layout"] == {"load": "completed", "check": "pending", "write": "pending"}


async def test_a_retry_may_start_from_a_phase_that_there_was_not(reopen: Reopen) -> None:
    id = await failed_job(reopen())
    async with triphase.open_runtime([newer(with_rows)], store=reopen()) as runtime:
        await runtime.retry(id, from_phase="check")
        assert isinstance(await runtime.wait(id), triphase.Completed)
        await runtime.retry(id, from_phase="load")
        assert isinstance(await runtime.wait(id), triphase.Completed)
    assert ran == ["load", "write", "check", "write 2", "load 2", "check", "write 2"]


async def test_a_job_that_waits_is_translated_as_it_starts(reopen: Reopen) -> None:
    kind, queues = older(), {"default": triphase.Queue(paused=True)}
    async with triphase.open_runtime([kind], store=reopen(), queues=queues) as runtime:
        id = (await runtime.submit(kind())).id
    async with triphase.open_runtime([newer(with_rows)], store=reopen()) as runtime:
        assert isinstance(await runtime.wait(id), triphase.Completed)
    assert ran == ["load 2", "check", "write 2"]


def refuses(job: triphase.Job) -> None:
    return None


def raises(job: triphase.Job) -> dict[str, Any]:
    raise KeyError("rows")


def skips(job: triphase.Job) -> dict[str, Any]:
    return {"check": "checked"}


def unstorable(job: triphase.Job) -> dict[str, Any]:
    return {"load": {1, 2}}


@pytest.mark.parametrize(
    ("translate", "words"),
    [
        (None, r"submitted with the phases load, write; Import now has load \(version 2\)"),
        (refuses, "its translation refuses it"),
        (raises, r"its translation raised KeyError\('rows'\)"),
        (skips, r"gives results of \['check'\], which are not the first of its phases now"),
        (unstorable, r"translated result of phase 'load' cannot be stored"),
    ],
)
async def test_what_cannot_be_translated_is_refused_and_left_as_it_is(
    translate: Callable[[triphase.Job], dict[str, Any] | None] | None, words: str, reopen: Reopen
) -> None:
    id = await failed_job(reopen())
    async with triphase.open_runtime([newer(translate)], store=reopen()) as runtime:
        before = await runtime.get(id)
        with pytest.raises(triphase.DefinitionChanged, match=words):
            await runtime.retry(id)
        assert await runtime.get(id) == before


async def test_a_job_that_waits_and_cannot_be_translated_fails_without_being_started(
    reopen: Reopen,
) -> None:
    kind, queues = older(), {"default": triphase.Queue(paused=True)}
    async with triphase.open_runtime([kind], store=reopen(), queues=queues) as runtime:
        id = (await runtime.submit(kind())).id
    async with triphase.open_runtime([newer(None)], store=reopen()) as runtime:
        outcome = await runtime.wait(id)
        assert isinstance(outcome, triphase.Failed)
        assert outcome.error.type == "DefinitionChanged"
        assert (await runtime.get(id)).run == 0
    assert ran == []


async def test_a_phase_that_must_be_approved_now_is_asked_about_before_it_starts(
    reopen: Reopen,
) -> None:
    kind, queues = older(), {"default": triphase.Queue(paused=True)}
    async with triphase.open_runtime([kind], store=reopen(), queues=queues) as runtime:
        id = (await runtime.submit(kind())).id

    @triphase.job(name="Import", translate=lambda job: {})
    class Import:
        @triphase.phase(approval=True)
        async def all(self, ctx: triphase.Context) -> int:
            ran.append("all")
            return 3

    async with triphase.open_runtime([Import], store=reopen()) as runtime:
        await trio.testing.wait_all_tasks_blocked()
        assert (await runtime.get(id)).state is triphase.JobState.GATED
        assert ran == []
        await runtime.approve(id)
        assert await runtime.wait(id) == triphase.Completed(job=id, run=1, result=3)
        assert len((await runtime.get(id)).phases) == 1


async def test_no_translation_leads_around_an_approval(reopen: Reopen) -> None:
    @triphase.job(name="Import", approval=True)
    class Before:
        @triphase.phase()
        async def load(self, ctx: triphase.Context) -> None:
            ran.append("load")

    def as_new(job: triphase.Job) -> dict[str, Any]:
        return {}

    def as_loaded(job: triphase.Job) -> dict[str, Any]:
        return {"fetch": "what was there"}

    for translate, gated in ((as_new, "fetch"), (as_loaded, "store")):

        @triphase.job(name="Import", approval=True, translate=translate)
        class After:
            @triphase.phase()
            async def fetch(self, ctx: triphase.Context) -> str:
                ran.append("fetch")
                return "fetched"

            @triphase.phase()
            async def store(self, ctx: triphase.Context) -> None:
                ran.append("store")

        async with triphase.open_runtime([Before], store=reopen()) as runtime:
            id = (await runtime.submit(Before())).id
            await runtime.reject(id)
        async with triphase.open_runtime([After], store=reopen()) as runtime:
            record = await runtime.retry(id)
            assert record.gate is not None
            assert record.gate[0] == gated
            await trio.testing.wait_all_tasks_blocked()
            assert ran == []
