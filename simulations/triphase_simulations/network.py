"""A network between simulated processes: byte streams that are slow, that break, and that go deaf.

A *line* is one connection. What is sent over it arrives after a while, in order; a plan can make
that longer (`delay`), break the line in the middle of what is sent (`cut`), or let everything sent
from now on vanish without a sign (`vanish`), as when a cable is pulled. A process that dies takes
its ends of lines with it: the other side reads what was on its way, and then the end.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import attrs
import trio

if TYPE_CHECKING:
    from .world import Process, World

LATENCY: Final = 0.0005
"""Virtual seconds that everything takes to arrive."""

CAPACITY: Final = 65536
"""Bytes that a line holds in one direction before a sender has to wait, unless told another."""


@attrs.define(eq=False)
class Pipe:
    """One direction of a line."""

    capacity: int
    chunks: deque[tuple[float, bytes]] = attrs.field(factory=deque[tuple[float, bytes]])
    """What is on its way, each with the time at which it arrives."""

    held: int = 0
    """Bytes that are on their way."""

    ended: bool = False
    """Nothing is sent any more."""

    arrives: float = -math.inf
    changed: trio.Event = attrs.field(factory=trio.Event)

    def send(self, data: bytes, arrives: float) -> None:
        """Put something on its way, behind what is there."""
        self.arrives = max(self.arrives, arrives)
        self.chunks.append((self.arrives, data))
        self.held += len(data)
        self.tell()

    def take(self, most: int) -> bytes:
        """Take the first of what has arrived."""
        arrives, data = self.chunks.popleft()
        taken, rest = data[:most], data[most:]
        if rest:
            self.chunks.appendleft((arrives, rest))
        self.held -= len(taken)
        self.tell()
        return taken

    def drop(self) -> None:
        """Lose what is on its way."""
        self.chunks.clear()
        self.held = 0

    def tell(self) -> None:
        """Wake whoever waits for a change."""
        changed, self.changed = self.changed, trio.Event()
        changed.set()


@attrs.define(eq=False)
class Line:
    """One connection."""

    network: Network
    names: tuple[str, str]
    """Who is at its ends: who has called, and who was called."""

    lane: str
    """Whose lane of the history tells what becomes of it: the caller's."""

    pipes: tuple[Pipe, Pipe]
    """What the first sends, and what the second sends."""

    broken: bool = False
    """It was cut: what has arrived can be read, and that is all."""

    vanished: bool = False
    """What is sent goes nowhere, and nobody is told."""

    @property
    def whole(self) -> bool:
        """True as long as what is sent arrives."""
        return not (self.broken or self.vanished)

    def cut(self) -> None:
        """Break it. Never waits."""
        self.broken = True
        self.tell()

    def vanish(self) -> None:
        """Let everything vanish from now on. Never waits."""
        self.vanished = True
        for pipe in self.pipes:
            pipe.drop()
        self.tell()

    def tell(self) -> None:
        """Wake whoever waits at either end."""
        for pipe in self.pipes:
            pipe.tell()


class End(trio.abc.Stream):
    """One end of a line.

    Args:
      line: which.
      side: 0 is who has called.
      process: whose end it is.
    """

    def __init__(self, line: Line, side: int, process: Process) -> None:
        self.line = line
        self.side = side
        self.process = process
        self._closed = False
        self._out, self._in = line.pipes[side], line.pipes[1 - side]
        self._site = f"{line.names[side]}>{line.names[1 - side]}"

    def __repr__(self) -> str:
        return f"<End {self._site}>"

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        rest = bytes(data)
        await trio.lowlevel.checkpoint()
        while rest:
            rest = rest[self._write(rest) :]
            if rest:
                await self._room()

    def write_nowait(self, data: bytes) -> int:
        """Send as much as there is room for; return how much that was. Never waits.

        Raises:
          BlockingIOError: if there is no room.
          OSError: if the line is of no use any more.
        """
        try:
            written = self._write(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise BrokenPipeError(str(exc)) from exc
        if not written:
            raise BlockingIOError
        return written

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint()
        self._check()
        await self._room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        await trio.lowlevel.checkpoint()
        while True:
            self._check()
            now = trio.current_time()
            wakes = max(self._in.chunks[0][0] if self._in.chunks else math.inf, self._deaf_until())
            if self._in.chunks and wakes <= now:
                return self._in.take(max_bytes or CAPACITY)
            # Over a line that has vanished not even its end is heard of.
            if not self._in.chunks and not self.line.vanished:
                if self.line.broken:
                    raise trio.BrokenResourceError("the line was cut")
                if self._in.ended:
                    return b""
            with trio.move_on_at(wakes):
                await self._in.changed.wait()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close it at once: the other side reads what is on its way, and then the end."""
        over = self._closed or self._in.ended or self.process.dead
        if self.side == 1 and self.line.whole and not over:
            self._note("hung up", by=self.process.name)
        self._closed = True
        self._out.ended = True
        self.line.tell()

    def _write(self, data: bytes) -> int:
        self._check()
        if self.line.vanished:
            # The kernel takes it, and tries for ever.
            return len(data)
        if self.line.broken or self._in.ended:
            raise trio.BrokenResourceError("nobody is at the other end")
        part = data[: max(0, self._out.capacity - self._out.held)]
        if not part:
            return 0
        next = self.line.network.world.plan.next
        arrives = trio.current_time() + LATENCY + next("delay", self._site)
        if next("vanish", self._site):
            self._note("vanished")
            self.line.vanish()
        elif kept := next("cut", self._site):
            if known := part[: int(len(part) * kept)]:
                self._out.send(known, arrives)
            self._note("cut", arrived=len(known), sent=len(part))
            self.line.cut()
        else:
            self._out.send(part, arrives)
        return len(part)

    async def _room(self) -> None:
        while self._out.held >= self._out.capacity:
            self._check()
            if self.line.vanished:
                return
            if self.line.broken or self._in.ended:
                raise trio.BrokenResourceError("nobody is at the other end")
            await self._out.changed.wait()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end was closed")

    def _note(self, what: str, **data: str | int) -> None:
        self.line.network.world.note(self.line.lane, what, site=self._site, **data)

    def _deaf_until(self) -> float:
        return self.line.network.deaf.get(self.line.names[self.side], -math.inf)


class Listener(trio.abc.Listener[End]):
    """Where a process is called."""

    def __init__(self) -> None:
        self.closed = False
        self._calls: deque[End] = deque()
        self._changed = trio.Event()

    async def accept(self) -> End:
        """See `trio.abc.Listener`."""
        await trio.lowlevel.checkpoint()
        while not self._calls:
            if self.closed:
                raise trio.ClosedResourceError("nobody listens here any more")
            await self._changed.wait()
        return self._calls.popleft()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Take no more calls, and give up those that nobody has taken."""
        self.closed = True
        while self._calls:
            self._calls.popleft().abort()
        self._tell()

    def call(self, end: End) -> None:
        """Be called. Never waits."""
        self._calls.append(end)
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()


class Network:
    """See the module's text.

    Args:
      world: whose plan disturbs it.
      capacity: bytes that a line holds in one direction.
    """

    def __init__(self, world: World, capacity: int = CAPACITY) -> None:
        self.world = world
        self.deaf: dict[str, float] = {}
        """Until when a process reads nothing of what comes, by its name."""

        self._capacity = capacity
        self._listeners: dict[str, tuple[Process, Listener]] = {}
        self._ends: list[End] = []
        world.on_death.append(self._bury)

    def listen(self, process: Process) -> Listener:
        """Return where a process is called by its name, as long as it lives."""
        listener = Listener()
        self._listeners[process.name] = (process, listener)
        return listener

    async def dial(self, process: Process, name: str) -> End:
        """Call a process by its name. A checkpoint.

        Args:
          process: who calls.
          name: who is called.

        Raises:
          OSError: if nobody listens there, or the call is cut.
        """
        plan, site = self.world.plan, f"{process.name}>{name}"
        await trio.sleep(2 * LATENCY + plan.next("delay", site))
        if plan.next("vanish", site):
            self.world.note(process.lane, "unreached", why="vanished")
            await trio.sleep_forever()
        called = self._listeners.get(name)
        if called is None or called[1].closed:
            raise ConnectionRefusedError(f"nobody listens at {name}")
        if plan.next("cut", site):
            self.world.note(process.lane, "unreached", why="cut")
            raise ConnectionResetError(f"the call of {name} was cut")
        pipes = Pipe(self._capacity), Pipe(self._capacity)
        line = Line(self, (process.name, name), process.lane, pipes)
        ours, theirs = End(line, 0, process), End(line, 1, called[0])
        self._ends = [end for end in self._ends if not end.line.broken]
        self._ends += [ours, theirs]
        called[1].call(theirs)
        return ours

    def dialling(self, process: Process, name: str) -> Callable[[], Awaitable[trio.abc.Stream]]:
        """Return what calls a process by its name: a client's `dial`."""
        return functools.partial(self.dial, process, name)

    def hear_nothing(self, name: str, seconds: float) -> None:
        """Let a process read nothing of what comes for so long. Never waits."""
        self.deaf[name] = max(self.deaf.get(name, -math.inf), trio.current_time() + seconds)

    def _bury(self, process: Process) -> None:
        """A process has died: the system it ran on closes its ends."""
        for end in self._ends:
            if end.process is process:
                end.abort()
        listener = self._listeners.get(process.name)
        if listener is not None and listener[0] is process:
            listener[1].close()
