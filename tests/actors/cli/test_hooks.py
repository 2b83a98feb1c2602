"""`triphase hooks`: deliveries, of a store file and of a gateway, and having them tried again."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from tests.actors.gateway.posts import Posts, ended
from tests.actors.gateway.rig import Note
from trio.testing import MockClock

import triphase
from triphase.cli import deliveries, hooks
from triphase.cli.exits import Exit, UsageError
from triphase.cli.humane import moment
from triphase.cli.places import Place
from triphase.cli.show import show
from triphase.cli.sources import CANDIDATES
from triphase.cli.tail import tail
from triphase_protocol import (
    AmbiguousId,
    EventType,
    Hook,
    HookNotFound,
    HookState,
    JobNotFound,
)

from .asking import ASKED, THERE
from .conftest import Cli, OpenLine
from .running import ChosenIds

URL = "https://one.example/in/secret?key=1"
HERE = Place(store="jobs.db")


async def told(runtime: triphase.Runtime, count: int) -> list[str]:
    """Run jobs whose ends are delivered, in turn; return the ids of the deliveries."""
    begun = len(await runtime.hooks(limit=1000))
    for number in range(count):
        await runtime.submit(Note(), webhook=URL)
        await ended(runtime, begun + number + 1)
    return [hook.id for hook in await runtime.hooks(limit=1000)][begun:]


# Looking


Command = Callable[[Place, Hook], Awaitable[int]]

READ: list[Command] = [
    lambda place, _: hooks.ls(place=place, json=True),
    lambda place, _: hooks.ls(place=place),
    lambda place, _: hooks.ls(place=place, limit=2, json=True),
    lambda place, hook: hooks.ls(place=place, job=hook.job[:-1], json=True),
    lambda place, _: hooks.ls(place=place, state=[HookState.DEAD], json=True),
    lambda place, hook: hooks.show(hook.id[:-1], place=place),
    lambda place, hook: hooks.show(hook.id, place=place, json=True),
    lambda place, hook: show(hook.job, place=place),
    lambda place, hook: show(hook.job, place=place, json=True, events=True),
    lambda place, _: tail(place=place, after=0, follow=False),
]


@pytest.mark.parametrize("command", READ)
async def test_a_gateway_tells_what_a_file_tells(open_line: OpenLine, command: Command) -> None:
    # In real time: a mock clock would jump while the store waits for the disk.
    posts = Posts()
    async with open_line(Note, store="jobs.db", **posts.options()) as line:
        runtime = line.rig.runtime
        await told(runtime, 2)
        posts.status = 500
        [last] = await told(runtime, 1)
        hook = await runtime.hook(last)
        code = await command(HERE, hook)
        lines = line.lines()
        assert await command(THERE, hook) == code == Exit.OK
        assert line.lines() == lines != []


async def test_a_line_says_what_has_become_of_each(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    posts = Posts()
    async with open_line(Note, **posts.options(tries=2)) as line:
        [first] = await told(line.rig.runtime, 1)
        posts.status = 503
        job = await line.rig.runtime.submit(Note(), webhook=URL)
        async for _ in line.rig.runtime.events(after=0, types=EventType.HOOK_FAILED):
            break
        await hooks.ls(place=THERE)
        delivered, waits = line.cells()
        assert delivered[0] == first
        assert delivered[2:6] == ["job.completed", "one.example/in/…", "delivered", "1"]
        assert delivered[7:] == ["200", "-"]
        record = (await line.rig.runtime.hooks())[1]
        assert waits[:6] == [
            *(record.id, job.id, "job.completed", "one.example/in/…", "pending", "1")
        ]
        assert waits[6] == moment(record.due_at)
        assert waits[7:] == ["503", "HTTP 503"]
        assert line.notes == "2 deliveries at ws://test/ws\n"


async def test_they_are_listed_page_by_page(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "PAGE_MOST", 2)
    async with open_line(Note, **Posts().options()) as line:
        ids = await told(line.rig.runtime, 5)
        for limit, shown in ((1, 1), (3, 3), (4, 4), (5, 5), (9, 5)):
            line.notes = ""
            await hooks.ls(place=THERE, limit=limit, json=True)
            assert [each["id"] for each in line.objects()] == ids[:shown]
            assert ("there are more" in line.notes) is (shown < 5)
        await hooks.ls(place=THERE, all=True, json=True)
        assert [each["id"] for each in line.objects()] == ids
        await hooks.ls(place=THERE, state=[HookState.PENDING])
        assert line.lines() == []
        assert line.notes.endswith("no deliveries at ws://test/ws\n")


async def test_one_is_shown_with_what_is_sent(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    posts = Posts()
    async with open_line(Note, **posts.options()) as line:
        [id] = await told(line.rig.runtime, 1)
        await hooks.show(id, place=THERE)
        cells = dict(line.cells())
        assert (cells["id"], cells["url"], cells["state"]) == (id, URL, "delivered")
        assert json.loads(cells["body"]) == json.loads(posts.bodies[0])
        assert "due" not in cells
        assert cells["ended"].endswith("Z")


async def test_a_job_has_a_log_of_its_deliveries(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    posts = Posts(status=500)
    async with open_line(Note, **posts.options()) as line:
        [id] = await told(line.rig.runtime, 1)
        [hook] = await line.rig.runtime.hooks()
        await show(hook.job, place=THERE)
        [cells] = [cells for cells in line.cells() if cells[0] == "hook"]
        assert cells[1:] == [*(id, "job.completed", "one.example/in/…", "dead", "1", "HTTP 500")]
        await show(hook.job, place=THERE, json=True)
        [record] = line.objects()
        assert [(each["id"], each["body"]) for each in record["hooks"]] == [(id, None)]
        other = await line.rig.runtime.submit(Note(), delay=100)
        await show(other.id, place=THERE, json=True)
        assert line.objects()[0]["hooks"] == []


async def test_what_is_left_of_a_deleted_job_is_found_by_its_id_in_full(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    posts, keep = Posts(status=500), triphase.Retention(delete_after=5)
    async with open_line(Note, retention=keep, **posts.options(tries=20)) as line:
        job = await line.rig.runtime.submit(Note(), webhook=URL)
        async for _ in line.rig.runtime.events(after=0, types=EventType.JOB_DELETED):
            break
        with pytest.raises(JobNotFound):
            await show(job.id, place=THERE)
        assert await hooks.ls(job=job.id, place=THERE, json=True) == Exit.OK
        assert [each["job"] for each in line.objects()] == [job.id]
        for unknown in (job.id[:-1], "", "nope"):
            with pytest.raises(JobNotFound):
                await hooks.ls(job=unknown, place=THERE)


async def test_the_events_about_them_are_shown_with_what_they_carry(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    posts = Posts(status=500)
    async with open_line(Note, **posts.options(tries=2)) as line:
        [id] = await told(line.rig.runtime, 1)
        [hook] = await line.rig.runtime.hooks()
        await tail(place=THERE, after=0, follow=False, type=["hook.failed", "hook.dead"])
        failed, dead = line.cells()
        assert failed[2:5] == [hook.job, "hook.failed", "-"]
        about = f"hook={id}  event=job.completed  seq={hook.seq}  status=500  error=HTTP 500"
        assert failed[5].startswith(f"{about}  retry_at=")
        assert dead[5] == f"try 2  {about}"


# Ids


async def test_an_id_is_a_unique_beginning(open_line: OpenLine, autojump_clock: MockClock) -> None:
    async with open_line(Note, **Posts().options()) as line:
        ids = await told(line.rig.runtime, 40)
        shared = next(id[0] for id in ids if sum(each[0] == id[0] for each in ids) > 1)
        several = [id for id in ids if id[0] == shared]
        with pytest.raises(AmbiguousId) as caught:
            await hooks.show(shared, place=THERE)
        assert all(id in str(caught.value) for id in several[:CANDIDATES])
        for unknown in ("u", "", f"{ids[0]}0", "%"):
            with pytest.raises(HookNotFound, match="there is no delivery"):
                await hooks.show(unknown, place=THERE)


async def test_an_id_in_full_wins_over_longer_ones(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ChosenIds("job-one", "abc", "job-two", "abcd")

    def chosen(_: int) -> ChosenIds:
        return ids

    monkeypatch.setattr(triphase, "Entropy", chosen)
    async with open_line(Note, **Posts().options()) as line:
        assert await told(line.rig.runtime, 2) == ["abc", "abcd"]
        await hooks.show("abc", place=THERE, json=True)
        assert [each["id"] for each in line.objects()] == ["abc"]
        assert await hooks.redeliver("abcd", "abc", "abcd", remote=ASKED, json=True) == Exit.OK
        assert [each["id"] for each in line.objects()] == ["abcd", "abc"]


# Having them tried again


async def test_deliveries_are_tried_again(open_line: OpenLine, autojump_clock: MockClock) -> None:
    posts = Posts(status=500)
    async with open_line(Note, **posts.options()) as line:
        ids = await told(line.rig.runtime, 3)
        posts.status = 200
        assert await hooks.redeliver(ids[0][:-1], ids[1], remote=ASKED) == Exit.OK
        assert [cells[0] for cells in line.cells()] == ids[:2]
        await ended(line.rig.runtime, 5)
        assert await hooks.redeliver(ids[0], remote=ASKED, json=True) == Exit.OK
        [again] = line.objects()
        assert (again["id"], again["state"], again["spent"]) == (ids[0], "pending", 2)
        await ended(line.rig.runtime, 6)
        states = [hook.state.value for hook in await line.rig.runtime.hooks()]
        assert states == ["delivered", "delivered", "dead"]
        assert posts.ids[3:] == [ids[0], ids[1], ids[0]]


async def test_all_that_were_given_up_are_tried_again(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "PAGE_MOST", 2)
    posts = Posts()
    async with open_line(Note, **posts.options()) as line:
        runtime = line.rig.runtime
        await told(runtime, 1)
        posts.status = 500
        dead = await told(runtime, 4)
        job = (await runtime.hook(dead[3])).job
        posts.status = 200
        assert await hooks.redeliver(dead=True, job=job, remote=ASKED, json=True) == Exit.OK
        assert [each["id"] for each in line.objects()] == dead[3:]
        await ended(runtime, 6)
        assert await hooks.redeliver(dead=True, remote=ASKED, json=True) == Exit.OK
        assert [each["id"] for each in line.objects()] == dead[:3]
        await ended(runtime, 9)
        assert await hooks.redeliver(dead=True, remote=ASKED) == Exit.OK
        assert line.lines() == []
        assert line.notes == "no delivery was given up\n"
        assert {hook.state for hook in await runtime.hooks()} == {HookState.DELIVERED}


async def test_nothing_is_asked_for_unless_there_are_all_of_them(
    open_line: OpenLine, autojump_clock: MockClock
) -> None:
    posts = Posts()
    async with open_line(Note, **posts.options()) as line:
        [id] = await told(line.rig.runtime, 1)
        with pytest.raises(HookNotFound, match="there is no delivery 'nope'"):
            await hooks.redeliver(id, "nope", remote=ASKED)
        assert (await line.rig.runtime.hook(id)).state is HookState.DELIVERED


async def test_what_cannot_be_done_with_one_is_done_with_the_others(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_line(Note, **Posts().options()) as line:
        ids = await told(line.rig.runtime, 2)
        redeliver = triphase.Runtime.redeliver

        async def lacks_the_first(runtime: triphase.Runtime, id: str) -> Hook:
            if id == ids[0]:
                raise HookNotFound("it was deleted meanwhile")
            return await redeliver(runtime, id)

        monkeypatch.setattr(triphase.Runtime, "redeliver", lacks_the_first)
        assert await hooks.redeliver(*ids, remote=ASKED) == Exit.NOT_FOUND
        assert [cells[0] for cells in line.cells()] == ids[1:]
        assert line.notes == "triphase: it was deleted meanwhile\n"


@pytest.mark.parametrize(
    ("ids", "options", "words"),
    [
        ((), {}, "which delivery"),
        (("a",), {"dead": True}, "these ids, or all"),
        (("a",), {"job": "j"}, "--job is for --dead"),
    ],
)
async def test_what_is_meant_has_to_be_clear(
    ids: tuple[str, ...], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        await hooks.redeliver(*ids, remote=ASKED, **options)


# On a terminal


async def test_a_terminal_is_told_in_tables(
    open_line: OpenLine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:

    def is_terminal(_: object) -> bool:
        return True

    monkeypatch.setattr("triphase.cli.screen._is_terminal", is_terminal)
    monkeypatch.setenv("COLUMNS", "160")
    posts = Posts(status=500)
    async with open_line(Note, **posts.options()) as line:
        [id] = await told(line.rig.runtime, 1)
        hook = await line.rig.runtime.hook(id)
        shown = ("job.completed", "one.example/in/…", "dead")
        commands: list[tuple[Callable[[], Awaitable[int]], tuple[str, ...]]] = [
            (lambda: hooks.ls(place=THERE), ("try", hook.job[:8], "ago", "HTTP 500", *shown)),
            (lambda: hooks.show(id, place=THERE), (URL, '"timestamp": ', "ended", "attempts")),
            (lambda: show(hook.job, place=THERE), ("deliveries", "HTTP 500", *shown)),
            (lambda: hooks.redeliver(id, remote=ASKED), ("pending", "due", *shown[:2])),
        ]
        for command, words in commands:
            assert await command() == Exit.OK
            text = "\n".join(line.lines())
            assert not [word for word in (id, *words) if word not in text], text


# A store file, and a line


def test_a_file_is_read_and_not_changed(cli: Cli, sample_types: list[type]) -> None:
    ping: Any = sample_types[1]

    async def run() -> list[str]:
        options = Posts().options()
        async with triphase.open_runtime(sample_types, store="jobs.db", **options) as runtime:
            await runtime.submit(ping(), webhook=URL)
            await ended(runtime, 1)
            return [hook.id for hook in await runtime.hooks()]

    [id] = trio.run(run)
    ran = cli("hooks", "ls")
    assert (ran.code, ran.err) == (0, "1 delivery\n")
    assert [cells[0] for cells in ran.cells] == [id]
    assert cli("hooks", "show", id[:8], "--json").objects[0]["id"] == id
    ran = cli("hooks", "show", "nope")
    assert (ran.code, ran.err) == (3, "triphase: there is no delivery 'nope'\n")
    no_text = cli("hooks", "show", "\udcff")
    assert (no_text.code, no_text.out) == (3, "")
    assert cli("hooks", "ls", "--job", "\udcff").code == 3
    assert cli("hooks", "redeliver", id).code == 2
    assert cli("hooks", "redeliver", id, "--store", "jobs.db").code == 2


HOOK = Hook(id="h", job="j", run=1, seq=3, event=EventType.JOB_FAILED, url="https://x.example/")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example", "x.example/"),
        ("https://x.example/", "x.example/"),
        ("https://x.example/in", "x.example/in"),
        ("https://x.example/in/", "x.example/in/…"),
        ("https://x.example/services/T0/B0/secret", "x.example/services/…"),
        ("http://x.example:8080/in?token=secret", "x.example:8080/in"),
        ("http://[::1]:8080/?token=secret", "[::1]:8080/"),
    ],
)
def test_where_it_goes_is_said_without_what_may_be_a_secret(url: str, shown: str) -> None:
    assert deliveries.where(attrs.evolve(HOOK, url=url)) == shown


def test_when_is_said_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    for due, words in ((1020.0, "in 20.0 s"), (1000.0, "due"), (3.0, "due")):
        assert deliveries.when_about(attrs.evolve(HOOK, due_at=due)) == words
    over = attrs.evolve(HOOK, state=HookState.DEAD, ended_at=700.0)
    assert deliveries.when_about(over) == "5 m ago"
    assert deliveries.when_about(attrs.evolve(over, ended_at=None)) == ""
