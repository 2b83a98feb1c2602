"""Events delivered to many subscribers, beside sending each to each, in the same run."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import trio

import triphase
from triphase.feed import Entry
from triphase.gateway import Gateway, serve_gateway
from triphase_protocol import Event, EventType
from triphase_protocol.wire import Events, write

from .elsewhere import clients

PAUSE: Final = 0.01
"""Seconds between two bursts, in which the subscribers read."""


@attrs.frozen(kw_only=True)
class FanoutFigure:
    """What one measurement gave."""

    what: str
    """`ring`, or `send_message` for each event and connection."""

    subscribers: int
    burst: int
    """Events that come at the same moment."""

    deliveries: int
    """Events times subscribers."""

    per_cpu_second: float
    """Deliveries a second of the gateway's own time on the processor."""

    of_naive: float
    """The same as a multiple of what sending each to each did in this run."""


@triphase.job()
class Nothing:
    """Never runs: a runtime needs a type."""

    @triphase.phase()
    async def nothing(self, ctx: triphase.Context) -> None:
        """Do nothing."""


async def measure_fanout(subscribers: int, *, bursts: int, burst: int = 8) -> list[FanoutFigure]:
    """Measure deliveries with the ring, and with a message for each event and subscriber.

    The subscribers are in another process, and read all the time.

    Args:
      subscribers: how many.
      bursts: how often something happens.
      burst: events that come at the same moment.
    """
    async with (
        triphase.open_runtime([Nothing], store="memory:") as runtime,
        trio.open_nursery() as nursery,
    ):
        gateway: Gateway = await nursery.start(
            functools.partial(serve_gateway, runtime, port=0, tick=0.0)
        )
        async with clients("crowd", gateway, str(subscribers), "jobs"):
            sources = gateway.host.sources

            async def publish(number: int) -> None:
                sources.feed.publish(_burst(number, burst))
                await sources.fanout.served()

            naive = await _cpu(lambda n: _each_to_each(gateway, _burst(n, burst)), bursts)

            ring = await _cpu(publish, bursts)
        nursery.cancel_scope.cancel()
    deliveries = subscribers * bursts * burst
    return [
        FanoutFigure(
            what=what,
            subscribers=subscribers,
            burst=burst,
            deliveries=deliveries,
            per_cpu_second=deliveries / seconds,
            of_naive=naive / seconds,
        )
        for what, seconds in (("send_message", naive), ("ring", ring))
    ]


async def _cpu(act: Callable[[int], Awaitable[None]], times: int) -> float:
    """Return the seconds on the processor that doing something so often takes."""
    spent = 0.0
    for number in range(times):
        began = time.process_time()
        await act(number)
        spent += time.process_time() - began
        # Not counted: the subscribers read, and the sockets are empty again.
        await trio.sleep(PAUSE)
    return spent


def _burst(number: int, size: int, after: int = 0) -> list[Entry]:
    """Return events of about 200 bytes each, as a runtime publishes them."""
    return [
        Entry(_event(after + number * size + place), "Nothing", "default", {})
        for place in range(1, size + 1)
    ]


def _event(seq: int) -> Event:
    return Event(
        seq=seq,
        version=7,
        at=1_700_000_000.123456,
        job="0123456789abcdef",
        run=1,
        phase="transcode",
        type=EventType.PHASE_PROGRESS,
        data={"done": 12.5, "total": 100.0, "message": "frames of the second pass"},
    )


async def _each_to_each(gateway: Gateway, entries: Sequence[Entry]) -> None:
    """Send each event to each subscriber by the library's own call, one after the other."""
    for entry in entries:
        text = write(Events(topic="jobs", from_=0, to=entry.seq, events=(entry.event,))).decode()
        for peer in gateway.peers():
            await peer.socket.send_alone(text)
