"""A sleeper: a WebSocket client that subscribes, and reads nothing until it is told to.

python -m triphase.bench.sleeper HOST PORT

It writes `ready` once it has subscribed. A line on its input, the `seq` of an event, wakes it: it
reads up to there, and writes what it has seen as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

import attrs
import trio

from triphase.websocket import Socket, opened
from triphase_protocol.wire import SUBPROTOCOL

MESSAGE_BYTES: Final = 2**26
RECEIVE_BYTES: Final = 2**16


@attrs.define
class Seen:
    """What a sleeper has read."""

    events: int = 0
    lagging: int = 0
    """How often it was told that it is too slow."""

    gaps: int = 0
    """Events that did not come right after the one before."""

    cursor: int = 0
    seconds: float = 0.0
    """How long it took, from when it was woken."""

    def take(self, message: dict[str, Any]) -> None:
        """Take one message. Never waits."""
        match message:
            case {"type": "lagging"}:
                self.lagging += 1
            case {"type": "events", "from": begin, "to": int(end), "events": [*events]}:
                self.gaps += begin != self.cursor
                for place, event in enumerate(events, self.cursor + 1):
                    self.gaps += event["seq"] != place
                self.events += len(events)
                self.cursor = end
            case _:
                pass


async def main(host: str, port: int) -> None:
    """See the module's text."""
    stream = await trio.open_tcp_stream(host, port)
    # Else the kernel would read megabytes for it.
    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, RECEIVE_BYTES)
    async with opened(
        stream,
        host=f"{host}:{port}",
        resource="/ws",
        subprotocols=[SUBPROTOCOL],
        message_bytes=MESSAGE_BYTES,
        handshake=10,
    ) as socket:
        seen = Seen()
        for said in (b'{"type": "hello"}', b'{"type": "subscribe", "id": "1", "topic": "jobs"}'):
            await socket.send(said)
        await _message(socket)
        seen.cursor = (await _message(socket))["result"]["after"]
        print("ready", flush=True)
        head = int(await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True))
        began = time.perf_counter()
        while seen.cursor < head:
            seen.take(await _message(socket))
        seen.seconds = time.perf_counter() - began
        print(json.dumps(attrs.asdict(seen)), flush=True)
    await trio.aclose_forcefully(stream)


async def _message(socket: Socket) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.receive())
    return message


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
