"""A web server for one page, which tells it what it hears."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import h11
import trio
from tests.actors.gateway.sites import Told

TYPES = {".html": b"text/html", ".mjs": b"text/javascript"}


@asynccontextmanager
async def serve_page(folder: Path) -> AsyncGenerator[tuple[str, Told]]:
    """Serve a folder; what is posted, a list of JSON objects, was told. Gives the origin too."""
    told = Told()
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, partial(_serve, folder, told), [listener])
        yield f"http://127.0.0.1:{port}", told
        nursery.cancel_scope.cancel()


async def _serve(folder: Path, told: Told, stream: trio.SocketStream) -> None:
    """Answer one request."""
    connection = h11.Connection(h11.SERVER)
    request, body = h11.Request(method="GET", target="/", headers=[("Host", "")]), b""
    async with stream:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.ConnectionClosed):
                return
        status, kind, content = 204, b"text/plain", b""
        if request.method == b"POST":
            for value in json.loads(body):
                told.add(value)
        else:
            name = request.target.decode("ascii").partition("?")[0].removeprefix("/")
            file = folder / name
            kind = TYPES.get(file.suffix, kind)
            status, content = (200, file.read_bytes()) if file.is_file() else (404, b"")
        headers = [
            (b"Content-Type", kind),
            (b"Content-Length", str(len(content)).encode()),
            (b"Connection", b"close"),
        ]
        for part in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ):
            await stream.send_all(connection.send(part) or b"")
