"""The conversation in HTTP: what is one request and what is not, and how long anybody may take."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import trio
from hypothesis import HealthCheck, given, settings, strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from triphase.gateway.exchanges import Refusal, parse_target
from triphase.gateway.host import Manners
from triphase_protocol.wire import Limits

from .front import open_front, request, upgrade
from .rig import Clip, Note

CHUNKED = {"Transfer-Encoding": "chunked"}


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


# One request after the other


async def test_a_connection_has_many_requests(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        for _ in range(5):
            answer = await client.ask("GET", "/healthz")
            assert (answer.status, answer.json) == (200, {"status": "ok"})
            assert "connection" not in answer.headers
        assert (await client.ask("GET", "/nothing")).status == 404
        assert (await client.ask("GET", "/healthz")).status == 200
        assert front.door.counts.connections == 1


async def test_pipelined_requests_are_answered_in_their_order(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        client = front.connect()
        await client.send(
            request("GET", "/healthz")
            + request("POST", "/api/jobs", {"job": "Note"})
            + request("HEAD", "/healthz")
            + request("GET", "/nothing")
            + request("GET", "/readyz", headers={"Connection": "close"})
            + request("GET", "/healthz")
        )
        statuses = [(await client.answer(body=place != 2)).status for place in range(5)]
        assert statuses == [200, 201, 200, 404, 200]
        assert await client.rest() == b""


async def test_who_asks_for_the_end_gets_it(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        for head in (
            request("GET", "/healthz", headers={"Connection": "close"}),
            b"GET /healthz HTTP/1.0\r\n\r\n",
            b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        ):
            begun = trio.current_time()
            client = front.connect()
            await client.send(head)
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await client.rest() == b""
            assert trio.current_time() == begun


async def test_an_idle_connection_is_closed_after_a_minute(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        await client.ask("GET", "/healthz")
        await trio.sleep(59)
        assert (await client.ask("GET", "/healthz")).status == 200
        begun = trio.current_time()
        assert await client.rest() == b""
        assert trio.current_time() - begun == 60


async def test_the_second_head_has_its_time_too(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        await client.ask("GET", "/healthz")
        await trio.sleep(20)
        await client.send("GET /healthz HTTP/1.1\r\n")
        begun = trio.current_time()
        assert (await client.answer()).status == 408
        assert trio.current_time() - begun == 10


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/api/jobs", "/api/statistics", "/metrics", "/x"]
)
async def test_head_is_get_without_the_body(path: str, autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        # The figures of the second scrape have other sizes.
        await client.ask("GET", path)
        whole = await client.ask("GET", path)
        head = await client.ask("HEAD", path)
        assert (head.status, head.body) == (whole.status, b"")
        assert head.headers.keys() == whole.headers.keys()
        assert head.headers["content-type"] == whole.headers["content-type"]
        if path != "/metrics":
            assert head.headers == whole.headers
        assert len(whole.body) == int(whole.headers["content-length"]) > 0
        assert (await client.ask("GET", "/healthz")).status == 200


async def test_head_of_what_is_no_request_is_answered_without_a_body(
    autojump_clock: MockClock,
) -> None:
    async with open_front() as front:
        found = await front.say(request("HEAD", "/%zz"))
        assert found.startswith(b"HTTP/1.1 400 ")
        assert found.endswith(b"\r\n\r\n")
        assert await front.is_well()


async def test_head_of_a_stream_is_not_the_stream(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        answer = await client.ask("HEAD", "/api/events")
        assert answer.headers["content-type"] == "text/event-stream"
        with trio.fail_after(5):
            assert await client.rest() == b""
        assert front.door.counts.streams == 0


# Bodies


async def test_a_body_comes_whole_or_in_chunks(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        client = front.connect()
        data = json.dumps({"job": "Clip", "payload": {"name": "n" * 200_000}}).encode()
        for part in (1000, len(data)):
            pieces = [data[begin : begin + part] for begin in range(0, len(data), part)]
            await client.send(request("POST", "/api/jobs", headers=CHUNKED) + chunks(*pieces))
            job = (await client.answer()).json["job"]
            found = await client.ask("GET", f"/api/jobs/{job}")
            assert len(found.json["job"]["payload"]["name"]) == 200_000
        with_more = b"1;name=value\r\n{\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n"
        await client.send(request("POST", "/api/jobs", headers=CHUNKED) + with_more)
        assert (await client.answer()).code == "invalid_value"
        assert (await client.ask("GET", "/healthz")).status == 200


async def test_a_body_of_get_is_no_request(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        for method in ("GET", "HEAD"):
            inner = request("GET", "/nothing")
            head = request(method, "/healthz", headers={"Content-Length": str(len(inner))})
            await client.send(head + inner)
            assert (await client.answer(body=method == "GET")).status == 200
            await wait_all_tasks_blocked()
            assert client.buffer == b""
            assert (await client.ask("GET", "/healthz")).status == 200


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (411, request("POST", "/api/jobs")),
        (400, request("POST", "/api/jobs", headers={"Content-Length": "2, 3"}) + b"{}"),
        (400, request("POST", "/x", headers={"Content-Length": "2\r\nContent-Length: 3"}) + b"{}"),
        (400, request("POST", "/api/jobs", headers={"Content-Length": "-1"})),
        (400, request("POST", "/api/jobs", headers={"Content-Length": "+2"}) + b"{}"),
        (400, request("POST", "/api/jobs", headers={"Content-Length": "0x2"}) + b"{}"),
        (400, request("POST", "/api/jobs", headers={"Content-Length": "9" * 30})),
        (413, request("POST", "/api/jobs", headers={"Content-Length": "1001"})),
        (413, request("POST", "/api/jobs", headers=CHUNKED) + chunks(b"x" * 600, b"x" * 600)),
        (400, request("POST", "/x", headers={**CHUNKED, "Content-Length": "2"}) + chunks(b"{}")),
        (501, request("POST", "/x", headers={"Transfer-Encoding": "gzip, chunked"})),
        (501, request("POST", "/x", headers={"Transfer-Encoding": "identity"}) + b"{}"),
        (400, b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, request("POST", "/api/jobs", headers=CHUNKED) + b"xyz\r\n{}\r\n0\r\n\r\n"),
        (400, request("POST", "/api/jobs", headers=CHUNKED) + b"-2\r\n{}\r\n0\r\n\r\n"),
        (400, request("POST", "/api/jobs", headers=CHUNKED) + b"2\r\n{}garbage"),
        (400, request("POST", "/api/jobs", headers=CHUNKED) + b"f" * 40 + b"\r\n"),
        (431, request("POST", "/api/jobs", headers=CHUNKED) + b"2;" + b"x" * 40_000),
        (505, b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n"),
        (505, b"GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n"),
    ],
)
async def test_a_body_that_is_not_sound_ends_the_connection(
    status: int, data: bytes, autojump_clock: MockClock
) -> None:
    manners = Manners(limits=Limits(message_bytes=1000))
    async with open_front(Note, manners=manners) as front:
        if status == 411:
            # Nothing is ambiguous here: there is no body.
            client = front.connect()
            await client.send(data)
            assert (await client.answer()).status == status
            assert (await client.ask("GET", "/healthz")).status == 200
        else:
            assert await front.refused(data) == status
        assert (await front.ask("GET", "/api/jobs")).json["jobs"] == []
        assert await front.is_well()


async def test_a_body_that_ends_early_is_refused(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        client = front.connect()
        await client.send(request("POST", "/api/jobs", headers={"Content-Length": "100"}) + b"{}")
        assert isinstance(client.stream, trio.abc.HalfCloseableStream)
        await client.stream.send_eof()
        assert (await client.answer()).status == 400
        assert await front.is_well()


async def test_a_slow_body_is_given_up(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect()
        await client.send(request("POST", "/api/jobs", headers={"Content-Length": "1000"}))
        begun = trio.current_time()

        async def trickle() -> None:
            while True:
                await client.send(" ")
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            assert (await client.answer()).status == 408
            nursery.cancel_scope.cancel()
        assert trio.current_time() - begun == 60
        assert await front.is_idle()


async def test_a_body_is_asked_for_only_if_it_is_taken(autojump_clock: MockClock) -> None:
    expecting = {"Expect": "100-continue", "Content-Length": "14"}
    async with open_front(Note, tokens=True) as front:
        client = front.connect()
        head = request("POST", "/api/jobs", headers=expecting, token="submitter")
        await client.send(head)
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        await client.send('{"job":"Note"}')
        assert (await client.answer()).status == 201
        # Who may not, or asks for what is not there, is told so before.
        for head in (
            request("POST", "/api/jobs", headers=expecting),
            request("POST", "/api/nothing", headers=expecting, token="submitter"),
            request(
                "POST",
                "/api/jobs",
                headers={"Expect": "100-continue", "Content-Length": "10000000"},
                token="submitter",
            ),
        ):
            client = front.connect()
            await client.send(head)
            answer = await client.answer()
            assert answer.status in (401, 404, 413)
            assert answer.headers["connection"] == "close"
            assert await client.rest() == b""


# Targets


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", ("",)),
        ("/a/b", ("a", "b")),
        ("/a/", ("a", "")),
        ("//a", ("", "a")),
        ("/a%2Fb/c", ("a/b", "c")),
        ("/%C3%A4?x", ("ä",)),
        ("/a+b", ("a+b",)),
        ("http://host/a", ("a",)),
        ("HTTPS://host:1?b=c", ("",)),
        ("/..%2f..", ("../..",)),
    ],
)
def test_a_path_is_read(target: str, path: tuple[str, ...]) -> None:
    assert parse_target(target.replace("?x", ""))[0] == path


def test_a_query_is_read() -> None:
    assert parse_target("/a?x=1&y=a%26b+c&x=&z=%C3%A4")[1] == (
        ("x", "1"),
        ("y", "a&b c"),
        ("x", ""),
        ("z", "ä"),
    )


@pytest.mark.parametrize(
    "target",
    [
        *(
            "*",
            "a",
            "a:80",
            "/%",
            "/%4",
            "/%zz",
            "/a%ff",
            "/?a=%ff",
            "/#a",
            "/?a=b#c",
            "/?a",
            "/?&",
        ),
        *("/?" + "&".join(f"a{n}=b" for n in range(101)), "ftp://host/a"),
    ],
)
def test_a_target_that_is_not_well_formed_is_refused(target: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_target(target)
    assert caught.value.status == 400


# Clients that do not read, and clients that leave


async def test_who_reads_no_answer_is_cut_after_half_a_minute(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        client = front.connect(lockstep=True)
        await client.send(request("GET", "/healthz"))
        await trio.sleep(29)
        assert front.door.counts.connections == 1
        await trio.sleep(2)
        assert front.door.counts.connections == 0
        assert await front.is_well()


async def test_who_reads_a_large_answer_slowly_has_all_of_it(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        name = "n" * 500_000
        job = (
            await front.ask("POST", "/api/jobs", {"job": "Clip", "payload": {"name": name}})
        ).json["job"]
        client = front.connect(lockstep=True)
        await client.send(request("GET", f"/api/jobs/{job}"))
        begun = trio.current_time()
        _, headers = await client.head()
        while len(client.buffer) < int(headers["content-length"]):
            await trio.sleep(20)
            assert await client.more()
        assert json.loads(client.buffer)["job"]["payload"]["name"] == name
        assert trio.current_time() - begun > 100


async def test_a_wait_ends_when_its_client_leaves(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        job = (
            await front.ask("POST", "/api/jobs", {"job": "Clip", "payload": {"seconds": 1000}})
        ).json
        client = front.connect()
        await client.send(request("GET", f"/api/jobs/{job['job']}/wait?timeout=300"))
        await trio.sleep(5)
        assert front.rig.runtime.statistics().waiting == 1
        await client.stream.aclose()
        await trio.sleep(1)
        assert front.rig.runtime.statistics().waiting == 0
        assert front.door.counts.connections == 0
        assert await front.is_well()


@pytest.mark.parametrize("much", [False, True])
async def test_what_comes_during_a_wait_is_the_next_request(
    much: bool, autojump_clock: MockClock
) -> None:
    async with open_front(Clip) as front:
        job = (
            await front.ask("POST", "/api/jobs", {"job": "Clip", "payload": {"seconds": 9}})
        ).json
        client = front.connect()
        await client.send(request("GET", f"/api/jobs/{job['job']}/wait"))
        await trio.sleep(1)
        count = 2000 if much else 1
        await client.send(request("GET", "/healthz") * count)
        assert (await client.answer()).json["outcome"]["type"] == "completed"
        for _ in range(count):
            assert (await client.answer()).json == {"status": "ok"}
        assert await front.is_well()


async def test_during_a_wait_no_more_is_read_than_is_kept(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        payload = {"seconds": 100}
        job = (await front.ask("POST", "/api/jobs", {"job": "Clip", "payload": payload})).json
        client = front.connect(lockstep=True)
        await client.send(request("GET", f"/api/jobs/{job['job']}/wait"))
        taken = 0
        with trio.move_on_after(5):
            while True:
                await client.send(b"x" * 10_000)
                taken += 10_000
        assert taken < 50_000
        await trio.aclose_forcefully(client.stream)
        assert await front.is_idle()


# Whatever comes


def heads() -> st.SearchStrategy[bytes]:
    """Heads that are sound but for some bytes."""
    sound = st.sampled_from(
        [
            request("GET", "/healthz"),
            request("POST", "/api/jobs", {"job": "Note", "payload": {}}),
            request("POST", "/api/jobs", headers=CHUNKED) + chunks(b'{"job":', b'"Note"}'),
            request("GET", "/api/events?after=0&event=job.failed", headers={"Last-Event-ID": "1"}),
            request("GET", "/api/jobs?state=queued&label=a%3Db&limit=5"),
            upgrade({"Origin": "http://localhost", "Authorization": "Bearer abc"}),
            upgrade() + b"\x81\x80\x00\x00\x00\x00",
        ]
    )
    change = st.tuples(st.integers(0, 400), st.integers(0, 12), st.binary(max_size=6))

    def changed(drawn: tuple[bytes, list[tuple[int, int, bytes]]]) -> bytes:
        data, changes = drawn
        for place, removed, added in changes:
            data = data[:place] + added + data[place + removed :]
        return data

    return st.tuples(sound, st.lists(change, max_size=4)).map(changed)


WORDS = st.sampled_from(
    (
        b"GET|POST| |/ws|/api/jobs|HTTP/1.1|\r\n|\n|:|Host|a|Upgrade|websocket|Connection|"
        b"Content-Length|Transfer-Encoding|chunked|Sec-WebSocket-Key|13|\xff|\x00|0\r\n\r\n|%|?|\t|,|;"
    ).split(b"|")
)
SOUP = st.lists(WORDS, max_size=40).map(b"".join)


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """Yield the bytes in pieces."""
    begin = 0
    for place in sorted(place % (len(data) + 1) for place in places):
        if place > begin:
            yield data[begin:place]
            begin = place
    if begin < len(data):
        yield data[begin:]


@given(
    data=st.one_of(st.binary(max_size=300), SOUP, heads()),
    places=st.lists(st.integers(0, 500), max_size=4),
    leaves=st.booleans(),
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
def test_whatever_comes_is_answered_or_cut_and_leaves_nothing(
    data: bytes, places: list[int], leaves: bool
) -> None:
    async def main() -> None:
        async with open_front(Note) as front:
            client = front.connect()
            try:
                for piece in cut(data, places):
                    await client.send(piece)
            except trio.BrokenResourceError:
                pass
            if leaves:
                await client.stream.aclose()
            else:
                with trio.move_on_after(200):
                    await client.rest()
                # Where only the server falls silent, there is a stream of events, or a socket.
                found = client.buffer
                assert not found or found.startswith(b"HTTP/1.1 "), found
                status = int(found[9:12]) if found else 0
                assert status != 500
                await client.stream.aclose()
            assert await front.is_idle()
            assert await front.is_well()

    trio.run(main, clock=MockClock(autojump_threshold=0))
