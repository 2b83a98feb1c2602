"""What SIGTERM does in a worker.

While it waits for a request it dies of it, as any process does. While it runs a handler, a
plain one is interrupted by `StopRequested`, raised once where the main thread is, as Ctrl-C
would; an `async def` one is cancelled. In either case `ctx.stop_requested` is true from then on.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType


class StopRequested(BaseException):
    """Raised in a plain `def` handler that runs in a process and is asked to stop.

    Not an `Exception`, so that `except Exception` lets it through. A handler may clean up, by
    `finally` or by catching it, and then has what is left of its grace.
    """


class StopSignal:
    """See the module's text. For the main thread."""

    def __init__(self) -> None:
        self.requested = False
        """SIGTERM has come while a handler ran."""

        self._raises = False
        self._cancel: Callable[[], None] | None = None

    def listen(self) -> None:
        """Take SIGTERM for a request from now on."""
        signal.signal(signal.SIGTERM, self._on_signal)

    def restore(self) -> None:
        """Die of SIGTERM from now on, whatever was inherited."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def interrupt(self) -> None:
        """Raise `StopRequested` when the signal comes; now, if it has come.

        Raises:
          StopRequested: then, and at any later moment until `hold`.
        """
        self._raises = True
        if self.requested:
            self.hold()
            raise StopRequested

    def hold(self) -> None:
        """Raise nothing any more."""
        self._raises = False

    def cancel_by(self, cancel: Callable[[], None] | None) -> None:
        """Call this instead when the signal comes; at once, if it has come."""
        self._cancel = cancel
        if cancel is not None and self.requested:
            cancel()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._cancel is not None:
            self._cancel()
        elif self._raises:
            self._raises = False
            raise StopRequested
