"""Threads for handlers that are plain functions: the one seam that starts them.

A trio loop that is always busy can keep threads from the interpreter's lock for seconds
(CPython gh-89977). While a thread has work, `LetThreadsRun` gives the lock away for a moment
at each turn of a busy loop, which bounds that to some tens of milliseconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")

_HANDOVER = 1e-5
"""Seconds of sleep that make a busy loop give the interpreter's lock away."""


class LetThreadsRun(trio.abc.Instrument):
    """Gives threads their turn while the loop has no idle moment."""

    def __init__(self) -> None:
        self.working = 0
        """Threads that have work now."""

    def before_io_wait(self, timeout: float) -> None:
        """Sleep for an instant if the loop would not wait and a thread has work."""
        if self.working and timeout <= 0:
            time.sleep(_HANDOVER)


class LetGo(Exception):
    """The thread was let go before its function had returned."""


class Threads:
    """Runs plain functions in threads, as many at once as there are.

    There is no limit here: the slots limit how many handlers run, and a thread that was let go
    must not keep a place from another.
    """

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(math.inf)
        self._instrument = LetThreadsRun()
        self._let_go: set[object] = set()

    @property
    def working(self) -> int:
        """How many threads have work now, those that were let go included."""
        return self._instrument.working

    @property
    def let_go(self) -> int:
        """How many threads that were let go have not ended."""
        return len(self._let_go)

    def open(self) -> None:
        """Begin to share the interpreter's lock. Call once, in trio."""
        trio.lowlevel.add_instrument(self._instrument)

    def close(self) -> None:
        """Stop sharing it."""
        trio.lowlevel.remove_instrument(self._instrument)

    async def run(self, function: Callable[[], T], hold: trio.CancelScope) -> T:
        """Call a function in a thread and return what it returns.

        A checkpoint. A thread cannot be stopped: a cancel waits for its end, unless *hold* is
        cancelled, which lets the thread go.

        Args:
          function: what to call.
          hold: a shielded scope around the wait.

        Raises:
          LetGo: if *hold* was cancelled. The thread runs on, and what it returns is dropped.
        """
        call, ended = object(), False

        def counted() -> T:
            nonlocal ended
            self._instrument.working += 1
            try:
                return function()
            finally:
                self._instrument.working -= 1
                ended = True
                self._let_go.discard(call)

        with hold:
            return await trio.to_thread.run_sync(
                counted, abandon_on_cancel=True, limiter=self._limiter
            )
        self._let_go.add(call)
        if ended:
            self._let_go.discard(call)
        raise LetGo


def call_in_trio(token: trio.lowlevel.TrioToken, function: Callable[[], None]) -> None:
    """Call a function in trio's thread soon, from any thread; dropped if trio has ended."""
    try:
        token.run_sync_soon(function)
    except trio.RunFinishedError:
        return
