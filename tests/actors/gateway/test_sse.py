"""Events over HTTP: every one once and in order, wherever they are read from."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import triphase
from triphase import feed as feed_module
from triphase.gateway import sse
from triphase.gateway.rules import Rules
from triphase_protocol import CorruptRecord, StoreUnavailable

from .front import Client, Front, open_front, request
from .rig import Clip, Note


@attrs.define
class Reader:
    """What a browser's EventSource does."""

    client: Client
    last_id: str = ""
    comments: int = 0
    text: bytes = b""
    events: list[tuple[str, Any]] = attrs.field(factory=list[tuple[str, Any]])

    async def more(self) -> bool:
        """Read one chunk; False at the end of the stream."""
        chunk = await self.client.chunk()
        self.text += chunk
        while b"\n\n" in self.text:
            block, self.text = self.text.split(b"\n\n", 1)
            self._take(block.decode())
        return bool(chunk)

    def _take(self, block: str) -> None:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            assert name not in fields, "a field is there twice"
            fields[name] = value.removeprefix(" ")
        self.comments += "" in fields
        # As the standard has it: the id counts also where there is no data.
        self.last_id = fields.get("id", self.last_id)
        if "data" in fields:
            self.events.append((fields["event"], json.loads(fields["data"])))

    async def until(self, seq: int) -> list[int]:
        """Read up to a `seq`; return all that came."""
        with trio.fail_after(60):
            while int(self.last_id or -1) < seq:
                assert await self.more(), "it ended"
        return self.seqs

    @property
    def seqs(self) -> list[int]:
        return [data["seq"] for type, data in self.events if type != "reset"]


@asynccontextmanager
async def reading(
    front: Front, query: str = "", *, lockstep: bool = False, **headers: str
) -> AsyncGenerator[Reader]:
    """Open a stream."""
    client = front.connect(lockstep=lockstep)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    await client.send(request("GET", f"/api/events{query}", headers=names))
    status, found = await client.head()
    assert (status, found["content-type"]) == (200, "text/event-stream")
    assert found["cache-control"] == "no-store"
    yield Reader(client)
    await client.stream.aclose()


async def done(front: Front, *jobs: object, **options: Any) -> list[str]:
    """Run jobs to their ends; return their ids."""
    handles = [await front.rig.runtime.submit(job, **options) for job in jobs]
    await front.rig.runtime.wait_all(handles)
    return [handle.id for handle in handles]


def head(front: Front) -> int:
    return front.rig.runtime.statistics().feed.last_seq


async def test_events_come_as_they_are_committed(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        await done(front, Clip())
        begin = head(front)
        async with reading(front) as reader:
            await reader.more()
            assert (reader.last_id, reader.events) == (str(begin), [])
            [id] = await done(front, Clip(1.0, "ä\n\r\u2028"))
            assert await reader.until(head(front)) == list(range(begin + 1, head(front) + 1))
            types = [type for type, _ in reader.events]
            assert types[0] == "job.submitted"
            assert types[-1] == "job.completed"
            for type, data in reader.events:
                assert (data["type"], data["job"]) == (type, id)
            assert front.door.counts.streams == 1
        assert await front.is_idle()
        assert front.door.counts.streams == 0


async def test_a_browser_is_told_when_to_come_back(autojump_clock: MockClock) -> None:
    async with open_front() as front, reading(front) as reader:
        assert b"retry: 2000\n" in await reader.client.chunk()


@pytest.mark.parametrize("ring", [4096, 4])
async def test_who_comes_back_goes_on_where_it_was(
    ring: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", ring)
    monkeypatch.setattr(feed_module, "PAGE", 5)
    async with open_front(Note) as front:
        await done(front, *[Note()] * 10)
        seqs: list[int] = []
        async with reading(front, "?after=0") as reader:
            seqs += await reader.until(17)
        await done(front, *[Note()] * 10)
        # The query is still the old one; the header is newer.
        async with reading(front, "?after=0", Last_Event_ID=reader.last_id) as reader:
            seqs += await reader.until(head(front))
        assert seqs == list(range(1, head(front) + 1))


@pytest.mark.parametrize("ring", [4096, 4])
async def test_conditions_hold_in_the_ring_and_in_the_log(
    ring: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", ring)
    async with open_front(Clip, Note) as front:
        first = await done(front, Clip(name="a"), Clip(name="b"), labels={"k": "v"})
        notes = await done(front, *[Note()] * 5)
        queries = {
            "?after=0&type=Clip": first,
            "?after=0&queue=media": first,
            "?after=0&queue=media&queue=default": first + notes,
            "?after=0&label=k%3Dv": first,
            "?after=0&label=k%3Dother": [],
            "?after=0&type=Nothing": [],
            f"?after=0&job={first[1]}": first[1:],
            "?after=0&type=Note&event=job.completed": notes,
        }
        for query, ids in queries.items():
            async with reading(front, query) as reader:
                # A bookmark tells that all is read.
                await reader.until(head(front))
                found = [data["job"] for _, data in reader.events]
                assert set(found) == set(ids), query
                if "event=" in query:
                    assert [type for type, _ in reader.events] == ["job.completed"] * len(ids)
                elif ids:
                    assert len(found) > 5 * len(ids)


async def test_that_a_job_was_deleted_is_told_to_everybody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", 4)
    retention = triphase.Retention(delete_after=10)
    async with open_front(Note, Clip, retention=retention) as front:
        [gone] = await done(front, Note())
        await trio.sleep(1000)
        await done(front, *[Clip()] * 3)
        for query in ("?after=1&type=Clip", "?after=1&type=Nothing"):
            async with reading(front, query) as reader:
                await reader.until(head(front))
                types = [type for type, data in reader.events if data["job"] == gone]
                assert types == ["job.deleted"], query


async def test_a_silent_stream_tells_that_it_lives_and_how_far_it_is(
    autojump_clock: MockClock,
) -> None:
    async with open_front(Note) as front, reading(front, "?type=Nothing") as reader:
        await reader.more()
        begun = trio.current_time()
        await reader.more()
        assert trio.current_time() - begun == 15
        assert (reader.comments, reader.last_id) == (1, "0")
        # What does not belong to it is no sign of life.
        for _ in range(14):
            await done(front, Note())
            await trio.sleep(1)
        await reader.more()
        assert trio.current_time() - begun == 30
        assert (reader.comments, reader.last_id) == (2, str(head(front)))
        assert reader.events == []


async def test_a_place_that_is_not_in_the_log_is_told(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        await done(front, Note())
        for query, reason, cursor in (
            ("?after=1000", "ahead", 0),
            ("?after=2&epoch=another", "epoch", 0),
            ("?after=999999999999999999", "ahead", 0),
        ):
            async with reading(front, query) as reader:
                await reader.more()
                assert reader.events[0][0] == "reset"
                assert reader.events[0][1]["reason"] == reason
                assert reader.last_id == str(cursor)
                assert await reader.until(head(front)) == list(range(1, head(front) + 1))
        epoch = front.rig.gateway.host.epoch
        async with reading(front, f"?after=2&epoch={epoch}") as reader:
            assert await reader.until(head(front)) == list(range(3, head(front) + 1))


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=-1",
        "after=1.0",
        "after=1&after=2",
        f"after={'9' * 30}",
        "event=odd",
        "after=",
        "job=a&type=Note",
        "job=a&job=b",
        "odd=1",
        "label=x",
        "job=",
    ],
)
async def test_a_condition_that_is_none_is_refused(query: str, autojump_clock: MockClock) -> None:
    async with open_front() as front:
        answer = await front.ask("GET", f"/api/events?{query}")
        assert (answer.status, answer.code) == (400, "invalid_value")


async def test_a_last_event_id_that_is_none_is_refused(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        answer = await front.ask("GET", "/api/events", headers={"Last-Event-ID": "abc"})
        assert (answer.status, answer.code) == (400, "invalid_value")


async def test_who_reads_nothing_is_cut_and_costs_no_memory(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", 16)
    async with open_front(Note) as front:
        async with reading(front, "?after=0", lockstep=True) as slow, reading(front) as other:
            await slow.more()
            await done(front, *[Note()] * 100)
            assert len(await other.until(head(front))) == head(front)
            await trio.sleep(29)
            assert front.door.counts.streams == 2
            await trio.sleep(3)
            assert front.door.counts.streams == 1
            assert front.rig.runtime.statistics().feed.kept < 40
            await done(front, Note())
            await other.until(head(front))
        assert await front.is_well()


async def test_who_reads_slowly_has_every_event(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", 16)
    monkeypatch.setattr(sse, "PIECE", 1)
    async with open_front(Note) as front, reading(front, "?after=0", lockstep=True) as slow:
        await done(front, *[Note()] * 20)
        while int(slow.last_id or 0) < head(front):
            await trio.sleep(25)
            await slow.more()
        assert slow.seqs == list(range(1, head(front) + 1))


async def test_a_client_that_leaves_is_noticed_at_once(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        async with reading(front) as reader:
            await reader.more()
        await trio.sleep(0.1)
        assert front.door.counts.streams == front.door.counts.connections == 0
        assert front.rig.runtime.statistics().feed.waiting <= 1
        # Also while it talks.
        async with reading(front) as reader:
            for _ in range(100):
                await reader.client.send(b"x" * 1000)
        await trio.sleep(0.1)
        assert front.door.counts.streams == 0
        assert await front.is_well()


async def test_there_are_only_so_many_streams(autojump_clock: MockClock) -> None:
    async with open_front(rules=Rules(streams=1)) as front:
        async with reading(front) as reader:
            await reader.more()
            answer = await front.ask("GET", "/api/events")
            assert (answer.status, answer.code) == (503, "limit")
            assert int(answer.headers["retry-after"]) > 0
        await trio.sleep(1)
        async with reading(front):
            pass


async def test_a_stream_ends_with_the_runtime(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with open_front(Note) as front:
            front.nursery = nursery
            client = front.connect()
            await client.send(request("GET", "/api/events?after=0"))
            await client.head()
            reader = Reader(client)
            await done(front, Note())
            await reader.until(head(front))
        with trio.fail_after(5):
            while await reader.more():
                pass
            assert await client.rest() == b""


async def test_a_store_that_fails_ends_the_stream_whole(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", 4)
    async with open_front(Note) as front:
        await done(front, *[Note()] * 5)

        async def fail(**_: object) -> None:
            raise StoreUnavailable("the disk is gone")

        async with reading(front, "?after=0") as reader:
            monkeypatch.setattr(front.rig.runtime.parts.store, "events", fail)
            while await reader.more():
                pass
            assert await reader.client.rest() == b""
        assert await front.is_well()


async def test_a_job_that_cannot_be_read_belongs_to_nobody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", 4)
    async with open_front(Note) as front:
        corrupt, *_ = await done(front, *[Note()] * 5)
        store = front.rig.runtime.parts.store
        get = store.get

        async def find(id: str) -> Any:
            if id == corrupt:
                raise CorruptRecord("unreadable")
            return await get(id)

        monkeypatch.setattr(store, "get", find)
        async with reading(front, "?after=0&type=Note") as reader:
            await reader.until(head(front))
            jobs = {data["job"] for _, data in reader.events}
            assert (len(jobs), corrupt in jobs) == (4, False)
