"""An HTTP client that is given to the sender: used as it is set up, and bounded all the same."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from triphase.hooks.answers import Answer, SendFailed
from triphase.hooks.bounds import Bounds
from triphase.hooks.sending import open_sender

from .receiving import Receiver, serving

URL = "https://a.example/hooks?x=1"
BODY = b'{"n":1}'

Handler = Callable[[httpx.Request], httpx.Response]


async def send_by(
    handler: Handler, *, bounds: Bounds | None = None, url: str = URL, **options: Any
) -> Answer | str:
    """Send once by a client whose transport is a function; return the answer, or why none."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler), **options) as client:
        return await send_with(client, bounds=bounds, url=url)


async def send_with(
    client: httpx.AsyncClient, *, bounds: Bounds | None = None, url: str = URL
) -> Answer | str:
    """Send once by a client; return the answer, or why there is none."""
    async with open_sender(client=client, bounds=bounds) as sender:
        try:
            return await sender.send(url, {"webhook-id": "h1"}, BODY)
        except SendFailed as exc:
            return str(exc) if exc.retry else f"for good: {exc}"


class Seen:
    """Answers each request with the same, and keeps it."""

    def __init__(self, status: int = 200, **answer: Any) -> None:
        self.status, self.answer = status, answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self.status, **self.answer)


# As it is set up


async def test_it_posts_the_webhook() -> None:
    seen = Seen(202, text="taken", headers={"retry-after": "7"})
    assert await send_by(seen) == Answer(status=202, excerpt="taken", retry_after=7)
    [request] = seen.requests
    assert (request.method, str(request.url), request.content) == ("POST", URL, BODY)
    assert request.headers["webhook-id"] == "h1"
    assert request.headers["content-length"] == "7"


async def test_it_keeps_its_headers_its_auth_and_its_cookies() -> None:
    seen = Seen(headers={"set-cookie": "b=2"})
    async with httpx.AsyncClient(
        transport=httpx.MockTransport(seen),
        headers={"user-agent": "mine", "x-of": "the client"},
        auth=("user", "word"),
        cookies={"a": "1"},
    ) as client:
        async with open_sender(client=client) as sender:
            await sender.send(URL, {}, BODY)
        # It is not closed, and has become no other.
        assert not client.is_closed
        assert client.headers["user-agent"] == "mine"
    headers = seen.requests[0].headers
    assert (headers["user-agent"], headers["x-of"]) == ("mine", "the client")
    assert headers["authorization"].startswith("Basic ")
    assert headers["cookie"] == "a=1"


async def test_what_is_sent_stands_above_its_headers() -> None:
    seen = Seen()
    await send_by(seen, headers={"webhook-id": "another"})
    assert seen.requests[0].headers.get_list("webhook-id") == ["h1"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_it_follows_no_redirect_although_it_would(status: int) -> None:
    seen = Seen(status, headers={"location": "http://10.0.0.7/"})
    assert await send_by(seen, follow_redirects=True) == Answer(status=status)
    assert len(seen.requests) == 1


@pytest.mark.parametrize("location", ["http://[", "//:x", "http://a.example:99999999/", "\x7f", ""])
async def test_a_redirect_to_nowhere_ends_the_try(location: str) -> None:
    ended = await send_by(Seen(302, headers={"location": location}))
    assert ended == Answer(status=302) or str(ended).startswith("a.example: Invalid URL")


@pytest.mark.parametrize("url", ["http://user:hunter2@a.example/", "ftp://a.example/", "http://"])
async def test_it_is_not_asked_for_what_is_no_url_to_send_to(url: str) -> None:
    seen = Seen()
    ended = await send_by(seen, url=url)
    assert str(ended).startswith("for good: nothing can be sent to the URL: ")
    assert "hunter2" not in str(ended)
    assert not seen.requests


async def test_its_auth_may_send_twice() -> None:
    seen = Seen(401, headers={"www-authenticate": 'Digest realm="r", nonce="n", qop="auth"'})
    assert await send_by(seen, auth=httpx.DigestAuth("user", "word")) == Answer(status=401)
    assert [request.content for request in seen.requests] == [BODY, BODY]


async def test_its_hook_may_read_the_answer() -> None:
    async def read(response: httpx.Response) -> None:
        await response.aread()

    said = httpx.ByteStream(b"  so it\n is ")
    hooks = {"response": [read]}
    assert await send_by(Seen(stream=said), event_hooks=hooks) == Answer(
        status=200, excerpt="so it is"
    )


async def test_its_hook_may_take_the_answer_away() -> None:
    async def take(response: httpx.Response) -> None:
        async for _ in response.aiter_raw():
            pass

    said = httpx.ByteStream(b"so it is")
    hooks = {"response": [take]}
    assert await send_by(Seen(stream=said), event_hooks=hooks) == Answer(status=200)


async def test_its_hook_may_raise_for_a_status() -> None:
    async def complain(response: httpx.Response) -> None:
        response.raise_for_status()

    hooks = {"response": [complain]}
    answer = await send_by(Seen(503, headers={"retry-after": "9"}), event_hooks=hooks)
    assert answer == Answer(status=503, retry_after=9)


# What it raises


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectError("All connection attempts failed"), "All connection attempts failed"),
        (httpx.ConnectTimeout(""), "ConnectTimeout"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (httpx.WriteTimeout(""), "WriteTimeout"),
        (httpx.PoolTimeout(""), "PoolTimeout"),
        (httpx.ReadError(""), "ReadError"),
        (httpx.WriteError("gone"), "gone"),
        (httpx.CloseError(""), "CloseError"),
        (httpx.ProxyError("407"), "407"),
        (httpx.RemoteProtocolError("illegal status line"), "illegal status line"),
        (httpx.DecodingError("bad gzip"), "bad gzip"),
        (httpx.TooManyRedirects("too many"), "too many"),
    ],
    ids=repr,
)
async def test_what_it_raises_is_tried_again(error: Exception, said: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    assert await send_by(fail) == f"a.example: {said}"


@pytest.mark.parametrize(
    "error",
    [
        httpx.LocalProtocolError("Illegal header value b'Bearer hunter2\\n'"),
        httpx.UnsupportedProtocol("hunter2"),
        httpx.InvalidURL("hunter2"),
        UnicodeEncodeError("ascii", "hunter2é", 7, 8, "hunter2"),
    ],
    ids=repr,
)
async def test_a_request_that_cannot_be_is_not_tried_again(error: Exception) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    # What the library says of it shows what was to be sent.
    name = type(error).__name__
    assert await send_by(fail) == f"for good: a.example: the request cannot be sent: {name}"


async def test_what_several_tasks_of_it_raise_is_one_failure() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        errors = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")]
        raise ExceptionGroup("two", [ExceptionGroup("inner", errors)])

    assert await send_by(fail) == "a.example: refused"


async def test_a_fault_of_its_own_is_not_hidden() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise LookupError("a fault")

    with pytest.raises(LookupError, match="a fault"):
        await send_by(fail)


# Bounded


class Dripping(httpx.AsyncByteStream):
    """Says the same again and again, with a pause of seconds before each part."""

    def __init__(self, part: bytes, pause: float = 0.0) -> None:
        self.part, self.pause = part, pause
        self.said = 0
        self.ended = self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                await trio.sleep(self.pause)
                self.said += len(self.part)
                yield self.part
        finally:
            self.ended = True

    async def aclose(self) -> None:
        """Remember it."""
        self.closed = True


async def test_gigabytes_of_body_are_not_read() -> None:
    endless = Dripping(b"x" * 1000)
    assert await send_by(Seen(stream=endless)) == Answer(status=200, excerpt="x" * 300)
    assert endless.ended
    assert endless.closed
    assert 64 * 1024 <= endless.said <= 64 * 1024 + 1000


async def test_a_byte_a_minute_is_too_slow(autojump_clock: trio.testing.MockClock) -> None:
    slow = Dripping(b"x", pause=60)
    assert await send_by(Seen(stream=slow)) == Answer(status=200)
    assert slow.ended
    assert slow.closed
    assert trio.current_time() == pytest.approx(20)


async def test_no_answer_is_too_slow(autojump_clock: trio.testing.MockClock) -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await trio.sleep_forever()
            raise AssertionError

    async with httpx.AsyncClient(transport=Silent()) as client:
        failed = await send_with(client, bounds=Bounds(total=3))
    assert failed == "a.example: no answer within 3 s"
    assert trio.current_time() == pytest.approx(3)


async def test_what_is_compressed_is_not_unpacked() -> None:
    bomb = gzip.compress(b"a" * 10_000_000)
    seen = Seen(stream=httpx.ByteStream(bomb), headers={"content-encoding": "gzip"})
    answer = await send_by(seen)
    assert isinstance(answer, Answer)
    assert "aaa" not in answer.excerpt


async def test_the_librarys_log_does_not_show_a_url_that_may_hold_a_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "httpx")
    answering = httpx.MockTransport(lambda _: httpx.Response(200))
    async with (
        httpx.AsyncClient(transport=answering) as client,
        open_sender(client=client) as sender,
    ):
        await sender.send("https://a.example/t0ken", {}, BODY)
        assert "t0ken" not in caplog.text
        await client.post("https://a.example/of-the-users-own")
    assert "of-the-users-own" in caplog.text


# Over the library's own transport


async def test_it_speaks_to_a_real_receiver() -> None:
    async with (
        serving(Receiver()) as receiver,
        httpx.AsyncClient(trust_env=False) as client,
        open_sender(client=client) as sender,
    ):
        for _ in range(2):
            answer = await sender.send(f"http://127.0.0.1:{receiver.port}/a", {}, BODY)
            assert answer == Answer(status=200, excerpt="ok")
    assert [received.connection for received in receiver.received] == [1, 1]
    assert [received.body for received in receiver.received] == [BODY, BODY]


async def test_an_endless_answer_is_left_and_its_connection_closed() -> None:
    closed = trio.Event()

    async def speak(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while True:
                    await stream.send_all(b"x" * 10_000)
            except trio.BrokenResourceError:
                closed.set()

    async with (
        serving(Receiver(), serve=speak) as receiver,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        answer = await send_with(client, url=f"http://127.0.0.1:{receiver.port}/")
        assert answer == Answer(status=200, excerpt="x" * 300)
        await closed.wait()


async def test_a_request_that_is_not_taken_leaves_no_warning() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        # What it has not read makes the close a reset.
        await stream.aclose()

    async with (
        serving(Receiver(), serve=hang_up) as receiver,
        httpx.AsyncClient(trust_env=False) as client,
        open_sender(client=client) as sender,
    ):
        with pytest.raises(SendFailed, match=r"^127\.0\.0\.1: .") as caught:
            await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, b"x" * 10_000_000)
    assert caught.value.retry


async def test_its_proxy_is_asked_for_the_whole_url() -> None:
    async with (
        serving(Receiver()) as proxy,
        httpx.AsyncClient(proxy=f"http://user:hunter2@127.0.0.1:{proxy.port}") as client,
    ):
        assert await send_with(client, url="http://a.example/b") == Answer(status=200, excerpt="ok")
    assert proxy.received[0].target == "http://a.example/b"
    assert proxy.received[0].headers["host"] == "a.example"


async def test_nobody_there_is_tried_again() -> None:
    async with serving(Receiver()) as receiver:
        url = f"http://127.0.0.2:{receiver.port}/"
        async with httpx.AsyncClient(trust_env=False) as client:
            assert str(await send_with(client, url=url)).startswith("127.0.0.2: ")


async def test_what_cannot_be_a_name_is_not_tried_again() -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        failed = await send_with(client, url=f"http://{'a' * 64}.example/")
    # What it is called depends on the version of Python.
    said = re.escape(f"for good: {'a' * 64}.example: the request cannot be sent: ")
    assert re.fullmatch(f"{said}Unicode(Encode)?Error", str(failed))
