"""A world driven from synchronous code, one call at a time: for hypothesis's state machines.

trio runs as a guest of its caller. The caller turns the loop until a call has returned, and between
two calls nothing runs and no time passes. With a clock that jumps there is never a wait for input
or output, so trio starts no thread.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import outcome
import trio
import trio.lowlevel
import trio.testing

from .history import History
from .plan import mix
from .world import Stuck, World

T = TypeVar("T")

TURNS_MOST: Final = 100_000
"""How often the loop is turned for one call, before it is given up."""


class Guest:
    """A world whose loop is turned by calls. Close it, or the next `trio.run` is refused.

    Args:
      world: a new one.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._turns: deque[Callable[[], object]] = deque()
        self._count = 0
        self._ended: outcome.Outcome[None] | None = None
        self._calls: trio.MemorySendChannel[Callable[[], Awaitable[None]]]
        # Made outside: the clock keeps the function that it reads the machine's time with.
        clock = trio.testing.MockClock(autojump_threshold=0)
        with self.world.entered(world.plan.seed or 0):
            trio.lowlevel.start_guest_run(
                world.live,
                self._serve,
                run_sync_soon_threadsafe=self._turns.append,
                done_callback=self._done,
                clock=clock,
            )
        self._ready = False
        self._turn(lambda: self._ready)

    def call(self, function: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
        """Run an async function in the world until it returns; time passes only if it waits.

        Raises:
          Stuck: if the run has ended, or will not go on.
          Exception: what the function raises.
        """
        answers: list[outcome.Outcome[T]] = []
        call = functools.partial(function, *args, **options)

        async def answer() -> None:
            answers.append(await outcome.acapture(call))

        if self._ended is not None:
            raise Stuck("the run has ended")
        self._calls.send_nowait(answer)
        self._turn(lambda: bool(answers))
        return answers[0].unwrap()

    def close(self) -> History:
        """End the run, with all that is left of its processes; return what happened.

        Raises:
          Exception: what has ended the run before.
        """
        if self._ended is None:
            self._calls.close()
            self._turn(lambda: self._ended is not None)
        assert self._ended is not None, "the loop was turned until the end"
        self._ended.unwrap()
        return self.world.history

    async def _serve(self) -> None:
        self._calls, calls = trio.open_memory_channel[Callable[[], Awaitable[None]]](1)
        self._ready = True
        async for call in calls:
            await call()

    def _done(self, result: outcome.Outcome[None]) -> None:
        self._ended = result

    def _turn(self, until: Callable[[], bool]) -> None:
        """Turn the loop until something is so, or the run has ended."""
        self._count += 1
        with self.world.entered(mix(self.world.plan.seed or 0, self._count)):
            for _ in range(TURNS_MOST):
                if until():
                    return
                if self._ended is not None:
                    self._ended.unwrap()
                    raise Stuck("the run has ended in the middle of a call")
                if not self._turns:
                    raise Stuck("the loop waits for something outside of the world")
                self._turns.popleft()()
        raise Stuck(f"a call has not returned in {TURNS_MOST} turns of the loop")
