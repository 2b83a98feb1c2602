"""Moments of a run that something else can be tied to, and points at which a task can be held."""

from __future__ import annotations

import attrs
import trio

from triphase_protocol import Event


@attrs.frozen(kw_only=True)
class Moment:
    """A moment of a run; made by `Sim.boundary`, `Sim.event`, `Sim.reached` and `Sim.after`."""

    event: str | None = None
    """The type of an event: the moment is its commit, before anybody has heard of it."""

    job: str | None = None
    """The id of the event's job; None is any."""

    phase: str | None = None
    """The event's phase; None is any."""

    point: str | None = None
    """A named point that somebody passes."""

    nth: int = 1
    """The how many-th time, from the beginning of the run."""

    seconds: float | None = None
    """So long after it was asked for."""

    def is_of(self, event: Event) -> bool:
        """True if it is this kind of event that it waits for."""
        return (
            self.event == event.type.value
            and self.job in (None, event.job)
            and self.phase in (None, event.phase)
        )


@attrs.define(eq=False)
class PointStop:
    """Somebody is to be held at a named point."""

    point: str
    nth: int
    reached: trio.Event = attrs.field(factory=trio.Event)
    released: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class _Waiting:
    moment: Moment
    left: int
    come: trio.Event = attrs.field(factory=trio.Event)

    def count(self) -> None:
        self.left -= 1
        if self.left <= 0:
            self.come.set()


class Moments:
    """Knows what has happened, and wakes who waits for it."""

    def __init__(self) -> None:
        self._log: list[Event] = []
        self._passes: dict[str, int] = {}
        self._waiting: list[_Waiting] = []
        self._stops: list[PointStop] = []

    def committed(self, event: Event) -> None:
        """An event was committed."""
        self._log.append(event)
        for waiting in self._waiting:
            if waiting.moment.is_of(event):
                waiting.count()

    async def passing(self, point: str) -> None:
        """Somebody is at a point: wait if it is to be held there."""
        self._passes[point] = self._passes.get(point, 0) + 1
        for waiting in self._waiting:
            if waiting.moment.point == point:
                waiting.count()
        for stop in list(self._stops):
            if stop.point == point and self._passes[point] >= stop.nth:
                stop.reached.set()
                await stop.released.wait()

    async def wait(self, moment: Moment) -> None:
        """Wait for a moment; at once if it is past."""
        if moment.seconds is not None:
            await trio.sleep(moment.seconds)
            return
        waiting = _Waiting(moment, moment.nth - self._count(moment))
        if waiting.left <= 0:
            await trio.lowlevel.checkpoint()
            return
        self._waiting.append(waiting)
        try:
            await waiting.come.wait()
        finally:
            self._waiting.remove(waiting)

    def stop(self, point: str, nth: int) -> PointStop:
        """Hold whoever passes a point, from the *nth* time from now on."""
        stop = PointStop(point, self._passes.get(point, 0) + nth)
        self._stops.append(stop)
        return stop

    def let_go(self, stop: PointStop) -> None:
        """Let who is held go on."""
        self._stops.remove(stop)
        stop.released.set()

    def _count(self, moment: Moment) -> int:
        if moment.point is not None:
            return self._passes.get(moment.point, 0)
        return sum(moment.is_of(event) for event in self._log)
