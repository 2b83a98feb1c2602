"""Streams over a connection: every event once, in order, however the client was away."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

import triphase
from triphase import feed as feed_module
from triphase.gateway import subscription as subscription_module
from triphase.gateway.host import Manners
from triphase.gateway.peer import Peer
from triphase.reconciler import retention as retention_module
from triphase_protocol.wire import Limits

from .front import frame as front_frame, open_front, upgrade
from .rig import Clip, End, Note, Rig, open_rig

PATIENT = Manners(silence=1e9)
"""For clients that do not read for a long time."""


async def done(rig: Rig, *jobs: object, **options: Any) -> list[str]:
    """Run jobs to their ends; return their ids."""
    handles = [await rig.runtime.submit(job, **options) for job in jobs]
    await rig.runtime.wait_all(handles)
    return [handle.id for handle in handles]


def head(rig: Rig) -> int:
    """Return the `seq` of the last event."""
    return rig.runtime.statistics().feed.last_seq


def seqs(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


async def test_whoever_follows_all_jobs_has_every_event_as_it_is_committed(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        begun = await peer.ask("subscribe", topic="jobs")
        assert (begun["topic"], begun["after"], begun["reset"]) == ("jobs", 0, None)
        [id] = await done(rig, Clip(1.0, "a"))
        events = await peer.events("jobs", head(rig))
        assert seqs(events) == list(range(1, head(rig) + 1))
        assert {event["job"] for event in events} == {id}
        assert events[-1]["type"] == "job.completed"


async def test_who_comes_later_reads_the_log_first_and_then_goes_on_live(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        await done(rig, *[Note()] * 20)
        await peer.ask("subscribe", topic="jobs", after=7)
        first = await peer.events("jobs", head(rig))
        assert seqs(first) == list(range(8, head(rig) + 1))
        begin = head(rig)
        await done(rig, Note())
        assert seqs(await peer.events("jobs", head(rig))) == list(range(begin + 1, head(rig) + 1))


async def test_filters_hold_in_the_ring_and_in_the_log(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", 8)
    async with open_rig(Clip, Note) as rig, rig.peer() as peer:
        wanted = await done(rig, Clip(name="a"), Clip(name="b"), labels={"k": "v"})
        await done(rig, *[Note()] * 10)
        topics = {
            "jobs?type=Clip": wanted,
            "jobs?queue=media": wanted,
            "jobs?label=k%3Dv": wanted,
            "jobs?type=Clip&label=k%3Dother": [],
            f"job:{wanted[0]}": wanted[:1],
        }
        for topic in topics:
            await peer.ask("subscribe", topic=topic, after=0)
        wanted += await done(rig, Clip(name="c"), labels={"k": "v"})
        await done(rig, Clip(name="d"), labels={"k": "other"})
        found = {
            topic: list(dict.fromkeys(e["job"] for e in await peer.events(topic, head(rig))))
            for topic in topics
        }
        assert found["jobs?label=k%3Dv"] == wanted
        assert found["jobs?type=Clip"][:3] == found["jobs?queue=media"][:3] == wanted
        assert len(found["jobs?type=Clip"]) == 4
        assert found[f"job:{wanted[0]}"] == wanted[:1]
        assert len(found["jobs?type=Clip&label=k%3Dother"]) == 1


async def test_only_events_of_the_types_that_were_asked_for_come(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        await done(rig, Note())
        topic = "jobs?event=job.completed"
        await peer.ask("subscribe", topic=topic, after=0)
        await done(rig, Note())
        events = await peer.events(topic, head(rig))
        assert [event["type"] for event in events] == ["job.completed"] * 2


async def test_a_silent_topic_tells_how_far_it_is(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        await peer.ask("subscribe", topic="jobs?type=Nothing")
        await done(rig, Note())
        batch = await peer.hear("events")
        assert (batch["from"], batch["to"], batch["events"]) == (0, head(rig), [])


async def test_a_snapshot_and_what_follows_leave_nothing_out(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription_module, "SNAPSHOT_PAGE", 2)
    async with open_rig(Clip, Note) as rig, rig.peer() as peer:
        ids = await done(rig, Note(), Note(), Note())
        await done(rig, Clip())
        begun = await peer.ask("subscribe", topic="jobs?type=Note", snapshot=True)
        pages = [await peer.hear("snapshot")]
        while not pages[-1]["last"]:
            pages.append(await peer.hear("snapshot"))
        assert [job["id"] for page in pages for job in page["jobs"]] == ids
        assert begun["after"] == head(rig)
        ids += await done(rig, Note())
        events = await peer.events("jobs?type=Note", head(rig))
        assert {event["job"] for event in events} == {ids[-1]}


async def test_a_job_that_is_asked_for_with_a_snapshot_comes_alone(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        [id, _] = await done(rig, Note(), Note())
        await peer.ask("subscribe", topic=f"job:{id}", snapshot=True)
        page = await peer.hear("snapshot")
        assert ([job["id"] for job in page["jobs"]], page["last"]) == ([id], True)


async def test_numbers_of_another_log_are_told_and_everything_comes_anew(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        await done(rig, Note())
        begun = await peer.ask("subscribe", topic="jobs", after=3, epoch="another")
        assert (begun["reset"], begun["after"]) == ({"reason": "epoch", "after": 3}, 0)
        assert seqs(await peer.events("jobs", head(rig)))[0] == 1
        begun = await peer.ask("subscribe", topic="jobs#2", after=9999)
        assert (begun["reset"]["reason"], begun["after"]) == ("ahead", 0)


async def test_what_was_pruned_is_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "TOMBSTONES_KEPT", 600)
    short = triphase.Retention(delete_after=60)
    async with open_rig(Note, retention=short, manners=PATIENT) as rig, rig.peer() as peer:
        await done(rig, Note(), Note())
        before, epoch = head(rig), rig.gateway.host.epoch
        # Deleted after a minute, and the last trace of it ten minutes later.
        await trio.sleep(8000)
        begun = await peer.ask("subscribe", topic="jobs", after=before, epoch=epoch)
        assert begun["reset"] == {"reason": "pruned", "after": before}
        assert (await peer.ask("subscribe", topic="jobs#2", after=0))["reset"] is None


async def test_that_a_job_was_deleted_comes_to_every_topic(autojump_clock: MockClock) -> None:
    short = triphase.Retention(delete_after=60)
    async with open_rig(Note, retention=short, manners=PATIENT) as rig, rig.peer() as peer:
        await done(rig, Note())
        await peer.ask("subscribe", topic="jobs?type=Other")
        await trio.sleep(600)
        events = await peer.events("jobs?type=Other", head(rig))
        assert [event["type"] for event in events] == ["job.deleted"]
        await peer.ask("subscribe", topic="jobs?type=Third", after=0)
        events = await peer.events("jobs?type=Third", head(rig))
        assert [event["type"] for event in events] == ["job.deleted"]


async def test_after_the_answer_to_unsubscribe_nothing_more_comes(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        await peer.ask("subscribe", topic="jobs")
        await done(rig, Note())
        assert await peer.ask("unsubscribe", topic="jobs") is None
        peer.inbox.clear()
        await done(rig, Note())
        assert await peer.ask("ping") is None
        assert peer.inbox == []
        assert rig.gateway.statistics().subscriptions == 0
        assert (await peer.ask("subscribe", topic="jobs"))["topic"] == "jobs", "and again"


async def test_one_topic_is_followed_once_and_so_many_at_all(autojump_clock: MockClock) -> None:
    manners = Manners(limits=Limits(subscriptions=3))
    async with open_rig(Note, manners=manners) as rig, rig.peer() as peer:
        assert (await peer.ask("subscribe", topic="jobs?queue=b&type=a"))["topic"]
        again = await peer.ask("subscribe", topic="jobs?type=a&queue=b")
        assert again["code"] == "already_subscribed"
        await peer.ask("subscribe", topic="jobs#2")
        await peer.ask("subscribe", topic="jobs#3")
        for number in range(100):
            assert (await peer.ask("subscribe", topic=f"jobs#x{number}"))["code"] == "limit"
        assert rig.gateway.statistics().subscriptions == 3


# The end of a job


@pytest.mark.parametrize("when", ["before", "after"])
async def test_how_a_job_ends_is_told_once(autojump_clock: MockClock, when: str) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        made = await peer.ask("submit", job="Clip", payload={"seconds": 1, "name": "x"})
        if when == "after":
            await rig.runtime.wait(made["job"])
        begun = await peer.ask("subscribe", topic=made["done"])
        assert begun["topic"] == made["done"]
        told = await peer.hear("done")
        assert told["outcome"] == {"type": "completed", "job": made["job"], "run": 1, "result": "x"}
        assert (await rig.runtime.get(made["job"])).terminal, "it was durable before"
        await trio.sleep(100)
        assert await peer.ask("ping") is None
        assert [message for message in peer.inbox if message["type"] == "done"] == []


async def test_every_way_to_end_is_told(autojump_clock: MockClock) -> None:
    async with open_rig(Clip, Note) as rig, rig.peer() as peer:
        cancelled = await rig.runtime.submit(Clip(50.0))
        rejected = await rig.runtime.submit(Note(), approval=triphase.Approval(5))
        for id in (cancelled.id, rejected.id, "nobody"):
            await peer.ask("subscribe", topic=f"job:done:{id}")
        await rig.runtime.cancel(cancelled)
        ends = [await peer.hear("done") for _ in range(3)]
        assert {end["job"]: end["outcome"]["type"] for end in ends} == {
            cancelled.id: "cancelled",
            rejected.id: "rejected",
            "nobody": "not_found",
        }


async def test_who_unsubscribes_from_an_end_is_not_told(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        job = await rig.runtime.submit(Clip(1.0))
        await peer.ask("subscribe", topic=f"job:done:{job.id}")
        assert await peer.ask("unsubscribe", topic=f"job:done:{job.id}") is None
        await job.wait()
        assert await peer.ask("ping") is None
        assert peer.inbox == []


# Who is slow


async def test_a_slow_client_is_told_and_catches_up_and_delays_nobody(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "RING", 16)
    manners = Manners(write_timeout=1e9, silence=1e9)
    async with (
        open_rig(Note, manners=manners) as rig,
        rig.peer() as quick,
        rig.peer(lockstep=True) as slow,
    ):
        for peer in (quick, slow):
            await peer.ask("subscribe", topic="jobs")
        # It reads nothing: its connection takes some messages, and no more.
        for _ in range(60):
            await done(rig, Note())
            await trio.sleep(0.1)
        assert seqs(await quick.events("jobs", head(rig))) == list(range(1, head(rig) + 1))
        behind = rig.gateway.statistics()
        assert behind.lag_max > 100
        assert (behind.catching_up, behind.lagged) == (1, 0)
        assert seqs(await slow.events("jobs", head(rig))) == list(range(1, head(rig) + 1))
        lagging = [each for each in slow.inbox if each["type"] == "lagging"]
        assert [each["topic"] for each in lagging] == ["jobs"]
        statistics = rig.gateway.statistics()
        assert (statistics.lagged, statistics.lag_max) == (1, 0)
        assert (statistics.subscriptions, statistics.catching_up) == (2, 0)
        assert statistics.deliveries == 2 * head(rig)
        assert statistics.bytes > statistics.deliveries * len('{"seq": 1}')


class Narrow(End):
    """A server's end that takes so many bytes at once, as a socket does, until it is opened."""

    def __init__(self, inner: Any, far: trio.testing.MemoryReceiveStream) -> None:
        super().__init__(inner)
        self.room = 2**20
        self.opened = trio.Event()
        self._far = far

    def write_nowait(self, data: bytes) -> int:
        """Take what there is room for."""
        if not self.room:
            raise BlockingIOError
        taken = data[: self.room]
        self.room -= len(taken)
        self._far.put_data(taken)
        return len(taken)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if not self.room:
            await self.opened.wait()
        await super().send_all(data)


async def test_who_is_stuck_in_the_middle_of_a_message_is_told_as_well(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", 16)
    manners = Manners(write_timeout=1e9, silence=1e9)
    ours, theirs = memory_stream_pair()
    narrow = Narrow(theirs, ours.receive_stream)
    async with open_rig(Note, manners=manners) as rig, rig.peer(ends=(End(ours), narrow)) as peer:
        await peer.ask("subscribe", topic="jobs")
        narrow.room = 50
        for _ in range(20):
            await done(rig, Note())
            await trio.sleep(0.1)
        assert rig.gateway.statistics().catching_up == 1
        narrow.opened.set()
        assert seqs(await peer.events("jobs", head(rig))) == list(range(1, head(rig) + 1))
        assert [each["type"] for each in peer.inbox if each["type"] != "events"] == ["lagging"]
        assert rig.gateway.statistics().lagged == 1


async def test_a_client_that_takes_nothing_loses_its_connection(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, rig.peer(lockstep=True) as slow:
        await slow.ask("subscribe", topic="jobs")
        began = trio.current_time()
        while rig.gateway.statistics().connections:
            await done(rig, Note())
            await trio.sleep(0.5)
        assert 30 <= trio.current_time() - began < 60
        assert (await slow.closed()).code == 1006


async def test_a_reader_of_the_log_is_spared_progress_that_is_old(
    autojump_clock: MockClock,
) -> None:
    @triphase.job()
    class Counting:
        @triphase.phase()
        async def count(self, ctx: triphase.Context) -> None:
            for number in range(10):
                await ctx.progress(number, total=10)
                await trio.sleep(1)

    async with open_rig(Counting) as rig, rig.peer() as peer:
        await peer.ask("subscribe", topic="jobs")
        await done(rig, Counting())
        live = await peer.events("jobs", head(rig))
        assert [event["type"] for event in live].count("phase.progress") == 10


async def test_what_is_left_out_of_the_log_is_no_gap(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RING", 2)
    monkeypatch.setattr(feed_module, "PAGE", 2)
    async with open_rig(Clip, Note) as rig:
        for _ in range(5):
            await rig.runtime.wait(await rig.runtime.submit(Note()))
        async with rig.peer() as peer:
            begun = await peer.ask("subscribe", topic="jobs?type=Clip", after=0)
            known = begun["after"]
            handle = await rig.runtime.submit(Clip())
            while True:
                batch = await peer.hear("events")
                assert batch["from"] <= known
                known = batch["to"]
                if any(event["type"] == "job.completed" for event in batch["events"]):
                    break
            assert batch["events"][-1]["job"] == handle.id


# Who makes a mistake


async def test_a_connection_that_cannot_be_looked_at_ends_and_no_other(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_rig(Note) as rig, rig.peer() as one, rig.peer() as other:
        broken, _ = rig.gateway.peers()
        look = Peer.look

        def fail(peer: Peer, now: float) -> None:
            assert peer is not broken, "as the test wants it"
            look(peer, now)

        monkeypatch.setattr(Peer, "look", fail)
        await one.closed()
        assert rig.gateway.peers() != [broken]
        assert await other.ask("ping") is None
        assert "as the test wants it" in caplog.text


async def test_nothing_is_said_to_a_client_that_is_being_closed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_front(Note, manners=Manners(heartbeat=1)) as front:
        client = front.connect()
        await client.send(upgrade())
        assert (await client.head())[0] == 101
        await client.send(front_frame(0x81, b'{"type":"hello"}'))
        # It is no text, so the connection is closed; and the client does not answer to that.
        await client.send(front_frame(0x82, b"x"))
        assert (await client.rest()).endswith(b"messages are text, not binary")
        assert not caplog.text
        assert await front.is_well()
