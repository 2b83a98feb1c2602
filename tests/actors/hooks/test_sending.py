"""Sending over real sockets: connections, names, TLS."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
import trio
import trustme

from triphase.hooks.addresses import Allowed
from triphase.hooks.answers import Sender, SendFailed
from triphase.hooks.sending import open_sender

from .receiving import OK, Names, Receiver, leading_to, serving

BODY = b'{"n":1}'
LOOPBACK = Allowed.of(["127.0.0.1", "::1"])


async def test_a_body_is_posted_as_it_is() -> None:
    async with serving(Receiver()) as receiver, open_sender(allowed=LOOPBACK) as opened:
        sender: Sender = opened
        url = f"http://127.0.0.1:{receiver.port}/hooks/a?b=c%20d"
        answer = await sender.send(url, {"webhook-id": "h1", "content-type": "a/b"}, BODY)
    assert (answer.status, answer.retry_after, answer.excerpt) == (200, None, "ok")
    [received] = receiver.received
    assert (received.method, received.target, received.body) == ("POST", "/hooks/a?b=c%20d", BODY)
    assert received.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "triphase",
        "webhook-id": "h1",
        "content-type": "a/b",
        "content-length": "7",
    }


async def test_a_connection_is_used_again_and_the_name_not_looked_up_again() -> None:
    names = Names([["127.0.0.1"]])
    async with (
        serving(Receiver()) as receiver,
        open_sender(allowed=LOOPBACK, resolver=names.resolve) as sender,
    ):
        for path in "abc":
            await sender.send(f"http://hooks.example:{receiver.port}/{path}", {}, BODY)
    assert [received.target for received in receiver.received] == ["/a", "/b", "/c"]
    assert receiver.connections == 1
    assert names.asked == [("hooks.example", receiver.port)]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_another_host_at_the_same_address_has_a_connection_of_its_own() -> None:
    async with (
        serving(Receiver()) as receiver,
        open_sender(allowed=LOOPBACK, resolver=leading_to("127.0.0.1")) as sender,
    ):
        for host in ("a.example", "b.example", "a.example"):
            await sender.send(f"http://{host}:{receiver.port}/", {}, BODY)
    assert [received.connection for received in receiver.received] == [1, 2, 1]


async def test_a_connection_that_the_receiver_closes_is_made_again() -> None:
    closing = Receiver(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    async with serving(closing) as receiver, open_sender(allowed=LOOPBACK) as sender:
        for _ in range(2):
            answer = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, BODY)
            assert answer.status == 200
    assert receiver.connections == 2


async def test_a_connection_that_went_while_idle_is_made_again() -> None:
    # Says nothing of it, and closes.
    answers = Receiver()
    gone = trio.Event()

    async def serve_one(stream: trio.abc.Stream) -> None:
        await answers.answer_one(stream, 1)
        await stream.aclose()
        gone.set()

    async with (
        serving(answers, serve=serve_one) as receiver,
        open_sender(allowed=LOOPBACK) as sender,
    ):
        url = f"http://127.0.0.1:{receiver.port}/"
        assert (await sender.send(url, {}, BODY)).status == 200
        await gone.wait()
        assert (await sender.send(url, {}, BODY)).status == 200
    assert len(receiver.received) == 2


async def test_ipv6_is_spoken() -> None:
    with trio.socket.socket(socket.AF_INET6) as probe:
        try:
            await probe.bind(("::1", 0))
        except OSError as exc:
            pytest.skip(f"no IPv6 on this machine: {exc}")
    async with serving(Receiver(), "::1") as receiver, open_sender(allowed=LOOPBACK) as sender:
        url = f"http://[::1]:{receiver.port}/"
        assert (await sender.send(url, {}, BODY)).status == 200
    assert receiver.received[0].headers["host"] == f"[::1]:{receiver.port}"


async def test_the_next_address_is_tried_if_nobody_is_at_the_first() -> None:
    async with (
        serving(Receiver()) as receiver,
        open_sender(allowed=LOOPBACK, resolver=leading_to("::1", "127.0.0.1")) as sender,
    ):
        url = f"http://hooks.example:{receiver.port}/"
        assert (await sender.send(url, {}, BODY)).status == 200


async def test_nobody_there_is_said_for_each_address() -> None:
    async with (
        serving(Receiver()) as receiver,
        open_sender(
            allowed=Allowed.of(["127.0.0.0/8"]), resolver=leading_to("127.0.0.2")
        ) as sender,
    ):
        with pytest.raises(SendFailed, match=r"hooks\.example: 127\.0\.0\.2: .*refused") as caught:
            await sender.send(f"http://hooks.example:{receiver.port}/", {}, BODY)
    assert caught.value.retry


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(Receiver()) as receiver, open_sender(allowed=LOOPBACK) as sender:
        answer = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, BODY)
    assert answer.status == 200


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with serving(Receiver()) as private:
        location = f"http://127.0.0.1:{private.port}/".encode()
        head = b"HTTP/1.1 302 Found\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % location
        async with serving(Receiver(head)) as receiver, open_sender(allowed=LOOPBACK) as sender:
            answer = await sender.send(f"http://127.0.0.1:{receiver.port}/", {}, BODY)
    assert answer.status == 302
    assert private.connections == 0


# The machine's resolver


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "017700000001"])
async def test_whatever_the_machine_takes_for_this_machine_is_refused(host: str) -> None:
    async with serving(Receiver()) as receiver, open_sender() as sender:
        with pytest.raises(SendFailed, match="a loopback address") as caught:
            await sender.send(f"http://{host}:{receiver.port}/", {}, BODY)
    assert receiver.connections == 0
    assert caught.value.retry


async def test_a_name_that_is_allowed_is_reached_through_the_machines_resolver() -> None:
    async with (
        serving(Receiver()) as receiver,
        open_sender(allowed=Allowed.of(["localhost"])) as sender,
    ):
        assert (await sender.send(f"http://LocalHost:{receiver.port}/", {}, BODY)).status == 200


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_what_cannot_be_a_name_is_not_tried_again(host: str) -> None:
    async with open_sender() as sender:
        with pytest.raises(SendFailed, match="is no name of a host") as caught:
            await sender.send(f"http://{host}/", {}, BODY)
    assert not caught.value.retry


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: Any) -> ssl.SSLContext:
    """What a sender has that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def certified(authority: Any, name: str) -> ssl.SSLContext:
    """Return what a receiver has whose certificate is for this name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_is_begun_under_the_name_of_the_url(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    receiver = Receiver(tls=certified(authority, "hooks.example"))

    def remember(_: object, name: str | None, context: object) -> None:
        receiver.names.append(name)

    assert receiver.tls is not None
    receiver.tls.sni_callback = remember
    async with (
        serving(receiver),
        open_sender(allowed=LOOPBACK, tls=trusting, resolver=leading_to("127.0.0.1")) as sender,
    ):
        for _ in range(2):
            answer = await sender.send(f"https://hooks.example:{receiver.port}/", {}, BODY)
            assert answer.status == 200
    assert receiver.names == ["hooks.example"]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_a_certificate_for_another_name_is_refused(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    receiver = Receiver(tls=certified(authority, "other.example"))
    async with (
        serving(receiver),
        open_sender(allowed=LOOPBACK, tls=trusting, resolver=leading_to("127.0.0.1")) as sender,
    ):
        with pytest.raises(
            SendFailed, match=r"TLS failed: .*not valid for 'hooks\.example'"
        ) as caught:
            await sender.send(f"https://hooks.example:{receiver.port}/", {}, BODY)
    assert caught.value.retry
    assert not receiver.received


async def test_a_certificate_that_nobody_vouches_for_is_refused(authority: trustme.CA) -> None:
    receiver = Receiver(tls=certified(authority, "127.0.0.1"))
    async with serving(receiver), open_sender(allowed=LOOPBACK) as sender:
        with pytest.raises(SendFailed, match=r"127\.0\.0\.1: TLS failed: .*issuer certificate"):
            await sender.send(f"https://127.0.0.1:{receiver.port}/", {}, BODY)
    assert not receiver.received


async def test_who_speaks_no_tls_is_told_apart(trusting: ssl.SSLContext) -> None:
    async def serve_plainly(stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(OK)

    async with (
        serving(Receiver(), serve=serve_plainly) as receiver,
        open_sender(allowed=LOOPBACK, tls=trusting) as sender,
    ):
        with pytest.raises(SendFailed, match=r"TLS failed: (wrong version number|record layer)"):
            await sender.send(f"https://127.0.0.1:{receiver.port}/", {}, BODY)
