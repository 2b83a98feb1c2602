"""The commands that change jobs and queues, and ask why a job does not start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from tests.actors.gateway.posts import Posts, ended
from tests.actors.gateway.rig import Clip, Note
from trio.testing import MockClock

import triphase
from triphase.cli import queues
from triphase.cli.changing import cancel, retry
from triphase.cli.deciding import approve, reject
from triphase.cli.exits import Exit
from triphase.cli.explaining import explain
from triphase.cli.submit import submit
from triphase.cli.webhooks import Told
from triphase.client import ConnectionLost
from triphase_protocol import (
    InvalidPayload,
    InvalidValue,
    JobNotFound,
    JobState,
    KeyConflict,
    UnknownJobType,
    UnknownQueue,
)

from .asking import ASKED, THERE
from .conftest import OpenLine


async def test_jobs_are_cancelled_and_started_over(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Clip) as line:
        runs = await line.rig.runtime.submit(Clip(50.0))
        waits = await line.rig.runtime.submit(Clip(), delay=100)
        assert await cancel(runs.id, waits.id[:12], reason="enough", remote=ASKED) == Exit.OK
        assert line.cells()[1] == [waits.id, "cancelled", "Clip", "enough"]
        await runs.wait()
        assert [(await job.get()).reason for job in (runs, waits)] == ["enough"] * 2
        assert await retry(waits.id, remote=ASKED, json=True) == Exit.OK
        assert line.objects()[0]["state"] == "queued"
        await waits.wait()
        assert await retry(waits.id, from_phase="cut", remote=ASKED) == Exit.OK
        assert line.cells() == [[waits.id, "queued", "Clip", "-"]]
        assert not line.notes


async def test_what_cannot_be_done_with_one_is_done_with_the_others(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Note) as line:
        over = await line.rig.runtime.submit(Note())
        await over.wait()
        waits = await line.rig.runtime.submit(Note(), delay=100)
        assert await cancel(over.id, waits.id, remote=ASKED) == Exit.CONFLICT
        assert line.cells() == [[waits.id, "cancelled", "Note", "-"]]
        assert line.notes == (f"triphase: job {over.id} cannot be cancelled: it is completed\n")


async def test_nothing_is_done_unless_there_are_all_of_them(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Note) as line:
        waits = await line.rig.runtime.submit(Note(), delay=100)
        with pytest.raises(JobNotFound, match="there is no job 'nope'"):
            await cancel(waits.id, "nope", remote=ASKED)
        assert (await waits.get()).state is JobState.SCHEDULED


async def test_a_decision_is_made_once(open_line: OpenLine, autojump_clock: MockClock) -> None:
    async with open_line(Note) as line:
        for decide, other, word in ((approve, reject, "approved"), (reject, approve, "rejected")):
            job = await line.rig.runtime.submit(Note(), approval=True)
            assert await decide(job.id, reason="as I say", remote=ASKED) == Exit.OK
            (cells,) = line.cells()
            assert [*cells[:3], cells[4]] == [job.id, word, "anonymous", "as I say"]
            assert await decide(job.id, remote=ASKED, json=True) == Exit.OK
            assert line.objects()[0]["approved"] is (word == "approved")
            assert await other(job.id, remote=ASKED) == Exit.CONFLICT
            assert line.cells()[0][1] == word
            assert f"triphase: job {job.id} was {word} before, by anonymous\n" in line.notes
        free = await line.rig.runtime.submit(Note())
        assert await approve(free.id, remote=ASKED) == Exit.CONFLICT
        assert await approve(free.id, phase="nope", remote=ASKED) == Exit.USAGE


async def test_it_is_explained_why_a_job_does_not_start(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Clip, Note) as line:
        assert await queues.pause("media", remote=ASKED) == Exit.OK
        assert line.cells() == [["media", "10", "paused", "0", "0"]]
        job = await line.rig.runtime.submit(Clip())
        assert await explain(job.id[:10], remote=ASKED) == Exit.OK
        words = "queue media is paused: `triphase queue resume media` goes on"
        assert line.cells() == [["queue_paused", words]]
        assert await explain(job.id, remote=ASKED, json=True) == Exit.OK
        assert line.objects() == [{"type": "queue_paused", "queue": "media"}]
        assert await queues.limit("media", 3, remote=ASKED, json=True) == Exit.OK
        counts = {"queued": 1, "running": 0}
        assert line.objects() == [{"name": "media", "limit": 3, "paused": True, **counts}]
        assert await queues.resume("media", remote=ASKED) == Exit.OK
        assert await queues.limit("media", remote=ASKED) == Exit.OK
        assert [cells[:3] for cells in line.cells()] == [
            ["media", "3", "open"],
            ["media", "10", "open"],
        ]
        await job.wait()
        assert await explain(job.id, remote=ASKED) == Exit.OK
        assert line.cells() == [["not_waiting", "it has completed"]]
        assert await queues.ls(remote=ASKED) == Exit.OK
        assert line.cells() == [
            ["default", "10", "open", "0", "0"],
            ["media", "10", "open", "0", "0"],
        ]
        with pytest.raises(UnknownQueue):
            await queues.pause("nope", remote=ASKED)


async def test_queues_are_listed_with_how_many_jobs_they_have(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Clip, Note, queues={"media": triphase.Queue(2)}) as line:
        for _ in range(5):
            await line.rig.runtime.submit(Clip(50.0))
        await line.rig.runtime.submit(Note(), delay=100)
        await trio.sleep(1)
        assert await queues.ls(remote=ASKED) == Exit.OK
        assert line.cells() == [
            ["default", "10", "open", "0", "0"],
            ["media", "2", "open", "3", "2"],
        ]


async def test_a_job_that_starts_next_has_nothing_in_its_way(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_line(Note) as line:

        async def nothing(*_: object) -> tuple[()]:
            return ()

        monkeypatch.setattr(triphase.Runtime, "explain", nothing)
        job = await line.rig.runtime.submit(Note(), delay=100)
        assert await explain(job.id, remote=ASKED) == Exit.OK
        assert line.lines() == []
        assert line.notes == f"nothing stands in the way of job {job.id}: it starts next\n"


# Submit


async def test_a_job_is_submitted_by_its_name(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Clip) as line:
        options = {"key": "k", "priority": 3, "label": ["a=b"], "delay": 60.0, "queue": "media"}
        assert await submit("Clip", '{"name":"x"}', place=THERE, **options) == Exit.OK  # type: ignore[arg-type]
        ((id,),) = line.cells()
        job = await line.rig.runtime.get(id)
        assert (job.payload, job.key) == ({"seconds": 0.0, "name": "x"}, "k")
        assert (job.priority, job.labels, job.state) == (3, {"a": "b"}, JobState.SCHEDULED)
        assert await submit("Clip", '{"name":"x"}', key="k", place=THERE, json=True) == Exit.OK
        assert line.objects() == [{"id": id, "state": "scheduled", "created": False}]
        assert (
            line.notes == "key 'k' was used before, for the same payload: nothing was submitted\n"
        )
        line.notes = ""
        assert await submit("Clip", place=THERE, json=True) == Exit.OK
        [made] = line.objects()
        assert made["created"]
        with pytest.raises(KeyConflict):
            await submit("Clip", '{"name":"y"}', key="k", place=THERE)
        with pytest.raises(UnknownJobType):
            await submit("Film", place=THERE)
        with pytest.raises(InvalidPayload, match=r"\$\.seconds: expected float"):
            await submit("Clip", '{"seconds":"x"}', place=THERE)
        assert not line.notes


async def test_whoever_submits_is_told_of_the_end(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    posts = Posts()
    async with open_line(Note, **posts.options()) as line:
        told = Told(webhook=["https://x.example/"], webhook_secret="main")
        assert await submit("Note", place=THERE, told=told) == Exit.OK
        ((id,),) = line.cells()
        await ended(line.rig.runtime, 1)
        [hook] = await line.rig.runtime.hooks(job=id)
        assert (hook.url, hook.secret, posts.ids) == ("https://x.example/", "main", [hook.id])
        other = Told(webhook=["https://x.example/"], webhook_secret="other")
        with pytest.raises(InvalidValue, match="no secret is called 'other'"):
            await submit("Note", place=THERE, told=other)


CHANGES: list[Callable[[str], Awaitable[int]]] = [
    lambda job: cancel(job, remote=ASKED),
    lambda _: submit("Note", place=THERE),
    lambda _: queues.pause("default", remote=ASKED),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_what_may_have_been_done_is_said(
    open_line: OpenLine,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[str], Awaitable[int]],
) -> None:
    async with open_line(Note) as line:
        job = await line.rig.runtime.submit(Note(), delay=100)

        async def cut(*_: object, **__: object) -> None:
            line.cut()

        for verb in ("cancel", "submit", "pause"):
            monkeypatch.setattr(triphase.Runtime, verb, cut)
        with pytest.raises(ConnectionLost, match="the connection was lost during a"):
            await change(job.id)
        assert len(line.streams) == 1
