"""Client programs of a scenario: each follows events over the simulated network, life after life.

It is what a user writes who must miss nothing: after each event it keeps the event's number, as on
a disk, and goes on behind it when it is started again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import trio

import triphase
from triphase import feed
from triphase.client import Client, connect
from triphase.client.events import ClientEvents
from triphase.gateway import serve_gateway
from triphase_protocol import Event, EventType, JobNotFound, TriphaseError
from triphase_protocol.wire import Reset

from .answers import shown
from .network import End, Network
from .scenario import ClientPlan
from .world import Process, World

NODE: Final = "node"
"""The name of the process that clients call."""

URL: Final = f"ws://{NODE}/ws"

DOWN: Final = 0.5
"""Virtual seconds between the death of a process and the start of the next."""

Subject = Any
"""A runtime, or a client: they have the same verbs."""

Call: TypeAlias = Callable[[Subject], Awaitable[Any]]
"""Something that is asked of a runtime or a client."""


class ClientProgram:
    """See the module's text.

    Args:
      world: where it runs.
      network: what it calls over.
      plan: what it does.
      ids: the jobs' ids by their names, as they become known.
      id_of: returns the id of a job by its name, once there is one.
      committed: returns the `seq` of the last event that was committed.
    """

    def __init__(
        self,
        world: World,
        network: Network,
        plan: ClientPlan,
        ids: Mapping[str, str],
        id_of: Callable[[str], Awaitable[str]],
        committed: Callable[[], int],
    ) -> None:
        self.plan = plan
        self.cursor = 0
        """The `seq` of the last event that it has worked through."""

        self.process: Process | None = None
        self._world = world
        self._network = network
        self._ids = ids
        self._id_of = id_of
        self._committed = committed
        self._client: Client | None = None
        self._up = trio.Event()
        self._open = 0
        self._news = trio.Event()

    async def settled(self, log: Sequence[Event]) -> None:
        """Return when it has received all that it follows, and has its answers. A checkpoint.

        Args:
          log: every event that was committed, deleted ones included.
        """
        while self._lacks(log) or self._open:
            await self._news.wait()

    def _lacks(self, log: Sequence[Event]) -> bool:
        # Its own life may not have begun when everything is over.
        due = wanted(self.plan, self._ids.get(self.plan.job or ""), log)
        deleted = {event.job for event in due if event.type is EventType.JOB_DELETED}
        return any(event.seq > self.cursor for event in due if event.job not in deleted)

    def _tell(self) -> None:
        news, self._news = self._news, trio.Event()
        news.set()

    async def keep_up(self) -> None:
        """Start it, and start it again whenever it has gone. A checkpoint."""
        await trio.sleep(self.plan.begins)
        while True:
            self.process = self._world.start(self.plan.name, self._live, client=True)
            await self.process.ended.wait()
            self._client, self._open = None, 0
            self._tell()
            if self._up.is_set():
                self._up = trio.Event()
            await trio.sleep(DOWN)

    async def ask(self, lane: str, call: Call, **about: Any) -> Any:
        """Ask something over its connection; see `ask_in`."""
        while self._client is None:
            await self._up.wait()
        client, process = self._client, self.process
        assert process is not None, "a client lives in a process"

        async def counted(client: Client) -> Any:
            self._open += 1
            try:
                return await call(client)
            finally:
                self._open -= 1
                self._tell()

        return await ask_in(process, client, lane, counted, **about, via=self.plan.name)

    def hear_nothing(self, seconds: float) -> None:
        """Read nothing of what comes for so long. Never waits."""
        self._world.note(self.plan.name, "deaf", seconds=seconds)
        self._network.hear_nothing(self.plan.name, seconds)

    def die(self) -> None:
        """Be killed, and come again. Never waits."""
        if self.process is not None:
            self._world.kill(self.process, "as the scenario says")

    async def _live(self, process: Process) -> None:
        world = self._world

        async def dial() -> End:
            end = await self._network.dial(process, NODE)
            world.note(process.lane, "dialled", committed=self._committed())
            return end

        def on_lost(why: str) -> None:
            world.note(process.lane, "lost", why=why, committed=self._committed())

        try:
            async with connect(
                URL, dial=dial, patience=math.inf, entropy=world.entropy(), on_lost=on_lost
            ) as client:
                self._client = client
                self._up.set()
                try:
                    await self._follow(process, client)
                except JobNotFound as exc:
                    # Nothing is left to follow; there may be more to ask.
                    world.note(process.lane, "unfollowed", error=exc.code)
                    await trio.sleep_forever()
        except TriphaseError as exc:
            world.note(process.lane, "client ended", error=exc.code, message=str(exc))

    async def _follow(self, process: Process, client: Client) -> None:
        plan, world = self.plan, self._world
        job = None if plan.job is None else await self._id_of(plan.job)
        world.note(process.lane, "follows", job=job, after=self.cursor)
        stream = client.events(
            after=self.cursor,
            job=job,
            types=plan.events,
            job_types=plan.types if job is None else (),
        )
        reset: Reset | None = None
        async for event in stream:
            if stream.reset is not reset and stream.reset is not None:
                world.note(process.lane, "reset", reason=stream.reset.reason)
            reset = stream.reset
            self._receive(process, stream, event)
            if plan.reads:
                await self._read(process, client, event)
            if plan.pause:
                await trio.sleep(plan.pause)

    def _receive(self, process: Process, stream: ClientEvents, event: Event) -> None:
        self.cursor = event.seq
        self._tell()
        self._world.note(
            process.lane,
            "received",
            seq=event.seq,
            job=event.job,
            version=event.version,
            committed=self._committed(),
            lagged=stream.lagged,
        )

    async def _read(self, process: Process, client: Client, event: Event) -> None:
        about = {"job": event.job, "after": event.seq}
        try:
            record = await client.get(event.job)
        except JobNotFound:
            self._world.note(process.lane, "looked", **about, gone=True)
            return
        found = {"version": record.version, "state": record.state.value}
        self._world.note(process.lane, "looked", **about, **found)


async def ask_in(process: Process, subject: Subject, lane: str, call: Call, **about: Any) -> Any:
    """Ask something inside of a process; return what came of it, or None if it died first."""
    answered, answers = trio.Event(), list[Any]()
    world = process.world
    world.note(lane, "asked", **about)

    async def ask() -> None:
        try:
            answers.append(await call(subject))
            world.note(lane, "answered", **about, answer=shown(answers[0], whole=True))
        except TriphaseError as exc:
            answers.append(exc)
            world.note(lane, "denied", **about, error=exc.code, message=str(exc))
        answered.set()

    if not process.spawn(ask, name=lane):
        await process.ended.wait()
        return None
    async with trio.open_nursery() as nursery:

        async def until_dead() -> None:
            await process.ended.wait()
            nursery.cancel_scope.cancel(reason="the process is gone")

        nursery.start_soon(until_dead)
        await answered.wait()
        nursery.cancel_scope.cancel(reason="answered")
    return answers[0] if answers else None


async def serve(network: Network, process: Process, runtime: triphase.Runtime) -> None:
    """Serve a runtime over the network, until it closes. A checkpoint."""
    await serve_gateway(runtime, listeners=[network.listen(process)])


def wanted(plan: ClientPlan, job: str | None, log: Sequence[Event]) -> list[Event]:
    """Return the events that a program follows, of a whole log.

    Args:
      plan: the program's.
      job: the id of the job that it follows; None if it follows no single one.
      log: every event there was.
    """
    types = {
        event.job: str(event.data.get("type"))
        for event in log
        if event.type is EventType.JOB_SUBMITTED
    }
    return [
        event
        for event in log
        if (plan.job is None or event.job == job)
        and (not plan.events or event.type.value in plan.events)
        # Nothing is left that says of which type a deleted job was: everybody hears of it.
        and (
            not plan.types
            or types.get(event.job) in plan.types
            or event.type is EventType.JOB_DELETED
        )
    ]


@contextlib.contextmanager
def small_memory(events: int | None) -> Generator[None]:
    """Let runtimes keep so few of the newest events in memory, and read so few at once."""
    if events is None:
        yield
        return
    places: tuple[tuple[Any, str], ...] = ((feed, "RING"), (feed, "PAGE"))
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, events)
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
