"""`triphase bench`: jobs and messages a second on this machine, and what a gateway carries."""

from __future__ import annotations

import enum
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Annotated, Final

import attrs
import cyclopts
from cyclopts import Parameter

from triphase.bench import measure_jobs, measure_messages
from triphase_protocol import decode, structure, unstructure

from .exits import Exit, UsageError
from .options import AsJson, WholeNumber, seconds_from
from .screen import Screen

app: Final = cyclopts.App(name="bench", help="Measure what this machine does.")

SUBSCRIBERS: Final = (10, 100, 1000)
"""How many subscribers events are delivered to."""

SHAPES: Final = ((1, 1), (1, 100), (1, 1000), (3, 100))
"""What is measured: phases of each job, and jobs in flight at once."""


@app.default
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


class Part(enum.StrEnum):
    """What is measured of a gateway."""

    FANOUT = "fanout"
    STALL = "stall"
    IDLE = "idle"
    LATENCY = "latency"


@attrs.frozen(kw_only=True)
class Sizes:
    """How much of everything is to be measured."""

    subscribers: tuple[int, ...]
    bursts: int
    events: int
    active: int
    connections: int
    seconds: float
    waits: int

    def sound(self) -> bool:
        """Return whether there is something of everything."""
        numbers = (self.bursts, self.events, self.active, self.connections, self.waits)
        return min(*self.subscribers, *numbers) > 0 and 0 < self.seconds < float("inf")


@app.command
async def gateway(
    *,
    only: Annotated[list[Part] | None, Parameter(negative="")] = None,
    subscribers: Annotated[list[WholeNumber] | None, Parameter(negative="")] = None,
    bursts: WholeNumber = 200,
    events: WholeNumber = 200_000,
    active: WholeNumber = 20,
    connections: WholeNumber = 5000,
    seconds: float = 30.0,
    waits: WholeNumber = 500,
    json: AsJson = False,
) -> int:
    """Measure a gateway on this machine; its clients are in other processes.

    How many events a second of CPU time delivers to 10, 100 and 1,000 subscribers, beside one
    message for each of them; what a subscriber costs that reads nothing, and whether it misses
    something; what connections cost that do nothing; and how long after a commit a client that
    waits for it is told.

    Args:
      only: Only this part; may be repeated.
      subscribers: How many subscribers events are delivered to; may be repeated.
      bursts: Bursts of 8 events that are delivered; fewer to more than 100 subscribers.
      events: Events that are committed while one subscriber reads nothing.
      active: Subscribers that read meanwhile.
      connections: Connections that do nothing.
      seconds: How long they do that.
      waits: Jobs that are waited for.
      json: Write JSON.
    """
    sizes = Sizes(
        subscribers=tuple(subscribers or SUBSCRIBERS),
        bursts=bursts,
        events=events,
        active=active,
        connections=connections,
        seconds=seconds_from("--seconds", seconds),
        waits=waits,
    )
    if not sizes.sound():
        raise UsageError("bench gateway: every number must be above 0, and finite")
    screen = Screen(json=json)
    for part in only or Part:
        async for figure, cells in _PARTS[part](screen, sizes):
            _show(screen, figure, cells)
    return Exit.OK


@app.command
async def hooks(
    *, count: WholeNumber = 10_000, refuse: WholeNumber = 3, json: AsJson = False
) -> int:
    """Measure webhooks on this machine; their receiver is in another process.

    The outbox is filled before, by jobs that end while nothing is sent, and then delivered.

    Args:
      count: Deliveries.
      refuse: The receiver refuses one request in so many; 0 is none.
      json: Write JSON.
    """
    # Not at the top: nothing else here needs an HTTP client.
    from triphase.bench.hooks import measure_hooks

    if count < 1:
        raise UsageError(f"--count {count}: at least 1")
    screen = Screen(json=json)
    screen.note(f"{count:,} deliveries, of which one try in {refuse} is refused …")
    with tempfile.TemporaryDirectory() as folder:
        figure = await measure_hooks(Path(folder) / "jobs.db", hooks=count, refuse_one_in=refuse)
    before, most = figure.resident_mb
    cells = [
        f"{figure.hooks:,} deliveries, one try in {figure.refuses_one_in} refused",
        f"{figure.delivered:,} delivered, {figure.accepted:,} received, {figure.repeated} twice",
        f"{figure.requests:,} requests",
        f"{figure.per_second:,.0f} deliveries/s",
        f"{figure.cpu_us:,.0f} µs of CPU each",
        f"{before:.1f} to {most:.1f} MB",
    ]
    _show(screen, figure, cells)
    return Exit.OK


Figures = AsyncGenerator[tuple[attrs.AttrsInstance, Sequence[str]]]


async def _fanout(screen: Screen, sizes: Sizes) -> Figures:
    # Not at the top, here and below: nothing else here needs a server.
    from triphase.bench.fanout import measure_fanout

    for subscribers in sizes.subscribers:
        screen.note(f"events to {subscribers:,} subscribers …")
        bursts = max(1, sizes.bursts * 100 // max(100, subscribers))
        for figure in await measure_fanout(subscribers, bursts=bursts):
            yield (
                figure,
                [
                    f"{figure.subscribers:,} subscribers, {figure.what}",
                    f"{figure.per_cpu_second:,.0f} deliveries a second of CPU",
                    f"{figure.of_naive:,.1f} times one message for each",
                ],
            )


async def _stall(screen: Screen, sizes: Sizes) -> Figures:
    from triphase.bench.elsewhere import alone
    from triphase.bench.stall import StallFigure

    screen.note(f"{sizes.events:,} events, {sizes.active} read them, and one does not …")
    written = await alone("stall", str(sizes.events), str(sizes.active))
    figure: StallFigure = structure(decode(written), StallFigure)
    yield (
        figure,
        [
            f"{figure.what}, {figure.active} active, {figure.events:,} events",
            f"{figure.per_second:,.0f} events/s",
            "MB " + " ".join(f"{size:.1f}" for size in figure.resident_mb),
            f"{figure.behind:,} behind, {figure.slow} others",
            f"caught up {figure.caught_up:,} in {figure.catch_up_seconds:,.1f} s",
            f"{figure.lagging} lagging, {figure.gaps} gaps, {figure.after_mb:.1f} MB",
        ],
    )


async def _idle(screen: Screen, sizes: Sizes) -> Figures:
    from triphase.bench.elsewhere import alone
    from triphase.bench.idle import IdleFigure

    for topic in ("-", "jobs"):
        screen.note(f"{sizes.connections:,} connections that do nothing …")
        written = await alone("idle", str(sizes.connections), str(sizes.seconds), topic)
        figure: IdleFigure = structure(decode(written), IdleFigure)
        follow = f"follow {figure.topic or 'nothing'}"
        yield (
            figure,
            [
                f"{figure.connections:,} connections that {follow}",
                f"{figure.kb_each:,.1f} kB each",
                f"{figure.connect_us:,.0f} µs of CPU to connect",
                f"{figure.cpu_ms:,.1f} ms of CPU a second",
                f"{figure.left_mb:,.1f} MB more when they have left",
            ],
        )


async def _latency(screen: Screen, sizes: Sizes) -> Figures:
    from triphase.bench.latency import measure_latency

    screen.note(f"{sizes.waits:,} jobs that are waited for …")
    with tempfile.TemporaryDirectory() as folder:
        for figure in await measure_latency(Path(folder), waits=sizes.waits):
            cells = [
                f"{figure.what}, {figure.processes} process(es)",
                f"p50 {figure.p50_ms:,.2f} ms",
                f"p99 {figure.p99_ms:,.2f} ms",
            ]
            yield figure, cells


_PARTS: Final = {
    Part.FANOUT: _fanout,
    Part.STALL: _stall,
    Part.IDLE: _idle,
    Part.LATENCY: _latency,
}


def _show(screen: Screen, figure: attrs.AttrsInstance, cells: Sequence[str]) -> None:
    if screen.json:
        screen.object(unstructure(figure))
    else:
        screen.line(cells)
