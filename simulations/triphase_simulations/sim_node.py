"""The process that a test's runtime lives in, started again whenever it has died."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, TypeVar, cast

import attrs
import trio

import triphase
from triphase.checks import Webhooks
from triphase.definition import Definition, definition_of
from triphase.phases import Phase, PhaseKind
from triphase.store import Disk, SimulatedStore
from triphase_protocol import Event, TriphaseError

from .answers import shown
from .escapes import SimulationEscape
from .sim_moments import Moments
from .world import Process, World, WorldStore

R = TypeVar("R")

DOWN: Final = 0.5
"""Virtual seconds between the death of a process and the start of the next."""

_MARK: Final = "__triphase_definition__"


class ProcessDied(TriphaseError):
    """The process died before it answered: whether the call took effect is not known."""

    code = "process_died"


@attrs.frozen(kw_only=True)
class Options:
    """What the runtime is opened with, in each of its lives."""

    jobs: tuple[type, ...]
    queues: Mapping[str, triphase.Queue] | None
    limit: int
    retention: triphase.Retention | None
    drain_timeout: float
    webhooks: Webhooks | None
    secrets: Mapping[str, str | Sequence[str]] | None
    sending: triphase.Sending


class PointStore(WorldStore):
    """A store of the world at whose named points somebody can be held."""

    def __init__(self, world: World, process: Process, disk: Disk, moments: Moments) -> None:
        super().__init__(world, process, disk)
        self._moments = moments

    async def _stall(self, site: str) -> None:
        with trio.CancelScope(shield=True):
            await self._moments.passing(site)
        await super()._stall(site)


@attrs.define(eq=False)
class Life:
    """One life of the process, with its runtime."""

    process: Process
    runtime: triphase.Runtime
    calls: dict[int, trio.Event] = attrs.field(factory=dict[int, trio.Event])
    """Who waits for an answer of it."""


@attrs.frozen
class Commit:
    """An event that was committed, and when."""

    time: float
    """Virtual seconds since the beginning."""

    entries: int
    """How many entries the history had by then."""

    event: Event


class Node:
    """See the module's text.

    Args:
      world: where it lives.
      options: what its runtime is opened with.
      moments: are told what was committed.
      on_commit: called after each transaction, when it is durable.
      on_crash: called with the error of a runtime that ended by itself.
    """

    def __init__(
        self,
        world: World,
        options: Options,
        moments: Moments,
        *,
        on_commit: Callable[[], None],
        on_crash: Callable[[TriphaseError], None],
    ) -> None:
        self.world = world
        self.options = options
        self.disk = Disk()
        self.log: list[Event] = []
        self.commits: list[Commit] = []
        self.groups: list[int] = []
        self.names: dict[str, str] = {}
        """The keys of the jobs that have one, by id."""

        self.life: Life | None = None
        self._moments = moments
        self._on_commit = on_commit
        self._on_crash = on_crash
        self._process: Process | None = None
        self._refused: TriphaseError | None = None
        self._up = trio.Event()
        self._leave = trio.Event()
        self._changed = trio.Event()
        self._cursor = 0
        self._calls = 0
        world.on_commit.append(self._committed)

    async def keep_up(self) -> None:
        """Start the process, and start it again whenever it has gone; until cancelled."""
        while self._refused is None:
            self._leave = trio.Event()
            process = self._process = self.world.start("node", self._live)
            await process.ended.wait()
            life, self.life = self.life, None
            if life is not None:
                for over in life.calls.values():
                    over.set()
                self._up = trio.Event()
            await trio.sleep(DOWN)

    async def alive(self) -> Life:
        """Return the life that is under way; wait for the next one if there is none.

        Raises:
          TriphaseError: if the runtime cannot be opened at all.
        """
        while self.life is None or self.life.process.dead:
            up = self._up
            if self.life is not None:
                # Its keeper is about to notice.
                await self.life.process.ended.wait()
                await trio.lowlevel.checkpoint()
            else:
                await up.wait()
            if self._refused is not None:
                raise self._refused
        return self.life

    def kill(self, why: str) -> None:
        """Kill the process at once, if it is there."""
        if self._process is not None:
            self.world.kill(self._process, why)

    async def restart(self) -> None:
        """Have the process leave in good order, and wait for its next life."""
        process = self._process
        if process is not None and not process.dead:
            self._leave.set()
            await process.ended.wait()
        await self.alive()

    async def changed(self) -> None:
        """Wait for the next transaction."""
        await self._changed.wait()

    def stir(self) -> None:
        """Wake who waits for a change, as a transaction does."""
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def ask(self, op: str, about: str | None, call: Callable[..., Awaitable[R]]) -> R:
        """Do something with the runtime, inside of the process, and return what comes of it.

        Raises:
          ProcessDied: if the process died first.
          Exception: what the call raises.
        """
        life = await self.alive()
        self._calls = number = self._calls + 1
        answered, answers = trio.Event(), list[Callable[[], R]]()
        scope = trio.CancelScope()
        noted = self._asked(f"client:{number}", op, about)

        async def ask() -> None:
            with scope:
                try:
                    value = await call(life.runtime)
                except Exception as exc:
                    answer, said = _raiser(exc), cast("object", exc)
                else:
                    answer, said = (lambda: value), value
                if not life.process.dead:
                    answers.append(answer)
                    noted(said)
            answered.set()

        if not life.process.spawn(ask, name=f"client:{number}"):
            await trio.lowlevel.checkpoint()
            raise ProcessDied(f"{op}: the process had gone")
        life.calls[number] = answered
        try:
            await answered.wait()
        finally:
            del life.calls[number]
            scope.cancel(reason="nobody waits for the answer any more")
        if not answers:
            raise ProcessDied(f"{op}: the process died before it answered")
        return answers[0]()

    def _asked(self, lane: str, op: str, name: str | None) -> Callable[[object], None]:
        """Note a question; returns what notes its answer."""
        self.world.note(lane, "asked", op=op, name=name)

        def noted(answer: object) -> None:
            if isinstance(answer, Exception):
                code = answer.code if isinstance(answer, TriphaseError) else type(answer).__name__
                self.world.note(lane, "denied", op=op, name=name, error=code, message=str(answer))
            else:
                self.world.note(lane, "answered", op=op, name=name, answer=shown(answer))

        return noted

    async def _live(self, process: Process) -> None:
        world, options = self.world, self.options
        try:
            async with triphase.open_runtime(
                options.jobs,
                store=PointStore(world, process, self.disk, self._moments),
                queues=options.queues,
                limit=options.limit,
                retention=options.retention,
                drain_timeout=options.drain_timeout,
                clock=world.clock,
                entropy=world.entropy(),
                webhooks=options.webhooks,
                secrets=options.secrets,
                sending=options.sending,
            ) as runtime:
                self.life = Life(process, runtime)
                process.spawn(self._follow, process, runtime, name="follower")
                self._up.set()
                await self._leave.wait()
                world.note(process.lane, "leaving")
        except TriphaseError as exc:
            if process.dead:
                # Told on its way out, when the run is over: it says nothing.
                return
            world.note(process.lane, "crashed", error=type(exc).__name__, message=str(exc))
            if isinstance(exc, triphase.DefinitionError | triphase.InvalidValue):
                self._refused = exc
                self._up.set()
            else:
                self._on_crash(exc)

    async def _follow(self, process: Process, runtime: triphase.Runtime) -> None:
        """Follow the events, as a client whose cursor outlives the process."""
        note = self.world.note
        try:
            async for event in runtime.events(after=min(self._cursor, self.disk.last_seq)):
                self._cursor = event.seq
                note(process.lane, "heard", seq=event.seq, job=event.job, version=event.version)
        except TriphaseError as exc:
            if not process.dead:
                note(process.lane, "follower ended", error=type(exc).__name__)

    def _committed(self, store: SimulatedStore) -> None:
        fresh = store.committed
        if not fresh:
            return
        for event in fresh:
            self.log.append(event)
            place = len(self.world.history.entries)
            self.commits.append(Commit(round(self.world.now(), 6), place, event))
            if event.type is triphase.EventType.JOB_SUBMITTED:
                key = self.disk.key_of(event.job)
                if key is not None:
                    self.names[event.job] = key
            self._moments.committed(event)
        self.groups.append(fresh[-1].seq)
        self.stir()
        self._on_commit()


def _raiser(exc: Exception) -> Callable[[], Any]:
    def raise_it() -> Any:
        raise exc

    return raise_it


# Handlers


@contextmanager
def witnessed(world: World, jobs: Iterable[type]) -> Generator[None]:
    """Note in the history when a handler of these job types begins and ends.

    Raises:
      DefinitionError: if one is no job type.
      SimulationEscape: if a phase needs a process of its own.
    """
    definitions = [definition_of(cls) for cls in dict.fromkeys(jobs)]
    for definition in definitions:
        _check_inside(definition)
    try:
        for each in definitions:
            phases = tuple(attrs.evolve(p, handler=_noted(world, p)) for p in each.phases)
            setattr(each.cls, _MARK, attrs.evolve(each, phases=phases))
        yield
    finally:
        for each in definitions:
            setattr(each.cls, _MARK, each)


def _check_inside(definition: Definition) -> None:
    for phase in definition.phases:
        if phase.kind in (PhaseKind.PROCESS, PhaseKind.COMMAND):
            raise SimulationEscape(
                f"phase {phase.name!r} of job type {definition.name!r} runs in a process of its "
                "own: what it does cannot be simulated"
            )


def _noted(world: World, phase: Phase[Any]) -> Callable[..., Any]:
    handler = phase.handler

    @wraps(handler)
    async def act(self: Any, ctx: triphase.Context) -> Any:
        with world.running(ctx):
            return await cast("Awaitable[Any]", handler(self, ctx))

    @wraps(handler)
    def act_plainly(self: Any, ctx: triphase.Context) -> Any:
        with world.running(ctx):
            return handler(self, ctx)

    return act if phase.kind is PhaseKind.TASK else act_plainly
