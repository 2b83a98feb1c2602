"""A program that keeps a picture of all jobs: a snapshot first, and then the events since.

It speaks the protocol itself, and begins anew with each connection, as a web page does that is
loaded again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from triphase.client.link import Link, LinkLost, open_link, place_of
from triphase_protocol import Event, EventType, IllegalTransition, JobState, next_state
from triphase_protocol.wire import Answer, Events, Reply, Snapshot, Subscribe, write

from .clients import NODE, URL
from .network import Network
from .scenario import PicturePlan
from .world import Process, World

AWAY: Final = 1.0
"""Virtual seconds between two connections."""


@attrs.frozen
class Seen:
    """What a picture says of a job."""

    version: int
    state: JobState


class PictureProgram:
    """See the module's text.

    Args:
      world: where it runs.
      network: what it calls over.
      plan: what it is called, and when it begins.
    """

    def __init__(self, world: World, network: Network, plan: PicturePlan) -> None:
        self.plan = plan
        self._world = world
        self._network = network
        self._jobs: dict[str, Seen] = {}
        self._cursor: int | None = None
        self._news = trio.Event()

    async def keep_up(self) -> None:
        """Start it, and start it again whenever it has gone. A checkpoint."""
        await trio.sleep(self.plan.begins)
        while True:
            process = self._world.start(self.plan.name, self._live, client=True)
            await process.ended.wait()
            self._cursor = None
            await trio.sleep(AWAY)

    async def settled(self, log: Sequence[Event]) -> None:
        """Return when its picture is as new as the log, and note the picture. A checkpoint."""
        while self._cursor is None or self._cursor < (log[-1].seq if log else 0):
            await self._news.wait()
        jobs = {id: [seen.version, seen.state.value] for id, seen in self._jobs.items()}
        self._world.note(self.plan.name, "picture", jobs=jobs)

    async def _live(self, process: Process) -> None:
        dial = self._network.dialling(process, NODE)
        while True:
            try:
                async with open_link(dial, place_of(URL), None) as link:
                    await self._draw(process, link)
            except LinkLost:
                await trio.sleep(AWAY)

    async def _draw(self, process: Process, link: Link) -> None:
        await link.say(write(Subscribe(id="1", topic="jobs", snapshot=True)))
        self._jobs, self._cursor, after = {}, None, 0
        while True:
            after = self._take(process, await link.hear(), after)

    def _take(self, process: Process, reply: Reply, after: int) -> int:
        """Take what comes; return how far the picture reaches."""
        match reply:
            case Answer():
                begun: Mapping[str, Any] = reply.result
                after = int(begun["after"])
            case Snapshot():
                for job in reply.jobs:
                    self._jobs[job.id] = Seen(job.version, job.state)
                if reply.last:
                    self._cursor = after
            case Events():
                if reply.from_ > after:
                    raise LinkLost("something is missing")
                for event in reply.events:
                    self._apply(process, event)
                self._cursor = after = reply.to
            case _:
                pass
        news, self._news = self._news, trio.Event()
        news.set()
        return after

    def _apply(self, process: Process, event: Event) -> None:
        seen = self._jobs.get(event.job)
        if event.type is EventType.JOB_DELETED:
            self._jobs.pop(event.job, None)
        elif seen is None or event.version > seen.version:
            try:
                state = next_state(None if seen is None else seen.state, event.type)
            except IllegalTransition as exc:
                self._world.note(process.lane, "misdrawn", seq=event.seq, message=str(exc))
                return
            assert state is not None, "only a deletion leaves nothing"
            self._jobs[event.job] = Seen(event.version, state)
