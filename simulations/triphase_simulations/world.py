"""The world that a simulated program runs in: its clock, its disks, its processes and their deaths.

A *process* is everything that was started inside of it: each task carries its mark. When it is
killed, its handles on disks are fenced, so that nothing of it reaches them any more, and its tasks
are never run again. It is not cancelled: clean-up code that a cancel runs would write to the disk
what no `kill -9` lets anybody write. What was committed survives, and a new process starts on it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextvars import ContextVar
from typing import Any, Final, NoReturn

import attrs
import trio
import trio.testing

import triphase
from triphase.entropy import Entropy
from triphase.store import Disk, Operation, Result, SimulatedStore
from triphase_protocol import StoreUnavailable

from .escapes import sealed
from .history import History, Ran
from .plan import Plan, mix
from .scheduling import Schedule, all_tasks, installed, is_leaf, main_task, throw_into, wait_of

PROCESS: ContextVar[Process | None] = ContextVar("triphase_process", default=None)
"""The simulated process that the current task belongs to."""

WORLD: ContextVar[World | None] = ContextVar("triphase_world", default=None)
"""The world of the current run."""

OVER: Final = "the run is over"
"""Why the processes are killed that are left at the end."""

ROUNDS_MOST: Final = 500
"""How often what is left of dead processes is told to end, before it is given up."""


SECONDS_MOST: Final = 5_000.0
"""Virtual seconds after which a run never ends: something goes on, and leads nowhere."""


class ProcessKilled(BaseException):
    """The process that this runs in is dead. Not an `Exception`: nothing handles its own death."""


class Stuck(Exception):
    """Nothing will ever happen any more, or time does not go on; the message says who waits."""


@attrs.define(eq=False)
class Process:
    """One life of a simulated process."""

    name: str
    incarnation: int
    world: World = attrs.field(repr=False)
    dead: bool = False
    handles: list[SimulatedStore] = attrs.field(factory=list[SimulatedStore])
    """What is fenced when it dies."""

    nursery: trio.Nursery | None = attrs.field(default=None, repr=False)
    """Where its tasks run that are nobody's children: trio's system tasks among them."""

    ended: trio.Event = attrs.field(factory=trio.Event)
    """Set when it has come to its end by itself, or was killed."""

    @property
    def lane(self) -> str:
        """Its name, for people: with the number of its life if it is not the first."""
        return self.name if self.incarnation == 1 else f"{self.name}#{self.incarnation}"

    def spawn(self, function: Callable[..., Awaitable[object]], *args: Any, name: str) -> bool:
        """Start a task inside of the process; False if it is past that. Never waits."""
        if self.nursery is None or self.dead:
            return False
        token = PROCESS.set(self)
        try:
            self.nursery.start_soon(function, *args, name=name)
        finally:
            PROCESS.reset(token)
        return True


class NumberedIds(Entropy):
    """Ids that count up, so that they mean the same in every run of a plan."""

    def __init__(self, seed: int, counter: Callable[[], int]) -> None:
        super().__init__(seed=seed)
        self._counter = counter

    def id(self) -> str:
        """Return the next of `j1`, `j2` and so on."""
        return f"j{self._counter()}"


class World:
    """See the module's text.

    Args:
      plan: what disturbs it.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.history = History()
        self.clock = triphase.TrioClock()
        self.processes: list[Process] = []
        self.unwinding = False
        self._ids = 0
        self._lives: dict[str, int] = {}
        self._schedule = Schedule(plan)
        self._schedule.is_frozen = self._is_frozen
        self._schedule.before_step = self._before_step
        self._schedule.on_stuck = self._on_stuck
        self._began = 0.0
        self._stuck: Stuck | None = None
        self.on_death: list[Callable[[Process], None]] = []
        """Called with each process as it dies, or ends."""

        self.on_commit: list[Callable[[SimulatedStore], None]] = []
        """Called after each transaction, when it is durable and nobody has heard of it."""

    def now(self) -> float:
        """Return the virtual seconds since the beginning."""
        return trio.current_time() - self._began

    def note(self, lane: str, what: str, **data: Any) -> None:
        """Add to the history."""
        self.history.note(self.now(), lane, what, **data)

    @contextlib.contextmanager
    def running(self, ctx: triphase.Context) -> Generator[None]:
        """Note that a handler is started, and at the end of the block how it has ended.

        What is left of a dead process is let run on when all is over, and cancelled then: that is
        no end of a handler, and is not noted.
        """
        process = PROCESS.get()
        began = Ran(
            process=process.lane if process else "-",
            job=ctx.job_id,
            run=ctx.run,
            phase=ctx.phase,
            attempt=ctx.attempt,
            began=round(self.now(), 6),
        )
        place, how = len(self.history.ran), "raised"
        self.history.ran.append(began)
        try:
            yield
            how = "returned"
        except trio.Cancelled:
            how = "cancelled"
            raise
        finally:
            if process is None or not process.dead:
                ended = attrs.evolve(began, ended=round(self.now(), 6), how=how)
                self.history.ran[place] = ended

    @property
    def schedule(self) -> Schedule:
        """What decides which task runs when."""
        return self._schedule

    @property
    def steps(self) -> int:
        """How many steps of tasks were taken."""
        return self._schedule.steps

    def entropy(self) -> Entropy:
        """Return a source of ids and draws for one process: the plan's, not the machine's."""
        seed = mix(self.plan.seed or 1, len(self.processes))
        return NumberedIds(seed, self._next_id)

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    # Running

    def run(self, main: Callable[[], Awaitable[None]]) -> History:
        """Run a program to its end in this world, under virtual time; return what happened.

        Raises:
          Stuck: if nothing will ever happen any more.
          Exception: what *main* raises.
        """
        # Only a mock clock can jump, and only to the next deadline.
        clock = trio.testing.MockClock(autojump_threshold=0)
        with self.entered(self.plan.seed or 0):
            trio.run(self.live, main, clock=clock)
        return self.history

    @contextlib.contextmanager
    def entered(self, seed: int) -> Generator[None]:
        """Let what runs in this block be inside of the world: its time, chance and order of tasks.

        Args:
          seed: for what is random in it.
        """
        token = WORLD.set(self)
        try:
            with (
                sealed(seed, self._wall),
                installed(self._schedule),
                _quiet_logs(),
                _system_tasks_in_processes(),
            ):
                yield
        finally:
            WORLD.reset(token)

    def _wall(self) -> float:
        try:
            return self.clock.now()
        except RuntimeError:
            return 0.0

    async def live(self, main: Callable[[], Awaitable[None]]) -> None:
        """Run a program, and bring what is left of its processes to its end: what `run` runs."""
        self._began = trio.current_time()
        self._schedule.over_at = self._began + SECONDS_MOST
        async with trio.open_nursery() as self._nursery:
            try:
                await main()
            finally:
                # What is left of the processes must end first, or the nursery never would.
                self.history.seconds = round(self.now(), 6)
                with trio.CancelScope(shield=True):
                    await self._unwind()

    # Processes

    def start(self, name: str, main: Callable[[Process], Awaitable[None]], **about: Any) -> Process:
        """Start a process. Never waits.

        Args:
          name: what it is called.
          main: what it runs.
          about: more about it, for the history.
        """
        life = self._lives[name] = self._lives.get(name, 0) + 1
        process = Process(name, life, self)
        self.processes.append(process)
        token = PROCESS.set(process)
        try:
            self._nursery.start_soon(self._live, process, main, name=f"process:{name}")
        finally:
            # The mark is the new task's alone.
            PROCESS.reset(token)
        self.note(process.lane, "started", **about)
        return process

    async def _live(self, process: Process, main: Callable[[Process], Awaitable[None]]) -> None:
        try:
            async with trio.open_nursery() as process.nursery:
                await main(process)
                self._leave(process)
        except* ProcessKilled:
            pass
        except* Exception:
            # What the dead raise on their way out says nothing.
            if not process.dead:
                raise

    def _leave(self, process: Process) -> None:
        """The main task of a process has returned: the process is over, with all that is left."""
        me = trio.lowlevel.current_task()
        left = [
            task.name
            for task in all_tasks()
            if task.context.get(PROCESS) is process and task is not me
        ]
        self.note(process.lane, "ended", left=left)
        self._bury(process)

    def kill(self, process: Process, why: str) -> None:
        """Kill a process at once: nothing of it runs any more, or reaches a disk. Never waits."""
        if process.dead:
            return
        self.note(process.lane, "killed", why=why)
        self._bury(process)

    def _bury(self, process: Process) -> None:
        process.dead = True
        for handle in process.handles:
            handle.fence()
        for call in self.on_death:
            call(process)
        process.ended.set()
        self._schedule.freeze()

    def die(self, process: Process, why: str) -> NoReturn:
        """Kill the process in which this is called.

        Raises:
          ProcessKilled: always.
        """
        self.kill(process, why)
        raise ProcessKilled(why)

    def _is_frozen(self, task: trio.lowlevel.Task) -> bool:
        process = task.context.get(PROCESS)
        return process is not None and process.dead and not self.unwinding

    def _before_step(self, task: trio.lowlevel.Task) -> None:
        process = task.context.get(PROCESS)
        if process is None or process.dead or self.unwinding:
            return
        if self.plan.next("crash", f"step:{task.name}"):
            self.kill(process, f"as {task.name} took a step")

    def _on_stuck(self, why: str) -> None:
        waiting = [
            f"  {task.name}: {wait_of(task)}"
            for task in all_tasks()
            if not self._is_frozen(task) and "trio" not in task.name.split(".")[0]
        ]
        if self._stuck is not None:
            # Told before, and to no avail: better a broken run than one that never ends.
            raise self._stuck
        self._stuck = Stuck("\n".join([why, *waiting]))
        throw_into(main_task(), self._stuck)

    async def _unwind(self) -> None:
        """Bring every task of every process to its end, whatever it waits for."""
        for process in self.processes:
            self.kill(process, OVER)
        self.unwinding = True
        self._schedule.thaw()
        for _ in range(ROUNDS_MOST):
            left = [task for task in all_tasks() if task.context.get(PROCESS) is not None]
            if not left:
                return
            for task in left:
                if is_leaf(task):
                    throw_into(task, ProcessKilled(OVER))
            await trio.lowlevel.checkpoint()
        names = ", ".join(task.name for task in all_tasks() if task.context.get(PROCESS))
        raise Stuck(f"what is left of dead processes will not end: {names}")


class WorldStore(SimulatedStore):
    """A simulated store that the plan stalls, refuses and crashes.

    Args:
      world: whose plan decides.
      process: what dies in a crash.
      disk: what survives it.
    """

    def __init__(self, world: World, process: Process, disk: Disk) -> None:
        super().__init__(disk, at=self._reach)
        self._world = world
        self._process = process
        process.handles.append(self)
        self.writing: Sequence[Operation] = ()
        """What is written just now, or was written last."""

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        """See `Store.write`."""
        plan = self._world.plan
        await self._stall("store.write")
        if plan.next("refuse", "store.write"):
            self._world.note(self._process.lane, "refused")
            raise StoreUnavailable("the disk is full")
        if seconds := plan.next("step", "store.write"):
            self._world.clock.step(seconds)
            self._world.note("clock", "stepped", seconds=seconds)
        self.writing = operations
        results = await super().write(operations)
        await self._stall("store.answer")
        return results

    async def _stall(self, site: str) -> None:
        if seconds := self._world.plan.next("stall", site):
            with trio.CancelScope(shield=True):
                await trio.sleep(seconds)

    def _reach(self, point: str) -> None:
        site = f"store.{point.partition(':')[0]}"
        if point == "after":
            # First of all: what is durable is so whether or not the process lives to tell.
            for call in self._world.on_commit:
                call(self)
        if self._world.plan.next("crash", site):
            self._world.die(self._process, f"at {site}")


@contextlib.contextmanager
def _quiet_logs() -> Generator[None]:
    """What dies in a simulation dies on purpose: nobody wants to read of it."""
    log = logging.getLogger("triphase")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def _system_tasks_in_processes() -> Generator[None]:
    """Let a process's system tasks be its own: they die with it."""
    real: Any = trio.lowlevel.spawn_system_task

    def spawn(function: Any, *args: Any, name: Any = None, context: Any = None) -> Any:
        process = PROCESS.get()
        if process is None:
            return real(function, *args, name=name, context=context)
        process.spawn(function, *args, name=name or function.__qualname__)
        return None

    lowlevel: Any = trio.lowlevel
    lowlevel.spawn_system_task = spawn
    try:
        yield
    finally:
        lowlevel.spawn_system_task = real
