"""Hostile bytes at the front door: each ends its own connection, and nothing else."""

from __future__ import annotations

import contextlib
import json
from collections import Counter

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from triphase.gateway.host import Manners
from triphase.websocket import PIECES
from triphase_protocol.wire import Limits

from .front import Client, Front, frame, open_front, request, socket, upgrade
from .rig import Note, line


@pytest.mark.parametrize(
    "name", ["Sec-WebSocket-Protocol", "Connection", "Sec-WebSocket-Extensions", "Host", "X-Other"]
)
@pytest.mark.parametrize("value", ["\xff", "a, \xe9, b", "\x7f"])
async def test_a_byte_that_is_not_ascii_is_refused(
    autojump_clock: MockClock, name: str, value: str
) -> None:
    async with open_front() as front:
        assert await front.refused(upgrade({name: value})) == 400
        assert await front.refused(request("GET", "/healthz", headers={name: value})) == 400
        assert await front.is_well()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n",
        b"\n\n\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
        b"G\xc3\x84T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x00" * 40_000,
    ],
)
async def test_what_is_no_request_is_refused(autojump_clock: MockClock, data: bytes) -> None:
    async with open_front() as front:
        assert await front.refused(data) in (400, 505)
        assert await front.is_idle()
        assert await front.is_well()


async def test_who_connects_and_closes_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        await front.connect().stream.aclose()
        client = front.connect()
        await client.send("GET / HT")
        await client.stream.aclose()
        client = front.connect()
        await client.send(upgrade())
        await client.stream.aclose()
        assert await front.is_idle()
        assert await front.is_well()


async def test_who_says_nothing_is_closed_without_a_word(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        begun = trio.current_time()
        assert await front.say() == b""
        assert trio.current_time() - begun == 10
        assert await front.is_idle()


async def test_a_slow_head_is_given_up(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        begun = trio.current_time()

        async def trickle() -> None:
            for letter in request("GET", "/healthz", headers={"X": "y" * 1000}):
                await trio.sleep(1)
                await client.send(bytes([letter]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            answer = await client.answer()
            nursery.cancel_scope.cancel()
        assert (answer.status, answer.code) == (408, "timeout")
        assert trio.current_time() - begun == 10
        assert await front.is_idle()


@pytest.mark.parametrize("pieces", [1, 7, 1000])
async def test_a_head_is_no_larger_than_its_limit(autojump_clock: MockClock, pieces: int) -> None:
    async with open_front() as front:
        data = request("GET", "/healthz", headers={"X": "y" * 20_000})
        size = len(data) // pieces + 1
        parts = [data[begin : begin + size] for begin in range(0, len(data), size)]
        assert await front.refused(*parts) == 431
        fits = request("GET", "/healthz", headers={"X": "y" * 16_000})
        assert b"200 OK" in await front.say(fits, "GET / HTTP/1.0\r\n\r\n")
        assert await front.is_well()


CUT = None
"""It is closed without a word, as what is no frame is."""

BAD_FRAMES: list[tuple[str, int | None, bytes]] = [
    ("bad UTF-8", CUT, frame(0x81, b"\xff\xfe")),
    ("reserved bits", CUT, frame(0xF1, b"{}")),
    ("not masked", CUT, frame(0x81, b"{}", masked=False)),
    ("an unknown opcode", CUT, frame(0x83, b"{}")),
    ("an impossible length", CUT, b"\x81\xff" + b"\xff" * 8),
    ("a length of less digits", CUT, b"\x81\xfe\x00\x05" + bytes(4) + b"hello"),
    ("a rest without a begin", CUT, frame(0x80, b"rest")),
    ("a begin within a message", CUT, frame(0x01, b"{") + frame(0x81, b"}")),
    ("a ping in pieces", CUT, frame(0x09, b"are")),
    ("a ping that is too long", CUT, b"\x89\xfe\x00\x80" + bytes(4) + b"x" * 128),
    ("a close frame with an impossible code", CUT, frame(0x88, b"\x00\x01")),
    ("a close frame with half a code", CUT, frame(0x88, b"\x03")),
    ("a close frame with bad UTF-8", CUT, frame(0x88, b"\x03\xe8\xff")),
    ("a close frame", 1000, frame(0x88, b"\x03\xe8")),
    ("too long", 1009, b"\x81\xff" + (2**40).to_bytes(8, "big") + bytes(4) + b"x" * 2000),
    ("too long in pieces", 1009, frame(0x01, b"x" * 99) + frame(0x00, b"x" * 99) * 11),
    ("binary", 4400, frame(0x82, b"{}")),
    ("not JSON", 4400, frame(0x81, b"not json")),
    ("a JSON of another kind", 4400, frame(0x81, b"[]")),
    ("nothing", 4400, frame(0x81, b"")),
    ("a number that is none", 4400, frame(0x81, b'{"type":"wait","timeout":NaN}')),
    ("nested deeply", 4400, frame(0x81, b"[" * 100)),
    ("an unknown type", 4400, frame(0x81, b'{"type":"sing"}')),
    ("a type of the wrong type", 4400, frame(0x81, b'{"type":{}}')),
    ("a wrong field", 4400, frame(0x81, b'{"type":"hello","token":5}')),
    ("an unknown field", 4400, frame(0x81, b'{"type":"hello","colour":"red"}')),
    ("an id of the wrong type", 4400, frame(0x81, b'{"type":"ping","id":1}')),
]


@pytest.mark.parametrize(
    ("code", "data"), [each[1:] for each in BAD_FRAMES], ids=[each[0] for each in BAD_FRAMES]
)
@pytest.mark.parametrize("greeted", [False, True])
async def test_bad_frames_end_their_connection_and_no_other(
    autojump_clock: MockClock, code: int | None, data: bytes, greeted: bool
) -> None:
    manners = Manners(limits=Limits(message_bytes=1000))
    async with open_front(manners=manners) as front:
        async with socket(front) as other:
            await other.greet()
            client = await upgraded(front, greeted=greeted)
            await client.send(data)
            with trio.fail_after(100):
                assert close_code(await client.rest()) == code
            assert await other.ask("ping") is None
            assert front.door.counts.sockets == 1
        assert await nothing_is_left(front)


@pytest.mark.parametrize("type", ["ping", "submit", "subscribe", "statistics"])
async def test_a_command_before_hello_is_not_carried_out(
    autojump_clock: MockClock, type: str
) -> None:
    fields = {"submit": ',"job":"Note"', "subscribe": ',"topic":"jobs"'}.get(type, "")
    async with open_front(Note) as front:
        client = await upgraded(front, greeted=False)
        await client.send(frame(0x81, f'{{"type":"{type}","id":"1"{fields}}}'.encode()))
        assert close_code(await client.rest()) == 4401
        assert (await front.rig.runtime.find()).jobs == ()
        assert await nothing_is_left(front)


async def test_a_message_in_pieces_is_one_message(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = await upgraded(front)
        text = json.dumps({"type": "ping", "id": "é" * 60}, ensure_ascii=False).encode()
        letters = [text[at : at + 1] for at in range(len(text))]
        # A character may be cut, and a ping may come in between.
        pieces = [frame(0x01, letters[0]), *(frame(0x00, each) for each in letters[1:])]
        for piece in pieces:
            await client.send(piece + frame(0x00, b"") + frame(0x89, b"x"))
        await client.send(frame(0x80, b""))
        assert "é" * 60 in (await client.until(b'"result"')).decode("utf-8", "replace")


@pytest.mark.parametrize("letter", [b"", b"x"])
async def test_a_message_of_many_small_pieces_takes_little_memory(
    autojump_clock: MockClock, letter: bytes
) -> None:
    async with open_front() as front:
        client = await upgraded(front)
        await client.send(frame(0x01, b'{"type":"ping","id":"1","x":"'))
        for _ in range(20):
            await client.send(frame(0x00, letter) * 5000)
            await wait_all_tasks_blocked()
            [peer] = front.rig.gateway.peers()
            assert len(peer.socket._inner._message_parts) < PIECES + 110
        await client.send(frame(0x80, b'"}'))
        answer = await client.until(b"]}")
        assert b"unknown field 'x'" in answer
        await client.stream.aclose()
        assert await nothing_is_left(front)


# More than anybody needs


async def test_ten_thousand_subscriptions_are_asked_for_and_few_are_made(
    autojump_clock: MockClock,
) -> None:
    async with open_front(Note) as front, socket(front) as other:
        await other.greet()
        async with socket(front) as peer:
            await peer.greet()
            codes: Counter[str] = Counter()
            for number in range(10_000):
                await peer.say("subscribe", id=str(number), topic=f"jobs#{number}")
                if number % 100 == 99:
                    for _ in range(100):
                        codes[(await peer.hear("answer", "error")).get("code", "made")] += 1
            limit = Limits().subscriptions
            assert codes == {"made": limit, "limit": 10_000 - limit}
            assert front.rig.gateway.statistics().subscriptions == limit
            assert await other.ask("ping") is None
        await trio.sleep(10)
        assert front.rig.gateway.statistics().subscriptions == 0
        assert front.rig.gateway.host.sources.fanout.groups == 0


async def test_who_asks_and_never_reads_is_read_no_further(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front, socket(front) as other:
        await other.greet()
        client = connected(front, lockstep=True)
        await shake_hands(client)
        sent = 0
        with trio.move_on_after(20):
            for number in range(10_000):
                await client.send(frame(0x81, b'{"type":"ping","id":"%d"}' % number))
                sent += 1
        assert sent < 100
        assert await other.ask("ping") is None
        # What it does not take in time ends it.
        await trio.sleep(60)
        assert front.door.counts.sockets == 1
        assert front.door.counts.failures == 0


@pytest.mark.parametrize("opcode", [0x89, 0x8A])
async def test_a_flood_of_pings_delays_nobody(autojump_clock: MockClock, opcode: int) -> None:
    async with open_front(Note) as front, socket(front) as other:
        await other.greet()
        client = connected(front, lockstep=True)
        await shake_hands(client)

        async def flood() -> None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while True:
                    await client.send(frame(opcode, b"x" * 125))
                    await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            began = trio.current_time()
            for _ in range(10):
                assert await other.ask("ping") is None
            assert trio.current_time() - began < 1
            await trio.sleep(100)
            nursery.cancel_scope.cancel()
        await client.stream.aclose()
        await trio.sleep(100)
        assert front.door.counts.sockets == 1
        assert front.door.counts.failures == 0


async def test_who_follows_everything_and_reads_nothing_delays_nobody(
    autojump_clock: MockClock,
) -> None:
    async with open_front(Note) as front, socket(front) as other:
        await other.greet()
        await other.ask("subscribe", topic="jobs")
        client = connected(front, lockstep=True)
        await shake_hands(client)
        await client.send(frame(0x81, b'{"type":"subscribe","id":"1","topic":"jobs"}'))
        began = trio.current_time()
        for _ in range(20):
            await (await front.rig.runtime.submit(Note())).wait()
        head = front.rig.runtime.statistics().feed.last_seq
        assert len(await other.events("jobs", head)) == head
        assert trio.current_time() - began < 5
        await trio.sleep(100)
        assert front.rig.gateway.statistics().subscriptions == 1
        assert front.door.counts.sockets == 1


async def test_who_says_hello_and_no_more_is_closed(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = await upgraded(front)
        began = trio.current_time()
        await client.rest()
        assert 45 <= trio.current_time() - began <= 47
        assert await nothing_is_left(front)


PARTS = [
    upgrade()[:30],
    upgrade(),
    b"\x81",
    b"\x81\xfe\x01",
    frame(0x81, b'{"type":"subscribe","id":"1","topic":"jobs","after":0}')[:20],
    frame(0x01, b'{"type":"submit"'),
    frame(0x81, b'{"type":"subscribe","id":"1","topic":"jobs","after":0}'),
    frame(0x81, b'{"type":"wait","id":"1","job":"JOB"}'),
    frame(0x81, b'{"type":"submit","id":"1","job":"Note"}'),
]


@pytest.mark.parametrize("part", PARTS)
async def test_who_drops_half_way_leaves_nothing(autojump_clock: MockClock, part: bytes) -> None:
    async with open_front(Note) as front:
        job = await front.rig.runtime.submit(Note(), approval=True)
        whole = part.replace(b"JOB", job.id.encode())
        client = connected(front) if part.startswith(b"GET") else await upgraded(front)
        await client.send(whole)
        await client.stream.aclose()
        assert await nothing_is_left(front)


async def test_a_ping_after_the_close_frame_is_harmless(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        await client.send(upgrade())
        await client.head()
        await client.send(frame(0x81, b"{}"))
        await client.until(b"\x88")
        await client.send(frame(0x89, b"are you there"))
        await client.send(frame(0x89, b"are you there"))
        await client.rest()
        # Nobody has to look at it: else every client could fill the log.
        assert await nothing_is_left(front)


async def upgraded(front: Front, *, greeted: bool = True) -> Client:
    """Connect as a WebSocket, and say hello."""
    client = connected(front)
    await shake_hands(client, greeted=greeted)
    return client


def connected(front: Front, *, lockstep: bool = False) -> Client:
    """Connect by a line that the server can cut."""
    ours, theirs = line(lockstep=lockstep)
    front.nursery.start_soon(front.door.serve, theirs)
    return Client(ours)


async def shake_hands(client: Client, *, greeted: bool = True) -> None:
    await client.send(upgrade())
    assert (await client.head())[0] == 101
    if greeted:
        await client.send(frame(0x81, b'{"type":"hello"}'))
        await client.until(b"}}")


def close_code(data: bytes) -> int | None:
    """Return the code of the close frame that is the last thing that was sent."""
    at = data.rfind(b"\x88")
    return None if at < 0 else int.from_bytes(data[at + 2 : at + 4], "big")


async def nothing_is_left(front: Front) -> bool:
    """Return whether others are served, and every table is as if nobody had been there."""
    well, idle, counts = await front.is_well(), await front.is_idle(), front.door.counts
    gateway = front.rig.gateway.statistics()
    return (
        well
        and idle
        and (counts.sockets, counts.handshakes, counts.streams, counts.failures) == (0, 0, 0, 0)
        and (gateway.connections, gateway.subscriptions, gateway.waits) == (0, 0, 0)
        and front.rig.gateway.host.sources.fanout.groups == 0
        and front.rig.runtime.statistics().waiting == 0
    )
