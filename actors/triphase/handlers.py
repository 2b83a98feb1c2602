"""Where handlers run: outside of the actors that start them, so that one can be let go.

A handler that will not stop (it shields itself, or its thread goes on) must not keep the job's
actor, its slot, or the runtime's end waiting for ever. So handlers are children of a task of
their own, beside trio's main task. An abandoned handler stays there until it ends by itself;
nothing it does then counts, and it is counted.

A thread that is abandoned is let go, and is cut off when the interpreter exits. A task cannot
be: trio ends only when every task has, so a task that shields itself and never ends keeps
`trio.run` from returning, though nothing of the runtime waits for it.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import attrs
import trio

from .phases import PhaseKind
from .threads import Threads


@attrs.define(eq=False)
class Handling:
    """One handler that runs, and the ways to stop it."""

    name: str
    kind: PhaseKind
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Around a task; around the wait for anything else."""

    hold: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True))
    """Around the wait for a thread, which a cancel of `scope` does not end."""

    asked: trio.Event = attrs.field(factory=trio.Event)
    """It should stop by itself."""

    stopping: trio.Event = attrs.field(factory=trio.Event)
    """Its process should be stopped."""

    ended: trio.Event = attrs.field(factory=trio.Event)

    over: trio.Event = attrs.field(factory=trio.Event)
    """It has ended, or is not to be waited for any more."""

    def ask(self) -> None:
        """Ask it to stop by itself."""
        self.asked.set()

    def cancel(self, reason: str) -> None:
        """Make it stop: cancel a task, stop a process. A thread can only be asked."""
        self.asked.set()
        self.stopping.set()
        if self.kind in (PhaseKind.TASK, PhaseKind.THREAD):
            self.scope.cancel(reason=reason)

    def leave(self, reason: str) -> None:
        """Wait no more for a command that goes on by itself."""
        self.scope.cancel(reason=reason)


@attrs.frozen(kw_only=True)
class HandlersStatistics:
    """The handlers of a runtime at one moment."""

    running: int
    """Handlers that run, abandoned ones included."""

    abandoned: int
    """Handlers that did not stop in their grace and have not ended since: tasks and threads."""

    abandoned_ever: int
    """Handlers that were ever abandoned."""


class Handlers:
    """See the module's text."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._nursery: trio.Nursery | None = None
        self._closed = trio.Event()
        # In the order of their start: not a set, whose order no seed decides.
        self._handlings: dict[Handling, None] = {}
        self._abandoned: set[Handling] = set()
        self._abandoned_ever = 0

    async def open(self) -> None:
        """Be ready for `start`. A checkpoint."""
        ready = trio.Event()
        trio.lowlevel.spawn_system_task(self._live, ready, name="handlers")
        await ready.wait()

    def close(self) -> None:
        """Start no more. What still runs is asked to stop, and let go."""
        self._closed.set()

    def hurry(self) -> None:
        """Ask every handler to stop, and have nobody wait for any of them."""
        for handling in list(self._handlings):
            handling.cancel("the program was interrupted again")
            handling.over.set()

    def start(
        self, name: str, kind: PhaseKind, run: Callable[[Handling], Awaitable[None]]
    ) -> Handling:
        """Start a handler in a task of its own. Never waits."""
        assert self._nursery is not None, "handlers have not been opened"
        handling = Handling(name, kind)
        self._handlings[handling] = None
        self._nursery.start_soon(self._run, handling, run, name=name)
        return handling

    def abandon(self, handling: Handling) -> None:
        """Let a handler go that would not stop."""
        self._abandoned.add(handling)
        self._abandoned_ever += 1
        handling.hold.cancel(reason="it would not stop")

    def statistics(self) -> HandlersStatistics:
        """Return what runs now."""
        return HandlersStatistics(
            running=len(self._handlings) + self._threads.let_go,
            abandoned=len(self._abandoned) + self._threads.let_go,
            abandoned_ever=self._abandoned_ever,
        )

    async def _live(self, ready: trio.Event) -> None:
        async with trio.open_nursery() as self._nursery:
            ready.set()
            await self._closed.wait()
            self._nursery.cancel_scope.cancel(reason="the runtime is closed")

    @trio.lowlevel.enable_ki_protection
    async def _run(self, handling: Handling, run: Callable[[Handling], Awaitable[None]]) -> None:
        try:
            await _unprotected(run, handling)
        except KeyboardInterrupt:
            # Ctrl-C hit the handler, which is nobody's child: trio hands it to its main task.
            signal.raise_signal(signal.SIGINT)
        finally:
            del self._handlings[handling]
            self._abandoned.discard(handling)
            handling.ended.set()
            handling.over.set()


@trio.lowlevel.disable_ki_protection
async def _unprotected(run: Callable[[Handling], Awaitable[None]], handling: Handling) -> None:
    await run(handling)
