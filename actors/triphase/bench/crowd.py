"""A crowd: many WebSocket clients in a process of its own, which follow a topic and read.

python -m triphase.bench.crowd HOST PORT COUNT TOPIC

It writes `ready` once all have subscribed, and reads until its input ends; then it writes how many
bytes came. `-` as the topic subscribes to nothing: the clients are only there.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Final

import attrs
import trio

from triphase_protocol.wire import SUBPROTOCOL

AT_ONCE: Final = 32
"""Clients that connect at the same time."""

READ: Final = 2**18

PING: Final = b"\x89\x00"
PONG: Final = b"\x8a\x80" + bytes(4)
"""A gateway asks whether somebody is there; its messages are ASCII, so this is nothing else."""


@attrs.define
class Crowd:
    """What the clients share."""

    host: str
    port: int
    topic: str
    joined: int = 0
    received: int = 0

    async def join(self, turn: trio.CapacityLimiter, nursery: trio.Nursery) -> None:
        """Connect one client, and read for ever."""
        async with turn:
            stream = await trio.open_tcp_stream(self.host, self.port)
            await stream.send_all(self._upgrade())
            head = b""
            while b"\r\n\r\n" not in head:
                head += await _some(stream)
            assert b" 101 " in head.split(b"\r\n", 1)[0], head
            said = [{"type": "hello"}]
            if self.topic != "-":
                said.append({"type": "subscribe", "id": "1", "topic": self.topic})
            for message in said:
                await stream.send_all(_frame(json.dumps(message).encode()))
            answers = b""
            while answers.count(b'{"type":"answer"') + answers.count(b'{"type":"welcome"') < len(
                said
            ):
                answers += await _some(stream)
                assert b'{"type":"error"' not in answers, answers
        self.joined += 1
        nursery.start_soon(self._read, stream)

    async def _read(self, stream: trio.SocketStream) -> None:
        while data := await stream.receive_some(READ):
            self.received += len(data)
            if PING in data:
                await stream.send_all(PONG)

    def _upgrade(self) -> bytes:
        lines = [
            "GET /ws HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        ]
        return "\r\n".join([*lines, "", ""]).encode()


async def _some(stream: trio.SocketStream) -> bytes:
    """Return what comes next; the gateway must not close."""
    data = bytes(await stream.receive_some(READ))
    assert data, "the gateway has closed the connection"
    return data


def _frame(text: bytes) -> bytes:
    """Return a client's frame of less than 126 bytes; a mask of zeros changes nothing."""
    assert len(text) < 126, "a short message"
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


async def main(host: str, port: int, count: int, topic: str) -> None:
    """See the module's text."""
    crowd, turn = Crowd(host, port, topic), trio.CapacityLimiter(AT_ONCE)
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as joining:
            for _ in range(count):
                joining.start_soon(crowd.join, turn, nursery)
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        print(crowd.received, flush=True)
        nursery.cancel_scope.cancel(reason="it has been seen enough")


if __name__ == "__main__":
    trio.run(functools.partial(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
