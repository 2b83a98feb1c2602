"""A gateway under TLS, on a real port: who is trusted, and what is said about who is not."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trio
import trustme

import triphase
from triphase.client import Unreachable, connect, link
from triphase.gateway import Gateway, Token, serve_gateway
from triphase_protocol import Completed

from .front import Client, request
from .rig import Note

SECRET = "a secret of sixteen"
TOKEN = Token.of(SECRET, name="ann")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """What a client has that trusts the authority."""
    context = ssl.create_default_context()
    trust(context, authority)
    return context


def certified(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    """Return what a server has whose certificate is for this name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certify(context, authority, name)
    return context


def certify(context: ssl.SSLContext, authority: trustme.CA, name: str) -> None:
    """Give whoever has a context a certificate."""
    certificate: Any = authority.issue_cert(name)
    certificate.configure_cert(context)


def trust(context: ssl.SSLContext, authority: Any) -> None:
    """Have whoever has a context trust what this authority has certified."""
    authority.configure_trust(context)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None) -> AsyncGenerator[Gateway]:
    """Serve on a port that is free."""
    with trio.fail_after(60):
        async with (
            triphase.open_runtime([Note], store="memory:") as runtime,
            trio.open_nursery() as nursery,
        ):
            serve = partial(serve_gateway, runtime, port=0, tls=tls, tokens=[TOKEN])
            yield await nursery.start(serve)
            nursery.cancel_scope.cancel()


def url_of(gateway: Gateway, scheme: str) -> str:
    [url] = gateway.urls
    return f"{scheme}://{url.partition('://')[2]}"


def place_of(gateway: Gateway) -> tuple[str, int]:
    place = urlsplit(gateway.urls[0])
    return place.hostname or "", place.port or 0


async def test_a_client_works_under_tls(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with serving(certified(authority)) as gateway:
        assert gateway.urls[0].startswith("wss://127.0.0.1:")
        async with connect(gateway.urls[0], token=SECRET, tls=trusting) as client:
            reader = client.events(after=0)
            job = await client.submit(Note())
            assert await job.wait() == Completed(job=job.id, run=1, result=None)
            seen = [(await anext(reader)).type.value]
            while seen[-1] != "job.completed":
                seen.append((await anext(reader)).type.value)
            assert seen[0] == "job.submitted"
            large = await client.find(labels={"x": "y" * 900}, key="z" * 900)
            assert large.jobs == ()


async def test_http_works_under_tls(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with serving(certified(authority)) as gateway:
        base = url_of(gateway, "https").removesuffix("/ws")
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(verify=trusting, base_url=base, headers=headers) as client:
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            answer = await client.post("/api/jobs", json={"job": "Note"})
            assert answer.status_code == 201
            job = answer.json()["job"]
            waited = await client.get(f"/api/jobs/{job}/wait")
            assert waited.json()["outcome"]["type"] == "completed"
        host, port = place_of(gateway)
        secret = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=trusting)
        stream = Client(secret)
        await stream.send(request("GET", "/api/events?after=0", token=SECRET))
        await stream.until(b"event: job.completed")
        await trio.aclose_forcefully(secret)


@pytest.mark.parametrize(
    ("name", "trusts", "words"),
    [
        ("127.0.0.1", False, "certificate verify failed"),
        ("elsewhere.example", True, "certificate verify failed: IP address mismatch"),
    ],
)
async def test_a_certificate_that_is_wrong_is_told_at_once(
    authority: trustme.CA, trusting: ssl.SSLContext, name: str, trusts: bool, words: str
) -> None:
    async with serving(certified(authority, name)) as gateway:
        tls = trusting if trusts else None
        # However patient it is: it would be the same the next time.
        with pytest.raises(Unreachable, match=f"cannot be trusted: .*{words}"):
            async with connect(gateway.urls[0], token=SECRET, tls=tls, patience=10**6):
                pytest.fail("it is not trusted")


async def test_a_client_that_is_not_trusted_is_told_so(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    tls = certified(authority)
    trust(tls, authority)
    tls.verify_mode = ssl.CERT_REQUIRED
    async with serving(tls) as gateway:
        with pytest.raises(Unreachable, match="ended in the handshake"):
            async with connect(gateway.urls[0], token=SECRET, tls=trusting):
                pytest.fail("it has no certificate")
        certify(trusting, authority, "client.example")
        async with connect(gateway.urls[0], token=SECRET, tls=trusting) as client:
            assert await client.queues()


async def test_who_speaks_without_tls_is_told_and_hurts_no_other(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    async with (
        serving(certified(authority)) as gateway,
        connect(gateway.urls[0], token=SECRET, tls=trusting) as other,
    ):
        with pytest.raises(Unreachable, match=r"handshake|no WebSocket"):
            async with connect(url_of(gateway, "ws"), token=SECRET):
                pytest.fail("it speaks TLS only")
        for data in (
            b"",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"\xff" * 500,
        ):
            stream = await trio.open_tcp_stream(*place_of(gateway))
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(data)
                await stream.send_eof()
                while await stream.receive_some():
                    pass
            await stream.aclose()
        assert await other.queues()
        assert gateway.statistics().connections == 1


async def test_who_expects_tls_where_there_is_none_is_told(trusting: ssl.SSLContext) -> None:
    async with serving(None) as gateway:
        with pytest.raises(Unreachable, match=r"(?i)wrong.version.number|record layer failure"):
            async with connect(url_of(gateway, "wss"), token=SECRET, tls=trusting):
                pytest.fail("it does not speak TLS")


async def test_a_handshake_of_tls_has_the_deadline_of_all(
    trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "HANDSHAKE", 0.1)
    accepted: list[trio.SocketStream] = []

    async def be_silent(stream: trio.SocketStream) -> None:
        accepted.append(stream)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, be_silent, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        with trio.fail_after(60), pytest.raises(Unreachable, match="the handshake took more"):
            async with connect(f"wss://127.0.0.1:{port}/ws", tls=trusting):
                pytest.fail("nobody answers")
        # What was dialled is closed: there is an end behind what was said.
        with trio.fail_after(60):
            for stream in accepted:
                while await stream.receive_some():
                    pass
        nursery.cancel_scope.cancel()
