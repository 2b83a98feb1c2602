"""Receivers that are slow, endless, broken or worse: a try ends all the same, and costs little."""

from __future__ import annotations

import gzip
import itertools

import pytest
import trio
import trio.testing
from hypothesis import given, settings, strategies as st

from triphase.hooks.addresses import Address
from triphase.hooks.answers import REASON_MOST, Answer, SendFailed
from triphase.hooks.bounds import Bounds
from triphase.hooks.sending import open_sender

from .receiving import OK, Script, leading_to, read_request, saying, speaking

URL = "http://a.example/"
BODY = b'{"n":1}'
NONE: dict[str, str] = {}
RESOLVER = leading_to("93.184.215.14")


async def try_once(there: Script, bounds: Bounds | None = None, url: str = URL) -> Answer | str:
    """Send once; return the answer, or why there is none."""
    async with open_sender(dial=there.dial, resolver=RESOLVER, bounds=bounds) as sender:
        try:
            return await sender.send(url, {}, BODY)
        except SendFailed as exc:
            return str(exc) if exc.retry else f"for good: {exc}"


# Slow


async def test_a_byte_a_minute_is_too_slow(autojump_clock: trio.testing.MockClock) -> None:
    async with speaking(saying([OK[i : i + 1] for i in range(len(OK))], pause=60)) as there:
        assert await try_once(there) == "a.example: nothing was answered for 10 s"
    assert trio.current_time() == pytest.approx(10)


async def test_a_byte_in_time_but_no_end_is_too_slow(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with speaking(saying([OK[i : i + 1] for i in range(len(OK))], pause=9)) as there:
        assert await try_once(there) == "a.example: no answer within 20 s"
    assert trio.current_time() == pytest.approx(20)


async def test_news_of_the_work_is_no_answer(autojump_clock: trio.testing.MockClock) -> None:
    news = b"HTTP/1.1 102 Processing\r\n\r\n"
    async with speaking(saying([b"HTTP/1.1 100 Continue\r\n\r\n", *[news] * 9], pause=9)) as there:
        assert await try_once(there) == "a.example: no answer within 20 s"
    assert trio.current_time() == pytest.approx(20)


async def test_news_of_the_work_may_come_before_the_answer() -> None:
    news = b"HTTP/1.1 102 Processing\r\n\r\n"
    async with speaking(saying([b"HTTP/1.1 100 Continue\r\n\r\n", news, OK])) as there:
        assert await try_once(there) == Answer(status=200, excerpt="ok")


async def test_a_status_counts_although_the_rest_never_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
    async with speaking(saying([head, b"so ", b"far"], pause=9)) as there:
        assert await try_once(there) == Answer(status=200, excerpt="so far")
    assert trio.current_time() == pytest.approx(20)


async def test_a_request_that_is_not_taken_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def say_nothing(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with speaking(say_nothing) as there:
        assert await try_once(there) == "a.example: the request was not taken in 10 s"


async def test_a_name_that_hangs_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(host: str, port: int) -> list[Address]:
        await trio.sleep_forever()
        raise AssertionError

    async with open_sender(resolver=hang) as sender:
        with pytest.raises(SendFailed, match=r"a\.example: not looked up within 5 s") as caught:
            await sender.send(URL, {}, BODY)
    assert caught.value.retry
    assert trio.current_time() == pytest.approx(5)


async def test_an_address_that_hangs_is_given_up_for_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with speaking(saying([OK])) as there:

        async def dial(address: Address, port: int) -> trio.abc.Stream:
            if str(address).endswith(".1"):
                await trio.sleep_forever()
            return await there.dial(address, port)

        names = leading_to("93.184.215.1", "93.184.215.2")
        async with open_sender(dial=dial, resolver=names) as sender:
            assert (await sender.send(URL, {}, BODY)).status == 200
    assert trio.current_time() == pytest.approx(5)
    assert there.dialled == [("93.184.215.2", 80)]


async def test_tls_that_hangs_is_given_up_and_the_connection_closed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    closed = trio.Event()

    async def speak(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass
        closed.set()

    async with speaking(speak) as there:
        failed = await try_once(there, url="https://a.example/")
        assert failed == "a.example: no TLS within 5 s"
        await closed.wait()


async def test_the_bounds_are_what_they_are_set_to(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with speaking(saying([OK[:9]], pause=600)) as there:
        assert await try_once(there, Bounds(read=2)) == "a.example: nothing was answered for 2 s"
        assert trio.current_time() == pytest.approx(2)
        assert await try_once(there, Bounds(total=3)) == "a.example: no answer within 3 s"
        assert trio.current_time() == pytest.approx(5)


# Endless


class Endless:
    """Says the same until nobody listens; counts the bytes."""

    def __init__(self, head: bytes, part: bytes) -> None:
        self.head, self.part = head, part
        self.said = 0
        self.closed = trio.Event()

    async def __call__(self, stream: trio.abc.Stream) -> None:
        await read_request(stream)
        try:
            for part in itertools.chain([self.head], itertools.repeat(self.part)):
                await stream.send_all(part)
                self.said += len(part)
        except trio.BrokenResourceError:
            self.closed.set()


async def bounded(head: bytes, part: bytes) -> Answer | str:
    """Try once to send to one that never ends; it has not been read for long, and is closed."""
    endless = Endless(head, part)
    async with speaking(endless) as there:
        outcome = await try_once(there)
        await endless.closed.wait()
    assert endless.said <= 64 * 1024 + len(part)
    return outcome


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", b"x" * 5000),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 500),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 70_000),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 100),
    ],
    ids=["length", "chunks", "until it closes", "trailers"],
)
async def test_gigabytes_of_body_are_not_read(head: bytes, part: bytes) -> None:
    answer = await bounded(head, part)
    assert isinstance(answer, Answer)
    assert (answer.status, len(answer.excerpt) <= 300) == (200, True)


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 100),
        (b"HTTP/1.1 200 ", b"x" * 1000),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 40),
        (b"", b"\r\n" * 400),
    ],
    ids=["headers", "reason", "informational", "nothing"],
)
async def test_a_head_without_an_end_is_not_read(head: bytes, part: bytes) -> None:
    assert isinstance(await bounded(head, part), str)


async def test_each_answer_has_its_own_bound() -> None:
    body = b"x" * 40_000
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 40000\r\n\r\n" + body

    async def speak(stream: trio.abc.Stream) -> None:
        for _ in range(3):
            await read_request(stream)
            await stream.send_all(answer)

    async with (
        speaking(speak) as there,
        open_sender(dial=there.dial, resolver=RESOLVER) as sender,
    ):
        for _ in range(3):
            assert await sender.send(URL, {}, BODY) == Answer(status=200, excerpt="x" * 300)
    assert len(there.dialled) == 1


# Broken


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"hello\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 099 No\r\n\r\n",
        b"HTTP/1.1 20 No\r\n\r\n",
        b"HTTP/1.1 -200 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00",
    ],
)
async def test_what_is_no_answer_is_none(said: bytes) -> None:
    async with speaking(saying([said] if said else [])) as there:
        failed = await try_once(there)
    assert isinstance(failed, str)
    assert failed.startswith("a.example: ")
    assert len(failed) > len("a.example: ")


async def test_what_is_said_of_it_is_short() -> None:
    async with speaking(saying([b"x" * 5000 + b"\r\n\r\n"])) as there:
        failed = await try_once(there)
    assert isinstance(failed, str)
    assert failed.startswith("a.example: illegal status line: ")
    assert len(failed) == REASON_MOST


async def test_an_answer_before_the_request_was_read_counts() -> None:
    async def dial(address: Address, port: int) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\n\r\nless!")
        await theirs.aclose()
        return ours

    async with open_sender(dial=dial, resolver=RESOLVER) as sender:
        assert await sender.send(URL, {}, BODY) == Answer(status=413, excerpt="less!")


async def test_a_body_that_breaks_does_not_undo_the_status() -> None:
    broken = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n"
    async with speaking(saying([broken])) as there:
        assert await try_once(there) == Answer(status=200, excerpt="abc")


async def test_an_excerpt_is_one_line_for_a_terminal() -> None:
    body = b"  a\r\n\x1b[31mred\x07\xff\xc3\xa9 <p>  \n\n\t."
    said = b"HTTP/1.1 500 No\r\nconnection: close\r\n\r\n" + body
    async with speaking(saying([said])) as there:
        answer = await try_once(there)
    assert isinstance(answer, Answer)
    assert answer.excerpt == "a [31mred �é <p> ."


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"gzip, gzip", b"x" * 1000])
async def test_what_is_compressed_is_not_unpacked(encoding: bytes) -> None:
    bomb = gzip.compress(b"a" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n"
    async with speaking(saying([head % (encoding, len(bomb)) + bomb])) as there:
        answer = await try_once(there)
    assert isinstance(answer, Answer)
    assert answer.status == 200
    assert "aaa" not in answer.excerpt


async def test_nothing_is_asked_for_that_would_have_to_be_unpacked() -> None:
    asked: list[bytes] = []

    async def speak(stream: trio.abc.Stream) -> None:
        asked.append(bytes(await stream.receive_some()))

    async with speaking(speak) as there:
        await try_once(there)
    assert asked[0].lower().split(b"\r\n") == [
        b"post / http/1.1",
        b"host: a.example",
        b"user-agent: triphase",
        b"content-length: 7",
        b"",
        b"",
    ]


async def test_no_cookie_is_kept() -> None:
    asked: list[bytes] = []

    async def speak(stream: trio.abc.Stream) -> None:
        for _ in range(2):
            data = b""
            while not data.endswith(b"}"):
                data += await stream.receive_some()
            asked.append(data)
            cookies = b"set-cookie: a=1; path=/\r\n" * 100
            await stream.send_all(b"HTTP/1.1 200 OK\r\n%bcontent-length: 0\r\n\r\n" % cookies)

    async with (
        speaking(speak) as there,
        open_sender(dial=there.dial, resolver=RESOLVER) as sender,
    ):
        for _ in range(2):
            await sender.send(URL, {}, BODY)
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert b"cookie" not in asked[1].lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        b"http://10.0.0.7/",
        b"//169.254.169.254/latest",
        b"file:///etc/passwd",
        b"https://user:word@[::1]:99999999/",
        b"http://[",
        b"\xff\xfe",
        b"",
        b"/" * 9000,
    ],
)
async def test_wherever_a_redirect_leads_it_is_an_answer(status: int, location: bytes) -> None:
    head = b"HTTP/1.1 %d Over there\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n"
    async with speaking(saying([head % (status, location)])) as there:
        assert await try_once(there) == Answer(status=status)
    assert there.dialled == [("93.184.215.14", 80)]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.binary(max_size=40)
        | st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
                b"content-length: 3\r\n",
                b"transfer-encoding: chunked\r\n",
                b"retry-after: 1\xe9\r\n",
                b"\r\n",
                b"3\r\nabc\r\n",
                b"0\r\n\r\n",
            ]
        ),
        max_size=8,
    )
)
def test_whatever_is_said_is_an_answer_or_none(parts: list[bytes]) -> None:
    async def main() -> None:
        async with speaking(saying(parts)) as there:
            result = await try_once(there)
            assert isinstance(result, str) or 100 <= result.status < 1000

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# Cancelled, and in a crowd


async def test_a_cancelled_try_closes_its_connection() -> None:
    waiting, closed = trio.Event(), trio.Event()

    async def speak(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        waiting.set()
        assert await stream.receive_some() == b""
        closed.set()

    async with (
        speaking(speak) as there,
        open_sender(dial=there.dial, resolver=RESOLVER) as sender,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(sender.send, URL, NONE, BODY)
        await waiting.wait()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await closed.wait()


async def test_a_try_that_is_cancelled_at_once_leaves_room_for_others() -> None:
    async with (
        speaking(saying([OK])) as there,
        open_sender(dial=there.dial, resolver=RESOLVER) as sender,
    ):
        for _ in range(3):
            with trio.CancelScope() as scope:
                scope.cancel()
                await sender.send(URL, {}, BODY)
            assert scope.cancelled_caught
        assert (await sender.send(URL, {}, BODY)).status == 200


async def test_leaving_the_block_closes_what_is_idle() -> None:
    closed = trio.Event()

    async def speak(stream: trio.abc.Stream) -> None:
        await saying([OK])(stream)
        assert await stream.receive_some() == b""
        closed.set()

    async with speaking(speak) as there:
        assert isinstance(await try_once(there), Answer)
        await closed.wait()


async def test_leaving_the_block_by_a_cancel_closes_it_too() -> None:
    closed = trio.Event()

    async def speak(stream: trio.abc.Stream) -> None:
        await saying([OK])(stream)
        assert await stream.receive_some() == b""
        closed.set()

    async with speaking(speak) as there:
        with trio.CancelScope() as scope:
            async with open_sender(dial=there.dial, resolver=RESOLVER) as sender:
                assert (await sender.send(URL, {}, BODY)).status == 200
                scope.cancel()
        await closed.wait()
