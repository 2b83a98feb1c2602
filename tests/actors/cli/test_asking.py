"""The commands that read, of a gateway: they tell what they tell of a store file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from tests.actors.gateway.rig import Clip, Note
from trio.testing import MockClock

import triphase
from triphase.cli import gateway_source
from triphase.cli.exits import Exit
from triphase.cli.listing import ls
from triphase.cli.places import Place
from triphase.cli.show import show
from triphase.cli.tail import tail
from triphase.cli.wait import wait
from triphase.cli.watch import watch
from triphase.client import Unreachable
from triphase_protocol import AmbiguousId, EventType, JobNotFound, JobState

from .asking import THERE, Line
from .conftest import OpenLine

HERE = Place(store="jobs.db")

Command = Callable[[Place, str], Awaitable[int]]

READ: list[Command] = [
    lambda place, _: ls(place=place, json=True),
    lambda place, _: ls(place=place),
    lambda place, _: ls(place=place, limit=2, json=True),
    lambda place, _: ls(place=place, type=["Note"], state=[JobState.COMPLETED], json=True),
    lambda place, _: ls(place=place, label=["a=b"], queue=["media"], json=True),
    lambda place, _: ls(place=place, label=["a=c"], json=True),
    lambda place, job: show(job, place=place, json=True),
    lambda place, job: show(job[:-1], place=place, events=True),
    lambda place, job: show(job, place=place, events=True, json=True),
    lambda place, _: tail(place=place, after=0, follow=False, json=True),
    lambda place, _: tail(place=place, follow=False),
    lambda place, _: tail(place=place, after=9999, follow=False),
    lambda place, _: tail(place=place, after=3, type=["job.completed"], follow=False),
    lambda place, job: tail(place=place, after=3, job=job, follow=False),
    lambda place, job: tail(place=place, after=0, job=job, type=["job.queued"], follow=False),
    lambda place, job: watch(job, place=place, json=True),
    lambda place, job: wait(job, place=place, timeout=0, json=True),
]


@pytest.mark.parametrize("command", READ)
async def test_a_gateway_tells_what_a_file_tells(open_line: OpenLine, command: Command) -> None:
    # In real time: a mock clock would jump while the store waits for the disk.
    async with open_line(Clip, Note, store="jobs.db") as line:
        runtime = line.rig.runtime
        first = await runtime.submit(Clip(0.0, "x"), labels={"a": "b"})
        notes = [await runtime.submit(Note()) for _ in range(3)]
        await runtime.wait_all([first, *notes])
        later = await runtime.submit(Clip(), delay=1000)
        await later.cancel()
        code = await command(HERE, first.id)
        told = line.lines()
        assert await command(THERE, first.id) == code == Exit.OK
        assert line.lines() == told
        assert told or command in READ[5:12]


async def test_jobs_are_listed_page_by_page(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_source, "PAGE", 2)
    async with open_line(Note) as line:
        jobs = [(await line.rig.runtime.submit(Note())).id for _ in range(5)]
        for limit, shown in ((4, 4), (5, 5), (9, 5), (1, 1)):
            await ls(place=THERE, limit=limit, json=True)
            assert [each["id"] for each in line.objects()] == jobs[::-1][:shown]
        await ls(place=THERE, all=True, json=True)
        assert len(line.objects()) == 5
        assert "5 jobs at ws://test/ws\n" in line.notes


async def test_an_id_is_a_unique_beginning(open_line: OpenLine, autojump_clock: MockClock) -> None:
    async with open_line(Note) as line:
        ids = [(await line.rig.runtime.submit(Note(), delay=99)).id for _ in range(40)]
        shared = next(id[0] for id in ids if sum(each[0] == id[0] for each in ids) > 1)
        with pytest.raises(AmbiguousId):
            await show(shared, place=THERE)
        for unknown in ("u", "", f"{ids[0]}0", "%"):
            with pytest.raises(JobNotFound, match="there is no job"):
                await wait(unknown, place=THERE)


# Following


async def follow(
    commands: dict[str, Callable[[], Awaitable[int]]], during: Callable[[], Any]
) -> dict[str, int]:
    """Run commands while something happens; return the codes of those that ended."""
    codes: dict[str, int] = {}

    async def run(name: str) -> None:
        codes[name] = await commands[name]()

    async with trio.open_nursery() as nursery:
        for name in commands:
            nursery.start_soon(run, name)
        await trio.sleep(1)
        await during()
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    return codes


async def test_wait_and_watch_end_with_the_job(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Clip) as line:
        job = await line.rig.runtime.submit(Clip(50.0, "x"))
        began = trio.current_time()
        assert await wait(job.id, place=THERE, json=True) == Exit.OK
        assert trio.current_time() - began == pytest.approx(50, abs=0.5)
        assert [each["outcome"] for each in line.objects()] == ["completed"]
        again = await job.retry(from_phase="cut")
        assert await watch(job.id, place=THERE, json=True) == Exit.OK
        events = line.objects()
        assert [event["type"] for event in events].count("job.completed") == 2
        assert events[-1]["version"] == (await job.get()).version > again.version
        assert not line.notes


async def test_each_end_is_told_when_it_is(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_source, "WAITS_AT_ONCE", 2)
    async with open_line(Clip) as line:
        seconds = (1.0, 2.0, 3.0, 4.0, 100.0)
        jobs = [await line.rig.runtime.submit(Clip(each)) for each in seconds]
        await jobs[1].cancel()
        ids = [job.id for job in jobs]
        assert await wait(*ids[:4], place=THERE, json=True) == Exit.FAILED
        told = [(each["job"], each["outcome"]) for each in line.objects()]
        assert dict(told) == dict.fromkeys(ids[:4], "completed") | {ids[1]: "cancelled"}
        assert await wait(*ids, place=THERE, timeout=10, json=True) == Exit.TIMED_OUT
        late = line.objects()[-1]
        assert late == {"job": ids[4], "outcome": "timed_out", "state": "running"}


async def test_a_lost_connection_is_told_and_nothing_is_missed(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Clip, Note) as line:
        runtime = line.rig.runtime
        job = await runtime.submit(Clip(60.0))

        async def cuts() -> None:
            for _ in range(2):
                line.up = False
                line.cut()
                await (await runtime.submit(Note())).wait()
                await trio.sleep(10)
                line.up = True
                await trio.sleep(40)

        codes = await follow({"tail": lambda: tail(place=THERE, after=0, json=True)}, cuts)
        assert not codes
        head = runtime.statistics().feed.last_seq
        assert [each["seq"] for each in line.objects()] == list(range(1, head + 1))
        assert line.notes.count("the connection to ws://test/ws was lost") == 2
        assert line.notes.count("\n") == 2
        assert (await job.get()).terminal


async def test_wait_and_watch_go_on_after_a_lost_connection(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Clip) as line:
        job = await line.rig.runtime.submit(Clip(30.0))

        async def cut() -> None:
            line.up = False
            for stream in line.streams:
                stream.abort()
            await trio.sleep(60)
            line.up = True

        commands: dict[str, Callable[[], Awaitable[int]]] = {
            "wait": lambda: wait(job.id, place=THERE, json=True),
            "watch": lambda: watch(job.id, place=THERE, json=True),
        }
        assert await follow(commands, cut) == {"wait": Exit.OK, "watch": Exit.OK}
        told = line.objects()
        assert [each["outcome"] for each in told if "outcome" in each] == ["completed"]
        events = [each for each in told if "seq" in each]
        assert [each["version"] for each in events] == list(range(1, len(events) + 1))
        assert events[-1]["type"] == "job.completed"
        assert line.notes.count("was lost") == 2


async def test_a_wait_ends_in_time_though_nobody_is_there(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Clip) as line:
        job = await line.rig.runtime.submit(Clip(500.0))
        began = trio.current_time()

        async def cut() -> None:
            line.up = False
            line.cut()

        codes = await follow(
            {"wait": lambda: wait(job.id, place=THERE, timeout=20, json=True)}, cut
        )
        assert codes == {"wait": Exit.TIMED_OUT}
        assert trio.current_time() - began < 130
        assert [each["outcome"] for each in line.objects()] == ["timed_out"]


async def test_another_log_is_told_and_read_from_its_beginning(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    async with open_line(Note) as longer, open_line(Note) as line:
        heads: list[int] = []
        for rig, jobs in ((line.rig, 1), (longer.rig, 2)):
            for _ in range(jobs):
                await (await rig.runtime.submit(Note())).wait()
            heads.append(rig.runtime.statistics().feed.last_seq)

        async def swap() -> None:
            line.cut()
            line.rig = longer.rig

        await follow({"tail": lambda: tail(place=THERE, after=0, json=True)}, swap)
        seqs = [each["seq"] for each in line.objects()]
        assert seqs == [*range(1, heads[0] + 1), *range(1, heads[1] + 1)]
        assert "the gateway has another log now; it is read from its beginning\n" in line.notes


async def test_a_deleted_job_is_no_longer_waited_for(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    keep = triphase.Retention(delete_after=5)
    async with open_line(Note, retention=keep) as line:
        job = await line.rig.runtime.submit(Note())
        await job.wait()
        await trio.sleep(3600)
        with pytest.raises(JobNotFound):
            await wait(job.id, place=THERE)
        assert EventType.JOB_DELETED in (await _types(line))


async def _types(line: Line) -> list[str]:
    await tail(place=THERE, after=0, follow=False, json=True)
    return [each["type"] for each in line.objects()]


# Who cannot be asked


async def test_nobody_there_is_told_at_once(open_line: OpenLine, autojump_clock: MockClock) -> None:
    async with open_line(Note) as line:
        line.up = False
        with pytest.raises(Unreachable, match="ws://test/ws: nobody is there"):
            await ls(place=THERE)
        with pytest.raises(Unreachable, match="ws://test/ws: nobody is there"):
            await tail(place=THERE)


async def test_who_asks_once_does_not_wait_for_another_connection(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_line(Note) as line:

        async def find(*_: object, **__: object) -> None:
            line.cut()
            await trio.sleep_forever()

        monkeypatch.setattr(triphase.Runtime, "find", find)
        with pytest.raises(Unreachable, match="the connection to ws://test/ws was lost: "):
            await ls(place=THERE)
        assert len(line.streams) == 1
