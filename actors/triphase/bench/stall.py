"""One subscriber that reads nothing, among others that do: what it costs, and what it misses.

python -m triphase.bench.stall EVENTS ACTIVE

It writes the figure as JSON: memory that others have used before must not be in it.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import attrs
import trio

from triphase.gateway import Gateway, Manners, serve_gateway
from triphase.opening import open_runtime
from triphase.runtime import Runtime
from triphase_protocol import Queue, encode, unstructure

from .elsewhere import clients
from .jobs import OnePhase
from .residence import resident_mb

IN_FLIGHT: Final = 100
EVENTS_OF_A_JOB: Final = 6

SAMPLES: Final = 10
"""How often the memory is looked at while events come."""

SETTLED: Final = 2
"""After so many of the samples, what is kept in memory is full."""

PATIENT: Final = Manners(write_timeout=1e9, silence=1e9)
"""Others lose their connection after some seconds; then this would be about reconnecting."""


@attrs.frozen(kw_only=True)
class StallFigure:
    """What one measurement gave."""

    what: str
    events: int
    """Events that were committed while one subscriber stalled."""

    active: int
    """Subscribers that read."""

    per_second: float
    """Events a second, with all there is to a job."""

    resident_mb: tuple[float, ...]
    """Megabytes of the gateway's process in memory, each time a tenth of the events had come."""

    growth_mb: float
    """The most of those, less what it was after the first fifth."""

    behind: int
    """Events that the stalled one had not been sent at the end."""

    slow: int
    """Of those that read, how many did not have everything then."""

    caught_up: int
    """Events that the stalled one read when it went on."""

    lagging: int
    """How often it was told that it is too slow."""

    gaps: int
    """Events that did not come right after the one before."""

    catch_up_seconds: float
    after_mb: float
    """Megabytes in memory when it had caught up."""


async def measure_stall(store: Path, *, events: int, active: int) -> StallFigure:
    """Let jobs make events for several subscribers, one of which reads them only at the end.

    Args:
      store: a path that does not exist yet.
      events: how many are made, at least; each job makes six.
      active: how many subscribers read all the time.
    """
    queues = {"bench": Queue(limit=IN_FLIGHT)}
    async with (
        open_runtime([OnePhase], store=store, queues=queues, limit=IN_FLIGHT) as runtime,
        trio.open_nursery() as nursery,
    ):
        start = functools.partial(serve_gateway, port=0, manners=PATIENT)
        gateway: Gateway = await nursery.start(start, runtime)
        async with (
            clients("crowd", gateway, str(active), "jobs"),
            clients("sleeper", gateway) as sleeper,
        ):
            began, sizes = time.perf_counter(), list[float]()
            for _ in range(SAMPLES):
                await _run_jobs(runtime, -(-events // (SAMPLES * EVENTS_OF_A_JOB)))
                sizes.append(resident_mb())
            seconds = time.perf_counter() - began
            await gateway.host.sources.fanout.settled()
            then = gateway.statistics()
            head = runtime.statistics().feed.last_seq
            await sleeper.say(str(head))
            seen = json.loads(await sleeper.hear())
            after = resident_mb()
        nursery.cancel_scope.cancel()
    return StallFigure(
        what="stalled subscriber",
        events=head,
        active=active,
        per_second=head / seconds,
        resident_mb=tuple(sizes),
        growth_mb=max(sizes) - sizes[SETTLED - 1],
        behind=then.lag_max,
        slow=max(0, then.catching_up - 1),
        caught_up=seen["events"],
        lagging=seen["lagging"],
        gaps=seen["gaps"],
        catch_up_seconds=seen["seconds"],
        after_mb=after,
    )


async def _run_jobs(runtime: Runtime, count: int) -> None:
    numbers = iter(range(count))

    async def submitter() -> None:
        for number in numbers:
            await (await runtime.submit(OnePhase(number))).wait()

    async with trio.open_nursery() as nursery:
        for _ in range(IN_FLIGHT):
            nursery.start_soon(submitter)


async def main(events: int, active: int) -> None:
    """See the module's text."""
    with tempfile.TemporaryDirectory() as folder:
        figure = await measure_stall(Path(folder) / "jobs.db", events=events, active=active)
    print(encode(unstructure(figure)).decode())


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), int(sys.argv[2]))
