"""Whatever a client sends, the gateway lives, answers as it says, and keeps nothing of it.

Three kinds of nonsense: bytes at the door, frames of a WebSocket, and messages of the protocol.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import struct
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Final

import attrs
import trio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock

from triphase.gateway.host import Manners
from triphase.gateway.requests import Requests
from triphase.websocket import SocketClosed
from triphase_protocol import JobState
from triphase_protocol.codec import tags_of
from triphase_protocol.wire import REQUESTS, Close, Hello, Limits, read_reply

from .front import Front, open_front, request, upgrade
from .rig import Clip, Note, Peer, Rig, open_rig

MANNERS: Final = Manners(
    limits=Limits(message_bytes=3000, subscriptions=3, waits=4, requests=3), write_timeout=5
)

CLOSES: Final = {1000, 1002, 1005, 1006, 1007, 1009} | {Close.UNAUTHORIZED, Close.BAD_MESSAGE}
"""The codes with which the gateway may close a connection for what a client has sent."""


class Mistakes(logging.Handler):
    """Collects what is told to the log as a mistake."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))


@contextlib.contextmanager
def no_mistakes() -> Generator[None]:
    """Fail if the program tells the log of a mistake."""
    mistakes, root = Mistakes(), logging.getLogger()
    root.addHandler(mistakes)
    try:
        yield
    finally:
        root.removeHandler(mistakes)
    assert mistakes.told == []


def run(main: Callable[..., Awaitable[None]], *args: object) -> None:
    """Run in virtual time; every example has a clock and a loop of its own."""
    with no_mistakes():
        trio.run(main, *args, clock=MockClock(autojump_threshold=0), strict_exception_groups=True)


# Bytes at the door


def heads() -> st.SearchStrategy[bytes]:
    """Make requests, and what is nearly one."""
    whole = st.sampled_from(
        [
            upgrade(),
            request("GET", "/healthz"),
            request("GET", "/api/jobs?limit=1"),
            request("POST", "/api/jobs", {"job": "Note"}),
            request("GET", "/api/events?after=0"),
            request("GET", "/metrics"),
        ]
    )

    @st.composite
    def broken(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(whole))
        for _ in range(draw(st.integers(0, 4))):
            begin = draw(st.integers(0, len(data) - 1))
            end = begin + draw(st.integers(0, 12))
            data[begin:end] = draw(st.sampled_from(PIECES) | st.binary(max_size=8))
            data = data or bytearray(b" ")
        return bytes(data)

    return whole | broken() | st.binary(max_size=200)


PIECES: Final = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b":",
    b" ",
    b"chunked",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Expect: 100-continue\r\n",
    b"HTTP/9.9",
    b"%00%ff",
    b"?after=99999999999999999999&",
    b"?limit=-1&",
    b"Last-Event-ID: 9999999999999999999\r\n",
]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Return data in pieces."""
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in itertools.pairwise(at)]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(heads(), min_size=1, max_size=4).map(b"".join),
    st.lists(st.integers(0, 4000), max_size=4),
    st.booleans(),
)
def test_any_bytes_at_the_door(data: bytes, places: list[int], leaves: bool) -> None:
    async def main() -> None:
        async with open_front(Note, manners=MANNERS) as front:
            client = front.connect()
            for piece in cut(data, places):
                await client.send(piece)
                await trio.sleep(0.01)
            if not leaves:
                with trio.move_on_after(200):
                    await client.rest()
            await client.stream.aclose()
            await is_as_before(front)

    run(main)


async def is_as_before(front: Front) -> None:
    """Check that another client is served, and that nothing is left of those that were there."""
    assert await front.is_well()
    assert await front.is_idle()
    counts, gateway = front.door.counts, front.rig.gateway
    assert (counts.failures, counts.sockets, counts.handshakes, counts.streams) == (0, 0, 0, 0)
    assert gateway.statistics().connections == 0
    assert gateway.host.sources.fanout.groups == 0
    assert front.rig.runtime.statistics().waiting == 0


# Frames of a WebSocket


@attrs.frozen
class Frame:
    """A frame, that may say of itself what is not so."""

    first: int
    payload: bytes
    masked: bool
    says: int | None

    def __bytes__(self) -> bytes:
        """Return it as it travels."""
        size = len(self.payload) if self.says is None else self.says
        bit = 0x80 if self.masked else 0
        if size < 126:
            head = struct.pack("!BB", self.first, bit | size)
        elif size < 2**16:
            head = struct.pack("!BBH", self.first, bit | 126, size)
        else:
            head = struct.pack("!BBQ", self.first, bit | 127, size)
        return head + (bytes(4) if self.masked else b"") + self.payload


def frames() -> st.SearchStrategy[Frame]:
    """Make frames; most of them are sound."""
    said = st.sampled_from(
        [
            b'{"type":"hello"}',
            b'{"type":"ping","id":"1"}',
            b'{"type":"subscribe","id":"2","topic":"jobs","after":0}',
            b'{"type":"wait","id":"3","job":"nobody"}',
            b'{"type":"submit","id":"4","job":"Note"}',
            b"{",
            b"\xff\xfe",
            b"",
            b"x" * 4000,
        ]
    )
    closes = st.sampled_from(
        [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x00\x01", b"\x03", b"\x03\xe8\xff"]
    )
    payload = said | said | closes | st.binary(max_size=130)
    sound = st.builds(
        Frame, st.sampled_from([0x81, 0x81, 0x81, 0x89, 0x8A]), payload, st.just(True), st.none()
    )
    parts = st.builds(
        Frame,
        st.sampled_from([0x01, 0x00, 0x80, 0x02, 0x82, 0x88]),
        payload,
        st.just(True),
        st.none(),
    )
    wrong = st.builds(
        Frame,
        st.integers(0, 255),
        payload,
        st.booleans(),
        st.none() | st.sampled_from([0, 1, 125, 126, 65535, 2**20, 2**40, 2**63 - 1, 2**64 - 1]),
    )
    return sound | sound | parts | wrong


@settings(max_examples=60, deadline=None)
@given(
    st.lists(frames(), min_size=1, max_size=8).map(lambda each: b"".join(map(bytes, each))),
    st.lists(st.integers(0, 4000), max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_any_frames_of_a_websocket(
    data: bytes, places: list[int], greeted: bool, leaves: bool
) -> None:
    async def main() -> None:
        async with open_front(Note, manners=MANNERS) as front:
            client = front.connect()
            await client.send(upgrade())
            assert (await client.head())[0] == 101
            if greeted:
                await client.send(bytes(Frame(0x81, b'{"type":"hello"}', masked=True, says=None)))
            for piece in cut(data, places):
                with contextlib.suppress(trio.BrokenResourceError):
                    await client.send(piece)
                await trio.sleep(0.01)
            if not leaves:
                with trio.move_on_after(200):
                    check_frames(await client.rest())
            await client.stream.aclose()
            await is_as_before(front)

    run(main)


def check_frames(data: bytes) -> None:
    """Check that what a gateway has sent are whole frames, with messages, and a known close."""
    while data:
        first, size = data[0], data[1]
        assert not size & 0x80, "a server masks nothing"
        begin = 2
        if size == 126:
            begin, size = 4, int.from_bytes(data[2:4], "big")
        elif size == 127:
            begin, size = 10, int.from_bytes(data[2:10], "big")
        payload, data = data[begin : begin + size], data[begin + size :]
        assert len(payload) == size, "half a frame"
        if first == 0x81:
            assert read_reply(payload) is not None
            assert b'"internal"' not in payload
        elif first == 0x88 and payload:
            assert int.from_bytes(payload[:2], "big") in CLOSES | {Close.NO_HELLO}
        else:
            assert first in (0x88, 0x89, 0x8A)


# Messages of the protocol

NUMBERS: Final = st.sampled_from(
    [
        0,
        1,
        -1,
        1.5,
        -0.0,
        1e308,
        -1e308,
        1e-300,
        2**31,
        2**53,
        2**63,
        -(2**63),
        2**64,
        10**400,
        True,
    ]
)
TEXTS: Final = st.sampled_from(
    ["", "x", "JOB", "GATED", "Note", "media", "\0", "é" * 70]
) | st.text(max_size=5)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
TOPICS: Final = st.sampled_from(
    [
        "jobs",
        "jobs#2",
        "jobs?queue=media",
        "jobs?type=Note&label=a%3Db",
        "jobs?event=job.completed",
        "jobs?event=nope",
        "job:JOB",
        "job:nope",
        "job:done:JOB",
        "job:done:GATED",
        "job:done:nope",
        "job:done:nope#2",
        "",
    ]
)
FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "id": st.sampled_from(["1", "2", "3", "x" * 64, "x" * 65, "", 5, None]),
    "job": st.sampled_from(["JOB", "GATED", "DONE", "nope", "Note", "Clip"]),
    "jobs": st.lists(st.sampled_from(["JOB", "GATED", "DONE", "nope"]), max_size=6),
    "payload": st.just(dict[str, Any]()) | st.fixed_dictionaries({"seconds": NUMBERS}),
    "queue": st.sampled_from(["default", "media", "nope"]),
    "topic": TOPICS,
    "states": st.lists(st.sampled_from([each.value for each in JobState]), max_size=2),
    "labels": st.dictionaries(TEXTS, TEXTS, max_size=2),
    "from_phase": st.sampled_from(["cut", "write", "nope"]),
    "phase": st.sampled_from(["cut", "write", "nope"]),
    "after": st.sampled_from([0, 1, 5, 10**6]) | st.sampled_from(["JOB", "nope"]),
    "key": st.sampled_from(["a", "b"]),
    "hook": st.sampled_from(["a", "b"]),
    "timeout": NUMBERS,
    "request": st.integers(1, 25).map(lambda number: f"fresh {number}"),
}
"""Values of the fields that are often right; others are anything."""


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Make a message: a request, with some of its fields, of which most are of the right kind."""
    kind = draw(st.sampled_from((*REQUESTS, *REQUESTS, Hello)))
    names = [field.name for field in attrs.fields(kind)]
    required = [field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING]
    chosen = draw(st.lists(st.sampled_from(names), max_size=3)) if names else []
    said: dict[str, Any] = {"type": tags_of([kind])[kind]}
    for name in {*required, *chosen} - {"id"}:
        right = FIELDS.get(name, NUMBERS | st.none())
        said[name] = draw(st.one_of(right, right, right, VALUES))
    if kind is not Hello:
        said["id"] = "fresh" if draw(st.integers(0, 9)) else draw(FIELDS["id"])
    match draw(st.integers(0, 30)):
        case 0:
            said[draw(TEXTS)] = draw(VALUES)
        case 1:
            said["type"] = draw(VALUES)
        case 2:
            del said[draw(st.sampled_from(sorted(said)))]
        case _:
            pass
    return said


STEPS: Final = st.lists(
    st.tuples(st.integers(0, 2), messages() | messages() | st.sampled_from(["sleep", "drop"])),
    min_size=1,
    max_size=25,
)


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_any_messages_of_several_clients(steps: list[tuple[int, dict[str, Any] | str]]) -> None:
    async def main() -> None:
        async with open_rig(Clip, Note, manners=MANNERS) as rig:
            names = await some_jobs(rig)
            crowd = Crowd(rig, names)
            async with trio.open_nursery() as nursery:
                for who, step in steps:
                    await crowd.take(nursery, who, step)
                await trio.sleep(300)
                crowd.check()
                nursery.cancel_scope.cancel()
            await trio.sleep(1)
            gateway = rig.gateway.statistics()
            assert (gateway.connections, gateway.subscriptions, gateway.waits) == (0, 0, 0)
            assert rig.gateway.host.sources.fanout.groups == 0
            assert rig.runtime.statistics().waiting == 0

    run(main)


async def some_jobs(rig: Rig) -> dict[str, str]:
    """Return ids of a job that runs, one that waits for approval, and one that has ended."""
    done = await rig.runtime.submit(Note())
    await done.wait()
    gated = await rig.runtime.submit(Note(), approval=True)
    running = await rig.runtime.submit(Clip(1e6))
    return {"JOB": running.id, "GATED": gated.id, "DONE": done.id}


@attrs.define(eq=False)
class Crowd:
    """Some clients, and what each of them has asked."""

    rig: Rig
    names: dict[str, str]
    peers: dict[int, Peer] = attrs.field(factory=dict[int, Peer])
    served: dict[int, Requests] = attrs.field(factory=dict[int, Requests])
    scopes: dict[int, trio.CancelScope] = attrs.field(factory=dict[int, trio.CancelScope])
    asked: dict[int, dict[str, dict[str, Any]]] = attrs.field(
        factory=dict[int, dict[str, dict[str, Any]]]
    )
    number: int = 0

    async def take(self, nursery: trio.Nursery, who: int, step: dict[str, Any] | str) -> None:
        """Have one client do something; one that is not there comes first."""
        if step == "sleep":
            await trio.sleep(1)
            return
        if who not in self.peers:
            await nursery.start(self._be, who)
        if isinstance(step, str):
            self.scopes[who].cancel()
            await trio.sleep(0.1)
            return
        text = json.dumps(step)
        for name, id in self.names.items():
            text = text.replace(name, id)
        self.number += 1
        said: dict[str, Any] = json.loads(text)
        if said.get("id") == "fresh":
            said["id"] = f"fresh {self.number}"
            self.asked[who][said["id"]] = said
        with contextlib.suppress(SocketClosed):
            await self.peers[who].socket.send(json.dumps(said).encode())

    async def _be(self, who: int, task_status: trio.TaskStatus[None]) -> None:
        known = set(self.rig.gateway.peers())
        with trio.CancelScope() as self.scopes[who]:
            async with self.rig.peer() as peer:
                [there] = set(self.rig.gateway.peers()) - known
                assert there.requests is not None
                self.peers[who], self.asked[who] = peer, {}
                self.served[who] = there.requests
                task_status.started()
                closed = await self._listen(who, peer)
                assert closed in CLOSES, closed
        self.peers.pop(who, None)

    async def _listen(self, who: int, peer: Peer) -> int:
        try:
            while True:
                reply: dict[str, Any] = json.loads(await peer.socket.receive())
                assert reply.get("code") != "internal", (reply, self.asked[who])
                if reply["type"] in ("answer", "error"):
                    self.asked[who].pop(str(reply["id"]), None)
        except SocketClosed as exc:
            return exc.code

    def check(self) -> None:
        """Check that each client that is there has all its answers, but those of its waits."""
        for who in self.peers:
            waiting = {
                id: said
                for id, said in self.asked[who].items()
                if said["type"] in ("wait", "wait_all")
            }
            assert self.asked[who] == waiting
            requests = self.served[who]
            assert requests._ids >= set(waiting)
            assert len(requests._ids) <= MANNERS.limits.waits + 1
            assert requests._slots.borrowed_tokens == 0
