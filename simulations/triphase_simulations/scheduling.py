"""trio's loop, taken over for the time of one run: the only file that knows trio's insides.

Once in each turn the loop hands the list of tasks that are about to run to a random generator, to
be shuffled. Whatever stands in its place there may reorder the list, keep a task for later, or
keep it for ever. Three private names of `trio._core._run` are used for it, the same in every
release since 0.11; `check_trio` says loudly when that has changed.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import attrs
import trio
import trio._core._run as _run
import trio.testing

from .plan import Plan

_trio: Final[Any] = _run

TURNS_MOST: Final = 100_000
"""How many turns of the loop may pass without any virtual time: more is a livelock."""


class TrioChanged(Exception):
    """This release of trio has other insides than the simulations rely on."""


def check_trio() -> None:
    """Check that trio's loop can be taken over.

    Raises:
      TrioChanged: if it cannot, with what is missing.
    """
    for name in ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r", "GLOBAL_RUN_CONTEXT"):
        if not hasattr(_trio, name):
            raise TrioChanged(f"trio {trio.__version__} has no trio._core._run.{name}")
    seen: list[list[str]] = []

    class Probe(Schedule):
        def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
            seen.append([task.name for task in batch])
            super().shuffle(batch)

    async def main() -> None:
        await trio.lowlevel.checkpoint()

    with installed(Probe(Plan())):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    if not any("main" in name for names in seen for name in names):
        raise TrioChanged(f"trio {trio.__version__} does not ask for the order of its tasks")


@attrs.define(eq=False)
class Stop:
    """A task that is kept from running, from one of its steps on, until it is let go."""

    task: str
    """The task's name."""

    step: int
    """Which of its steps it does not take, counted as a plan counts them."""

    reached: trio.Event = attrs.field(factory=trio.Event)
    """Set when it has come so far."""

    held: list[trio.lowlevel.Task] = attrs.field(factory=list[trio.lowlevel.Task])
    """Who is kept."""


class Schedule:
    """Which task runs when. Put in the place of trio's random generator by `installed`.

    Args:
      plan: says which task is held, and for how long.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._held: dict[trio.lowlevel.Task, float] = {}
        self._parked: list[trio.lowlevel.Task] = []
        self._batch: list[trio.lowlevel.Task] = []
        self._stops: list[Stop] = []
        self._turns = 0
        self._time = -math.inf
        self.steps = 0
        """Steps of tasks that were taken."""

        self.is_frozen: Callable[[trio.lowlevel.Task], bool] = lambda task: False
        """Says of a task that it must not run: its process is dead."""

        self.before_step: Callable[[trio.lowlevel.Task], None] = lambda task: None
        """Called with each task that is about to run."""

        self.over_at = math.inf
        """The time, by trio's clock, at which what still runs never ends."""

        self.on_stuck: Callable[[str], None] = lambda why: None
        """Called when nothing will ever run again, or time does not go on."""

    def random(self) -> float:
        """Return what trio's own clock asks for: nothing random."""
        return 0.0

    def uniform(self, low: float, high: float) -> float:
        """The same."""
        return low

    def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
        """Decide what runs in this turn, first to last; see the module's text."""
        # Decided about here: a death in the middle of it has nothing to take out.
        self._batch = []
        runner = _trio.GLOBAL_RUN_CONTEXT.runner
        self._watch(runner, batch)
        later: deque[trio.lowlevel.Task] = runner.runq
        chosen: list[trio.lowlevel.Task] = []
        for task in batch:
            if self.is_frozen(task):
                self._parked.append(task)
            elif self._is_stopped(task):
                pass
            elif self._keep(task):
                later.append(task)
            else:
                chosen.append(task)
        for task in chosen:
            self.before_step(task)
        # What `before_step` has frozen, in a crash, does not run any more either.
        chosen = [task for task in chosen if not self._park_if_frozen(task)]
        self.steps += len(chosen)
        # The loop takes them from the end.
        batch[:] = chosen[::-1]
        self._batch = batch

    def freeze(self) -> None:
        """A process has just died: take its tasks out of the turn that is under way."""
        self._batch[:] = [task for task in self._batch if not self._park_if_frozen(task)]

    def thaw(self) -> None:
        """Let every parked task run again, to come to its end."""
        later: deque[trio.lowlevel.Task] = _trio.GLOBAL_RUN_CONTEXT.runner.runq
        parked, self._parked = self._parked, []
        later.extend(parked)
        self._held.clear()
        for stop in list(self._stops):
            self.let_go(stop)

    def stop(self, task: str, at_step: int | None = None) -> Stop:
        """Keep the task of this name from running, from a step on, until `let_go`.

        Args:
          task: its name.
          at_step: the step that it does not take, counted as a plan counts them; None is its
            next one.
        """
        step = self._plan.passed("hold", task) if at_step is None else at_step
        stop = Stop(task, step)
        self._stops.append(stop)
        return stop

    def let_go(self, stop: Stop) -> None:
        """Let the task of a stop run again. Twice does nothing more."""
        if stop in self._stops:
            self._stops.remove(stop)
            later: deque[trio.lowlevel.Task] = _trio.GLOBAL_RUN_CONTEXT.runner.runq
            later.extend(stop.held)

    def _is_stopped(self, task: trio.lowlevel.Task) -> bool:
        for stop in self._stops:
            if stop.task == task.name and self._plan.passed("hold", stop.task) >= stop.step:
                stop.held.append(task)
                stop.reached.set()
                return True
        return False

    def _park_if_frozen(self, task: trio.lowlevel.Task) -> bool:
        frozen = self.is_frozen(task)
        if frozen:
            self._parked.append(task)
        return frozen

    def _keep(self, task: trio.lowlevel.Task) -> bool:
        left = self._held.get(task)
        if left is None:
            left = self._plan.next("hold", task.name)
            if not left:
                return False
        if left <= 0:
            del self._held[task]
            return False
        self._held[task] = left - 1
        return True

    def _watch(self, runner: Any, batch: list[trio.lowlevel.Task]) -> None:
        """Notice that nothing can happen any more, or that time stands still."""
        now = runner.clock.current_time()
        if now != self._time:
            self._time, self._turns = now, 0
        self._turns += 1
        if self._turns > TURNS_MOST:
            self._turns = 0
            self.on_stuck(f"livelock: {TURNS_MOST} turns of the loop at {now:.3f} s")
        elif now > self.over_at:
            self.over_at = math.inf
            self.on_stuck("endless: it has not come to its end in all this time")
        elif not batch and not runner.runq and runner.deadlines.next_deadline() == math.inf:
            self.on_stuck("deadlock: nothing will ever run again")


def throw_into(task: trio.lowlevel.Task, error: BaseException) -> None:
    """Make a task's wait raise an error, through whatever shields it.

    Does nothing to a task that does not wait, and to one whose wait cannot be broken off: the
    mailbox that it waits for answers when its actor ends.
    """
    hidden: Any = task

    def raise_error() -> Any:
        raise error

    if hidden._next_send_fn is None and hidden._abort_func is not None:
        hidden._attempt_abort(raise_error)


def is_leaf(task: trio.lowlevel.Task) -> bool:
    """True if the task waits for no child of its own."""
    return not any(nursery.child_tasks for nursery in task.child_nurseries)


def all_tasks() -> list[trio.lowlevel.Task]:
    """Return the tasks of this run, in the order of their start."""
    tasks: set[trio.lowlevel.Task] = _trio.GLOBAL_RUN_CONTEXT.runner.tasks
    return sorted(tasks, key=_started)


def _started(task: Any) -> int:
    return int(task._counter)


def main_task() -> trio.lowlevel.Task:
    """Return the task that `trio.run` runs."""
    task: trio.lowlevel.Task = _trio.GLOBAL_RUN_CONTEXT.runner.main_task
    return task


def wait_of(task: trio.lowlevel.Task) -> str:
    """Return where a task waits: the names of its innermost functions, outermost first."""
    # Bounded: of a task that waits in an asynchronous generator, trio finds the same one for ever.
    found = list(itertools.islice(task.iter_await_frames(), 100))
    # Of trio's own functions the outermost says which wait it is.
    while len(found) > 1 and all(_is_of_trio(frame) for frame, _ in found[-2:]):
        found.pop()
    frames = list(dict.fromkeys(f"{frame.f_code.co_name}:{line}" for frame, line in found))
    return " > ".join(frames[-5:]) or "nowhere"


def _is_of_trio(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "trio"


@contextmanager
def installed(schedule: Schedule) -> Generator[None]:
    """Let a schedule decide in every `trio.run` of this block."""
    before = (_trio._ALLOW_DETERMINISTIC_SCHEDULING, _trio._r)
    _trio._ALLOW_DETERMINISTIC_SCHEDULING, _trio._r = True, schedule
    try:
        yield
    finally:
        _trio._ALLOW_DETERMINISTIC_SCHEDULING, _trio._r = before
