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


class Threads:
    """Runs plain functions in threads.

    There is no limit here: the slots limit how many handlers run, and an abandoned thread that
    never ends must not keep a place from one that would.
    """

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(math.inf)
        self._instrument = LetThreadsRun()

    @property
    def working(self) -> int:
        """How many threads have work now, abandoned ones included."""
        return self._instrument.working

    def open(self) -> None:
        """Begin to share the interpreter's lock. Call once, in trio."""
        trio.lowlevel.add_instrument(self._instrument)

    def close(self) -> None:
        """Stop sharing it."""
        trio.lowlevel.remove_instrument(self._instrument)

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function in a thread and return what it returns.

        A checkpoint. When it is cancelled the thread is abandoned: it runs on to its end, and
        what it returns is dropped.
        """
        return await trio.to_thread.run_sync(
            self._counted, function, abandon_on_cancel=True, limiter=self._limiter
        )

    def _counted(self, function: Callable[[], T]) -> T:
        self._instrument.working += 1
        try:
            return function()
        finally:
            self._instrument.working -= 1


def call_in_trio(token: trio.lowlevel.TrioToken, function: Callable[[], None]) -> None:
    """Call a function in trio's thread soon, from any thread; dropped if trio has ended."""
    try:
        token.run_sync_soon(function)
    except trio.RunFinishedError:
        return
