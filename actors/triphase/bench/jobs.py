"""Durable jobs a second, and how long one takes from submit to done."""

from __future__ import annotations

import time
from pathlib import Path

import attrs
import trio

from triphase.context import Context
from triphase.definition import job
from triphase.opening import open_runtime
from triphase.phases import phase
from triphase.runtime import Runtime
from triphase_protocol import Queue


@job(queue="bench")
class OnePhase:
    """A job that does nothing, durably."""

    number: int

    @phase()
    async def work(self, ctx: Context) -> int:
        """Do nothing."""
        return self.number


@job(queue="bench")
class ThreePhases:
    """Three phases that do nothing, durably."""

    number: int

    @phase()
    async def first(self, ctx: Context) -> int:
        """Do nothing."""
        return self.number

    @phase()
    async def second(self, ctx: Context) -> int:
        """Do nothing."""
        return self.number

    @phase()
    async def third(self, ctx: Context) -> int:
        """Do nothing."""
        return self.number


@attrs.frozen(kw_only=True)
class JobsFigure:
    """What one measurement of jobs gave."""

    phases: int
    """Phases of each job."""

    in_flight: int
    """Jobs that were under way at once."""

    jobs: int
    """Jobs in all."""

    per_second: float
    """Jobs from submit to done, a second."""

    p50_ms: float
    """Milliseconds from submit to done: the median."""

    p99_ms: float
    """Milliseconds from submit to done: 99 of 100 were at most this."""

    cpu_us: float
    """Microseconds of this process's CPU time for each job."""

    transactions: int
    """Transactions that the store wrote for them."""


async def measure_jobs(store: Path, *, in_flight: int, jobs: int, phases: int = 1) -> JobsFigure:
    """Run jobs that do nothing on a store file, so many at once, and measure.

    Args:
      store: a path that does not exist yet.
      in_flight: how many submitters there are; each waits for its job before the next.
      jobs: how many jobs they run in all.
      phases: 1 or 3.
    """
    kind = OnePhase if phases == 1 else ThreePhases
    took: list[float] = []
    numbers = iter(range(jobs))

    async def submitter(runtime: Runtime) -> None:
        for number in numbers:
            begin = time.perf_counter()
            handle = await runtime.submit(kind(number))
            await handle.wait()
            took.append(time.perf_counter() - begin)

    async with open_runtime(
        [OnePhase, ThreePhases],
        store=store,
        queues={"bench": Queue(limit=in_flight)},
        limit=in_flight,
    ) as runtime:
        await (await runtime.submit(kind(-1))).wait()
        written = runtime.statistics().committer.transactions
        begin, cpu = time.perf_counter(), time.process_time()
        async with trio.open_nursery() as nursery:
            for _ in range(in_flight):
                nursery.start_soon(submitter, runtime)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        written = runtime.statistics().committer.transactions - written
    took.sort()
    return JobsFigure(
        phases=phases,
        in_flight=in_flight,
        jobs=jobs,
        per_second=jobs / seconds,
        p50_ms=1e3 * took[len(took) // 2],
        p99_ms=1e3 * took[min(len(took) - 1, len(took) * 99 // 100)],
        cpu_us=1e6 * cpu / jobs,
        transactions=written,
    )
