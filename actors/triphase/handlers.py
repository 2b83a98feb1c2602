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

from .threads import Threads


@attrs.define(eq=False)
class Handling:
    """One handler that runs."""

    name: str
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)

    hold: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True))
    """Around the wait for a thread, which a cancel of `scope` does not end."""

    stop_requested: bool = False
    """What a thread looks at: it cannot be cancelled."""

    def stop(self, reason: str) -> None:
        """Ask it to stop: cancel a task, set the flag of a thread."""
        self.stop_requested = True
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
        self._running = 0
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

    def start(self, name: str, run: Callable[[Handling], Awaitable[None]]) -> Handling:
        """Start a handler in a task of its own. Never waits."""
        assert self._nursery is not None, "handlers have not been opened"
        handling = Handling(name)
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
            running=self._running + self._threads.let_go,
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
        self._running += 1
        try:
            await _unprotected(run, handling)
        except KeyboardInterrupt:
            # Ctrl-C hit the handler, which is nobody's child: trio hands it to its main task.
            signal.raise_signal(signal.SIGINT)
        finally:
            self._running -= 1
            self._abandoned.discard(handling)
            handling.ended.set()


@trio.lowlevel.disable_ki_protection
async def _unprotected(run: Callable[[Handling], Awaitable[None]], handling: Handling) -> None:
    await run(handling)
