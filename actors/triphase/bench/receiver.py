"""A receiver of webhooks in a process of its own: it refuses one request in so many.

Written to its standard output: `ready PORT` at first, and at the end of its input what it got.
"""

from __future__ import annotations

import functools
import sys
from typing import Final

import attrs
import h11
import trio

from triphase_protocol import encode, unstructure

READ: Final = 2**16


@attrs.define(kw_only=True)
class Received:
    """What a receiver got."""

    requests: int = 0
    """Requests, refused or not."""

    accepted: int = 0
    """Deliveries that were accepted, each counted once."""

    repeated: int = 0
    """Accepted requests that had been accepted before."""


@attrs.define(eq=False)
class Receiver:
    """Accepts and refuses."""

    refuse_one_in: int
    received: Received = attrs.field(factory=Received)
    _ids: set[str] = attrs.field(factory=set[str])

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer what comes over a connection, until it ends."""
        connection = h11.Connection(h11.SERVER)
        try:
            async with stream:
                while await self._answer(stream, connection):
                    connection.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            # Whoever sent it has gone.
            return

    async def _answer(self, stream: trio.SocketStream, connection: h11.Connection) -> bool:
        id = ""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(READ))
            elif isinstance(event, h11.Request):
                id = dict(event.headers)[b"webhook-id"].decode()
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                return False
        head = h11.Response(status_code=self._status(id), headers=[("content-length", "0")])
        data = (connection.send(head) or b"") + (connection.send(h11.EndOfMessage()) or b"")
        await stream.send_all(data)
        return connection.our_state is h11.DONE

    def _status(self, id: str) -> int:
        received = self.received
        received.requests += 1
        if self.refuse_one_in and received.requests % self.refuse_one_in == 0:
            return 503
        if id in self._ids:
            received.repeated += 1
        else:
            self._ids.add(id)
            received.accepted += 1
        return 200


async def main(refuse_one_in: int) -> None:
    """Serve until the input ends."""
    receiver = Receiver(refuse_one_in)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        serve = functools.partial(trio.serve_listeners, receiver.serve, listeners)
        nursery.start_soon(serve)
        say(f"ready {listeners[0].socket.getsockname()[1]}")
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        nursery.cancel_scope.cancel()
    say(encode(unstructure(receiver.received)).decode())


def say(line: str) -> None:
    """Write a line. Never waits for long: whoever started this reads it."""
    print(line, flush=True)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
