"""The life of one connection: hello, signs of life, and how it ends."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from triphase.gateway.access import Identity, Token
from triphase.gateway.host import Manners
from triphase_protocol.wire import Close, Limits, Scope

from .rig import Clip, End, Note, open_rig
from .test_streams import Narrow

SECRET = "a secret of sixteen"
ANN = Token.of(SECRET, name="ann", scopes=(Scope.READ,))


async def test_hello_is_answered_with_what_the_client_needs_to_know(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, rig.peer(greeted=False) as peer:
        job = await rig.runtime.submit(Note())
        await job.wait()
        welcome = await peer.greet(client="test/1")
        assert welcome["server"].startswith("triphase/")
        assert welcome["epoch"] == rig.gateway.host.epoch
        assert welcome["head"] == rig.runtime.statistics().feed.last_seq
        assert welcome["limits"]["subscriptions"] == Limits().subscriptions
        assert welcome["scopes"] == ["control", "read", "submit", "work"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('{"type": "hello"}', Close.UNAUTHORIZED),
        ('{"type": "hello", "token": "a secret of sixteeN"}', Close.UNAUTHORIZED),
        ('{"type": "hello", "token": ""}', Close.UNAUTHORIZED),
        ('{"type": "ping", "id": "1"}', Close.UNAUTHORIZED),
        ('{"type": "hello", "token": 5}', Close.BAD_MESSAGE),
        ("{", Close.BAD_MESSAGE),
        (b"\x00\x01", Close.BAD_MESSAGE),
    ],
)
async def test_who_does_not_say_hello_rightly_is_sent_away(
    autojump_clock: MockClock, said: str | bytes, code: Close
) -> None:
    async with open_rig(Note, tokens=(ANN,)) as rig, rig.peer(greeted=False) as peer:
        await peer.socket._inner.send_message(said)
        assert (await peer.closed()).code == code
        await trio.sleep(1)
        assert rig.gateway.statistics().connections == 0


async def test_who_says_nothing_is_sent_away(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, rig.peer(greeted=False) as peer:
        began = trio.current_time()
        assert (await peer.closed()).code == Close.NO_HELLO
        assert trio.current_time() - began == pytest.approx(10, abs=0.1)
        await trio.sleep(1)
        assert rig.gateway.statistics().connections == 0


async def test_a_token_that_came_with_the_upgrade_is_enough(autojump_clock: MockClock) -> None:
    bob = Identity("bob", frozenset((Scope.SUBMIT,)))
    async with open_rig(Note, tokens=(ANN,)) as rig:
        async with rig.peer(greeted=False, identity=bob) as peer:
            assert (await peer.greet())["scopes"] == ["submit"]
        async with rig.peer(greeted=False, identity=bob) as peer:
            assert (await peer.greet(token=SECRET))["scopes"] == ["read"], "hello says more"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{"type": "hello"}', "hello comes once"),
        ("[]", "a message is a JSON object"),
        ("{", "not JSON"),
        ('{"type": "ping"}', "not a valid message"),
        (b"{}", "not binary"),
    ],
)
async def test_what_is_no_message_ends_the_connection(
    autojump_clock: MockClock, said: str | bytes, words: str
) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        await peer.socket._inner.send_message(said)
        closed = await peer.closed()
        assert closed.code == Close.BAD_MESSAGE
        assert words in closed.reason


async def test_an_id_that_waits_for_its_answer_cannot_be_used_again(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        job = await rig.runtime.submit(Clip(5.0))
        await peer.say("wait", id="1", job=job.id)
        await peer.say("ping", id="1")
        closed = await peer.closed()
        assert (closed.code, closed.reason) == (Close.BAD_MESSAGE, "id '1' is in use")


async def test_a_message_that_is_too_large_ends_the_connection(autojump_clock: MockClock) -> None:
    manners = Manners(limits=Limits(message_bytes=1000))
    async with open_rig(Note, manners=manners) as rig, rig.peer() as peer:
        await peer.say("get", id="1", job="x" * 2000)
        assert (await peer.closed()).code == Close.TOO_LARGE
        await trio.sleep(10)
        assert rig.gateway.statistics().connections == 0


async def test_a_client_that_goes_away_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig:
        job = await rig.runtime.submit(Clip(500.0))
        async with rig.peer() as peer:
            await peer.ask("subscribe", topic="jobs")
            await peer.ask("subscribe", topic=f"job:done:{job.id}")
            await peer.say("wait", id="1", job=job.id)
            await peer.ask("ping")
            assert rig.gateway.statistics().waits == 2
        await trio.sleep(1)
        assert rig.gateway.statistics().connections == 0
        assert rig.runtime.statistics().waiting == 0
        assert rig.gateway.host.sources.fanout.groups == 0


async def test_a_client_that_waits_hears_a_sign_of_life(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        began = trio.current_time()
        pulse = await peer.hear("pulse")
        assert pulse["head"] == 0
        assert trio.current_time() - began <= rig.gateway.host.manners.heartbeat + 1


async def test_a_client_that_is_silent_is_asked_and_one_that_is_dead_is_given_up(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, rig.peer() as living, rig.peer() as dead:
        # It answers nothing any more, not even a ping.
        assert isinstance(dead.socket.wire.stream, End)
        dead.socket.wire.stream.deaf = True
        began = trio.current_time()
        while rig.gateway.statistics().connections == 2:
            await living.hear("pulse")
        assert 45 <= trio.current_time() - began <= 61
        for _ in range(10):
            await living.hear("pulse")
        assert rig.gateway.statistics().connections == 1


class Mute(End):
    """A client's end, from which nothing is heard once it is mute."""

    mute = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.mute:
            await trio.lowlevel.checkpoint()
        else:
            await super().send_all(data)


@pytest.mark.parametrize(("room", "code"), [(2**20, Close.SILENT), (0, 1006)])
async def test_a_client_that_is_silent_is_told_why_it_is_given_up_if_that_need_not_wait(
    autojump_clock: MockClock, room: int, code: int
) -> None:
    ours, theirs = memory_stream_pair()
    mute, narrow = Mute(ours), Narrow(theirs, ours.receive_stream)
    async with open_rig(Note) as rig, rig.peer(ends=(mute, narrow)) as peer:
        mute.mute, narrow.room = True, room
        began = trio.current_time()
        closed = await peer.closed()
        assert closed.code == code
        assert 45 <= trio.current_time() - began <= 47
        await trio.sleep(1)
        assert rig.gateway.statistics().connections == 0


async def test_what_was_committed_before_the_end_is_told_before_it(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer:
        await peer.ask("subscribe", topic="jobs")
        job = await rig.runtime.submit(Note())
        await peer.say("wait", id="w", job=job.id)
        await job.wait()
        rig.nursery.start_soon(rig.gateway.say_bye, 1.0)
        await peer.hear("bye")
        told = [each for batch in peer.inbox for each in batch.get("events", ())]
        assert told[-1]["type"] == "job.completed"
        assert [each["id"] for each in peer.inbox if each["type"] == "answer"] == ["w"]


async def test_the_gateway_says_bye(autojump_clock: MockClock) -> None:
    async with open_rig(Note) as rig, rig.peer() as peer, rig.peer(lockstep=True) as stalled:
        await stalled.ask("subscribe", topic="jobs")
        rig.nursery.start_soon(rig.gateway.say_bye, 2.5)
        assert await peer.hear("bye") == {
            "type": "bye",
            "reason": "the server ends",
            "retry_after": 2.5,
        }
        assert (await peer.closed()).code == Close.RESTART
        await trio.sleep(3)
        assert rig.gateway.statistics().connections == 0
