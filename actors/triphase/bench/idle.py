"""Connections that do nothing: what each takes of memory, and what all take of the processor.

python -m triphase.bench.idle CONNECTIONS SECONDS TOPIC

It writes the figure as JSON: memory that others have used before must not be in it. `-` as the
topic is none.
"""

from __future__ import annotations

import functools
import gc
import sys
import time

import attrs
import trio

from triphase.gateway import Gateway, serve_gateway
from triphase.opening import open_runtime
from triphase_protocol import encode, unstructure

from .elsewhere import clients
from .jobs import OnePhase
from .residence import resident_mb


@attrs.frozen(kw_only=True)
class IdleFigure:
    """What one measurement gave."""

    what: str
    connections: int
    topic: str | None
    """What each of them follows; None if it has only said hello."""

    kb_each: float
    """Kilobytes of the gateway's process in memory, for each connection."""

    connect_us: float
    """Microseconds of CPU time for each, from the handshake to the answer to its last request."""

    seconds: float
    """How long nothing happened: heartbeats, and looks for the dead, are in it."""

    cpu_ms: float
    """Milliseconds of CPU time in each of those seconds, for all of them together."""

    left_mb: float
    """Megabytes in memory when they had left, more than before they came."""


async def measure_idle(connections: int, *, seconds: float, topic: str | None = None) -> IdleFigure:
    """Have connections that nothing happens on, and measure.

    The clients are in another process.

    Args:
      connections: how many; the gateway takes 10,000.
      seconds: how long to look. A connection is asked for a sign of life after 22 silent seconds.
      topic: what each of them follows; None is nothing.
    """
    async with (
        open_runtime([OnePhase], store="memory:") as runtime,
        trio.open_nursery() as nursery,
    ):
        gateway: Gateway = await nursery.start(functools.partial(serve_gateway, port=0), runtime)
        gc.collect()
        before, began = resident_mb(), time.process_time()
        async with clients("crowd", gateway, str(connections), topic or "-"):
            connecting = time.process_time() - began
            gc.collect()
            there = resident_mb()
            began, since = time.process_time(), time.perf_counter()
            await trio.sleep(seconds)
            idle, passed = time.process_time() - began, time.perf_counter() - since
            assert gateway.statistics().connections == connections, "none was lost meanwhile"
        while gateway.statistics().connections:  # noqa: ASYNC110 - nobody tells of the last
            await trio.sleep(0.05)
        gc.collect()
        left = resident_mb() - before
        nursery.cancel_scope.cancel()
    return IdleFigure(
        what="idle connections",
        connections=connections,
        topic=topic,
        kb_each=1e3 * (there - before) / connections,
        connect_us=1e6 * connecting / connections,
        seconds=passed,
        cpu_ms=1e3 * idle / passed,
        left_mb=left,
    )


async def main(connections: int, seconds: float, topic: str | None) -> None:
    """See the module's text."""
    figure = await measure_idle(connections, seconds=seconds, topic=topic)
    print(encode(unstructure(figure)).decode())


if __name__ == "__main__":
    chosen = None if sys.argv[3] == "-" else sys.argv[3]
    trio.run(main, int(sys.argv[1]), float(sys.argv[2]), chosen)
