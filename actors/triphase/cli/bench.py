"""`triphase bench`: jobs and messages a second on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from triphase.bench import measure_jobs, measure_messages
from triphase_protocol import unstructure

from .exits import Exit, UsageError
from .options import AsJson, WholeNumber
from .screen import Screen

SHAPES: Final = ((1, 1), (1, 100), (1, 1000), (3, 100))
"""What is measured: phases of each job, and jobs in flight at once."""


async def bench(
    *, jobs: WholeNumber = 2000, messages: WholeNumber = 20_000, json: AsJson = False
) -> int:
    """Measure durable jobs a second on a SQLite file, and messages between actors.

    The jobs do nothing, so what is measured is the runtime and the disk. One job at a time
    shows how long the way from submit to done takes; many show what sharing commits gives.
    Messages are measured beside a bare trio memory channel in the same run.

    Args:
      jobs: Jobs of each measurement; a fifth of it one at a time.
      messages: Messages of each measurement.
      json: Write JSON.
    """
    if jobs < 5 or messages < 1:
        raise UsageError(f"--jobs {jobs} --messages {messages}: at least 5 and 1")
    screen = Screen(json=json)
    for phases, in_flight in SHAPES:
        screen.note(f"{in_flight} in flight, jobs of {phases} phase(s) …")
        with tempfile.TemporaryDirectory() as folder:
            figure = await measure_jobs(
                Path(folder) / "jobs.db",
                in_flight=in_flight,
                jobs=jobs // 5 if in_flight == 1 else max(jobs, 2 * in_flight),
                phases=phases,
            )
        cells = [
            f"{figure.in_flight} in flight, {figure.phases} phase(s)",
            f"{figure.per_second:,.0f} jobs/s",
            f"p50 {figure.p50_ms:,.2f} ms",
            f"p99 {figure.p99_ms:,.2f} ms",
            f"{figure.cpu_us:,.0f} µs of CPU a job",
            f"{figure.jobs / figure.transactions:,.1f} jobs a transaction",
        ]
        _show(screen, figure, cells)
    for message in await measure_messages(messages):
        rate, part = f"{message.per_second:,.0f}/s", f"{message.of_channel:.2f} of a bare channel"
        _show(screen, message, [message.what, rate, part])
    return Exit.OK


def _show(screen: Screen, figure: attrs.AttrsInstance, cells: Sequence[str]) -> None:
    if screen.json:
        screen.object(unstructure(figure))
    else:
        screen.line(cells)
