"""Which address a name leads to is decided once; and what is no URL to send to."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
import trio

from triphase.hooks.addresses import Address, Allowed
from triphase.hooks.answers import SendFailed
from triphase.hooks.sending import HttpSender, open_sender

from .receiving import OK, Names, leading_to, saying, speaking

BODY = b'{"n":1}'
PUBLIC, PRIVATE = "93.184.215.14", "10.0.0.7"
CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


async def failure_of(sender: HttpSender, url: str) -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        await sender.send(url, {}, BODY)
    return caught.value


async def test_the_address_that_was_checked_is_the_one_that_is_reached() -> None:
    names = Names([[PUBLIC], [PRIVATE]])
    async with (
        speaking(saying([CLOSING])) as there,
        open_sender(dial=there.dial, resolver=names.resolve) as sender,
    ):
        assert (await sender.send("http://a.example/", {}, BODY)).status == 200
        # Nobody asks between the check and the connection; the next connection asks, and checks.
        assert names.asked == [("a.example", 80)]
        failed = await failure_of(sender, "http://a.example/")
    assert there.dialled == [(PUBLIC, 80)]
    assert str(failed) == (
        "a.example: 10.0.0.7 is a private address, to which nothing is sent unless it is allowed"
    )
    assert failed.retry


@pytest.mark.parametrize("addresses", [(PUBLIC, PRIVATE), (PRIVATE, PUBLIC), (PUBLIC, "::1")])
async def test_one_address_that_may_not_be_reached_is_enough(addresses: tuple[str, ...]) -> None:
    async with (
        speaking(saying([OK])) as there,
        open_sender(dial=there.dial, resolver=leading_to(*addresses)) as sender,
    ):
        assert (await failure_of(sender, "https://a.example/")).retry
    assert not there.dialled


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:10.0.0.7]",
        "[64:ff9b::a00:7]",
        "[2002:a00:7::1]",
        "[fe80::1%eth0]",
        "[fd00::1]",
    ],
)
async def test_an_address_in_the_url_is_checked_and_not_tried_again(host: str) -> None:
    async with (
        speaking(saying([OK])) as there,
        open_sender(dial=there.dial, resolver=leading_to(PUBLIC)) as sender,
    ):
        failed = await failure_of(sender, f"http://{host}/")
    assert "to which nothing is sent unless it is allowed" in str(failed)
    assert not failed.retry
    assert not there.dialled


async def test_a_public_address_in_the_url_is_not_looked_up() -> None:
    names = Names([[PRIVATE]])
    async with (
        speaking(saying([OK])) as there,
        open_sender(dial=there.dial, resolver=names.resolve) as sender,
    ):
        for host in (PUBLIC, "[2606:4700::1111]", "[::ffff:93.184.215.14]"):
            await sender.send(f"http://{host}:8000/", {}, BODY)
    dialled = [ip_address(address) for address, _ in there.dialled]
    assert dialled == [ip_address(each) for each in (PUBLIC, "2606:4700::1111", "::ffff:5db8:d70e")]
    assert not names.asked


async def test_what_is_allowed_is_reached() -> None:
    async with (
        speaking(saying([OK])) as there,
        open_sender(
            dial=there.dial,
            resolver=leading_to(PRIVATE, PUBLIC),
            allowed=Allowed.of(["hooks.internal", "192.168.0.0/16"]),
        ) as sender,
    ):
        assert (await sender.send("http://hooks.internal/", {}, BODY)).status == 200
        assert (await sender.send("http://192.168.3.4/", {}, BODY)).status == 200
        await failure_of(sender, "http://other.internal/")
    assert there.dialled == [(PRIVATE, 80), ("192.168.3.4", 80)]


async def test_of_many_addresses_a_few_are_tried_each_once() -> None:
    dialled: list[str] = []

    async def refuse(address: Address, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        dialled.append(str(address))
        raise OSError(errno.ECONNREFUSED, "Connection refused")

    many = [f"93.184.215.{n}" for n in (1, 1, 2, 3, 4, 5, 6, 7, 8, 9)]
    async with open_sender(dial=refuse, resolver=leading_to(*many)) as sender:
        failed = await failure_of(sender, "http://a.example/")
    assert dialled == [f"93.184.215.{n}" for n in range(1, 9)]
    assert str(failed).startswith("a.example: 93.184.215.1: Connection refused; 93.184.215.2: ")
    assert failed.retry


async def test_a_name_that_leads_nowhere_is_tried_again() -> None:
    async def unknown(host: str, port: int) -> Sequence[Address]:
        await trio.lowlevel.checkpoint()
        raise OSError(-2, "Name or service not known")

    async with open_sender(resolver=unknown) as sender:
        failed = await failure_of(sender, "http://a.example/")
        assert (str(failed), failed.retry) == ("a.example: Name or service not known", True)
    async with open_sender(resolver=leading_to()) as sender:
        failed = await failure_of(sender, "http://a.example/")
        assert (str(failed), failed.retry) == ("a.example: it has no address", True)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "scheme"),
        ("a.example/x", "scheme"),
        ("//a.example/", "scheme"),
        ("ftp://a.example/", "scheme is 'ftp'"),
        ("file:///etc/passwd", "scheme is 'file'"),
        ("gopher://a.example/", "scheme is 'gopher'"),
        ("unix:///run/x.sock", "scheme is 'unix'"),
        ("ws://a.example/", "scheme is 'ws'"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http://:80/", "no host"),
        ("http://user:hunter2@a.example/", "a user name or a password"),
        ("http://hunter2@a.example/", "a user name or a password"),
        ("http://@a.example/", "a user name or a password"),
        ("http://a.example:0/", "port 0"),
        ("http://a.example:65536/", "cannot be read"),
        ("http://a.example:x/", "cannot be read"),
        ("http://[::1/", "cannot be read"),
        ("http://user:hunter2/3@a.example/", "cannot be read"),
        ("http://1.2.3.256/", "cannot be read"),
        ("http://a<b>.example/", "in two ways"),
        ("http://a.example/a b", "a character"),
        ("http://a.example/\r\nx: y", "a character"),
        ("http://a\t.example/", "a character"),
        ("http://ä.example/", "a character"),
        ("http://a.example/ä", "a character"),
        ("http://a.example/\ud800", "a character"),
    ],
)
async def test_what_is_no_url_to_send_to_is_refused_for_good(url: str, why: str) -> None:
    async with speaking(saying([OK])) as there, open_sender(dial=there.dial) as sender:
        failed = await failure_of(sender, url)
    assert why in str(failed)
    assert "hunter2" not in str(failed)
    assert not failed.retry
    assert not there.dialled


@pytest.mark.parametrize("name", ["x\r\ny", "x y", ""])
async def test_a_header_that_would_be_two_is_not_sent(name: str) -> None:
    async with (
        speaking(saying([OK])) as there,
        open_sender(dial=there.dial, resolver=leading_to(PUBLIC)) as sender,
    ):
        with pytest.raises(SendFailed) as caught:
            await sender.send("http://a.example/", {name: "value"}, BODY)
    assert not caught.value.retry


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        ("http://A.example?x=1#secret", "/?x=1", "a.example"),
        ("http://a.example/a/../b/./c//d", "/a/../b/./c//d", "a.example"),
        (
            'http://a.example/%7e%2f;a=[b]\'{c}|?d[]="e"^',
            '/%7e%2f;a=[b]\'{c}|?d[]="e"^',
            "a.example",
        ),
        ("http://a.example:80/", "/", "a.example"),
        ("http://a.example:443/", "/", "a.example:443"),
        ("http://xn--bcher-kva.example/", "/", "xn--bcher-kva.example"),
    ],
)
async def test_a_url_is_asked_for_as_it_is_written(url: str, line: str, host: str) -> None:
    asked: list[bytes] = []

    async def speak(stream: trio.abc.Stream) -> None:
        asked.append(bytes(await stream.receive_some()))
        await saying([OK])(stream)

    async with (
        speaking(speak) as there,
        open_sender(dial=there.dial, resolver=leading_to(PUBLIC)) as sender,
    ):
        await sender.send(url, {}, BODY)
    first, *headers = asked[0].decode().split("\r\n")
    assert first == f"POST {line} HTTP/1.1"
    assert f"host: {host}" in [header.lower() for header in headers]


async def test_an_address_that_is_the_host_is_named_once() -> None:
    async def dial(address: Address, port: int) -> trio.abc.Stream:
        # As trio words it.
        words = f"Error connecting to ('{address}', {port}): Connection refused"
        raise OSError(errno.ECONNREFUSED, words)

    async with open_sender(dial=dial, allowed=Allowed.of(["127.0.0.1"])) as sender:
        failed = await failure_of(sender, "http://127.0.0.1:9/")
    assert str(failed) == "127.0.0.1: Connection refused"
    assert failed.retry
