"""From the commit that ends a job to a client that waits for it, in this process and in another.

python -m triphase.bench.latency HOST PORT JOBS

It submits jobs one after the other, waits for each, and writes when each answer came, as JSON.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from triphase.client import connect
from triphase.context import Context
from triphase.definition import job
from triphase.gateway import Gateway, serve_gateway
from triphase.opening import open_runtime
from triphase.phases import phase
from triphase.store import Applied, Operation, Result, SqliteStore

from .elsewhere import clients

WORK: Final = 0.02
"""Seconds that a job takes: its client is waiting when it ends."""


@job(queue="bench")
class Brief:
    """Sleeps for a moment."""

    @phase()
    async def work(self, ctx: Context) -> None:
        """Sleep."""
        await trio.sleep(WORK)


class TimedStore(SqliteStore):
    """A store that remembers when the ends of jobs were durable."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.durable_at: dict[str, float] = {}
        """By the job's id, by the clock that all processes of a machine share."""

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """See `Store.write`."""
        results = await super().write(operations)
        now = time.monotonic()
        for result in results:
            if isinstance(result, Applied) and result.job.terminal:
                self.durable_at[result.job.id] = now
        return results


@attrs.frozen(kw_only=True)
class LatencyFigure:
    """What one measurement gave."""

    what: str
    processes: int
    """1: the client is a task beside the gateway. 2: it is another process."""

    waits: int
    p50_ms: float
    """Milliseconds from the durable commit to the answer in the client's hands: the median."""

    p99_ms: float
    """The same: 99 of 100 were at most this."""


async def measure_latency(folder: Path, *, waits: int) -> list[LatencyFigure]:
    """Measure how long after a commit a client that waits for it has the answer.

    Args:
      folder: where the store files are to be made.
      waits: how many jobs are waited for, in one process and again in two.
    """
    return [
        await _measured(folder / f"jobs-{processes}.db", waits, processes) for processes in (1, 2)
    ]


async def _measured(path: Path, waits: int, processes: int) -> LatencyFigure:
    store = TimedStore(path)
    async with (
        open_runtime([Brief], store=store) as runtime,
        trio.open_nursery() as nursery,
    ):
        gateway: Gateway = await nursery.start(functools.partial(serve_gateway, port=0), runtime)
        if processes == 1:
            answered = await ask(gateway.urls[0], waits)
        else:
            async with clients("latency", gateway, str(waits)) as other:
                answered = json.loads(await other.hear())
        nursery.cancel_scope.cancel()
    took = sorted(at - store.durable_at[id] for id, at in answered.items())
    return LatencyFigure(
        what="commit to waiting client",
        processes=processes,
        waits=waits,
        p50_ms=1e3 * took[len(took) // 2],
        p99_ms=1e3 * took[min(len(took) - 1, len(took) * 99 // 100)],
    )


async def ask(url: str, jobs: int) -> Mapping[str, float]:
    """Submit jobs one after the other; return when the answer to each wait came, by id."""
    answered: dict[str, float] = {}
    async with connect(url) as client:
        for _ in range(jobs):
            handle = await client.submit("Brief", {})
            await handle.wait()
            answered[handle.id] = time.monotonic()
    return answered


async def main(host: str, port: int, jobs: int) -> None:
    """See the module's text."""
    print("ready", flush=True)
    print(json.dumps(await ask(f"ws://{host}:{port}/ws", jobs)), flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
