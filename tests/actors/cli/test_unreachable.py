"""What is told when there is no gateway, or none that talks with us; over real sockets."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Generator

import pytest

from triphase.cli.exits import Exit

from .conftest import Cli

COMMANDS = (("ls",), ("tail",), ("wait", "x"), ("cancel", "x"), ("queue", "ls"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_listens(cli: Cli, command: tuple[str, ...], host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"ws://{host}:{taken.getsockname()[1]}/ws"
    ran = cli(*command, "--url", url)
    assert (ran.code, ran.out) == (Exit.UNREACHABLE, "")
    assert ran.err == f"triphase: nobody listens at {url}: is `triphase serve` running there?\n"


@contextlib.contextmanager
def answering(status: int, body: str) -> Generator[str]:
    """Have a server that answers every request alike; gives its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.server_port}/ws"
        finally:
            server.shutdown()
            thread.join()


OURS = '{"error":{"code":"unsupported_subprotocol","message":"no version of it that I speak"}}'


@pytest.mark.parametrize(
    ("status", "body", "code", "told"),
    [
        (400, OURS, Exit.UNREACHABLE, "400: no version of it that I speak"),
        (401, '{"error":{"message":"a token is needed"}}', Exit.CONFLICT, "401: a token is needed"),
        (404, "<!DOCTYPE HTML>\n<html>not found</html>", Exit.UNREACHABLE, "404"),
        (404, "nothing\nhere", Exit.UNREACHABLE, "404: nothing here"),
        (404, "", Exit.UNREACHABLE, "404"),
        (200, '["a page"]', Exit.UNREACHABLE, '200: ["a page"]'),
        (503, "x" * 1000, Exit.UNREACHABLE, f"503: {'x' * 200}"),
    ],
)
def test_what_answers_has_its_reasons(
    cli: Cli, status: int, body: str, code: Exit, told: str
) -> None:
    with answering(status, body) as url:
        ran = cli("ls", "--url", url)
    place = "" if code is Exit.CONFLICT else f"{url}: "
    assert (ran.code, ran.err) == (code, f"triphase: {place}the server answered {told}\n")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:1", "ws://", "ws://a:b@host/ws"])
def test_what_is_no_url_is_refused(cli: Cli, url: str) -> None:
    ran = cli("ls", "--url", url)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "must be like ws://127.0.0.1:7117/ws" in ran.err
