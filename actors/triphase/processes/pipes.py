"""A worker's two ends of the pipes to the runtime that started it, each with a thread.

`Inlet` reads requests, and sees at once when the runtime is gone: then the worker must not
run on, nor what it started. `Outlet` writes what the worker says; progress waits there until
it is due, so that a handler may report as often as it likes.
"""

from __future__ import annotations

import fcntl
import os
import queue
import select
import signal
import sys
import threading
import time
from typing import Final

from triphase.endings import HandlerOutcome
from triphase_protocol import Progress

from .messages import Began, Ended, FromWorker, Lines, Reported, line_of

LEAVE_SECONDS: Final = 10.0
"""How long a worker may take to leave by itself, once its runtime has closed the pipe."""


class Inlet:
    """Where requests come from.

    Args:
      descriptor: the pipe.
      parent: the process at its other end.
    """

    def __init__(self, descriptor: int, parent: int) -> None:
        self._descriptor = descriptor
        self._busy = False
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._kills_us = _let_the_pipe_kill_us(descriptor)
        watched = _parent(parent)
        threading.Thread(
            target=self._read, args=(watched,), name="triphase: requests", daemon=True
        ).start()

    def next(self) -> bytes | None:
        """Wait for the next request and return it as a line; None when no more will come."""
        return self._lines.get()

    def guard(self) -> None:
        """A handler is about to run: end it if the runtime ends."""
        self._kill_at_the_end(True)
        # It may have ended the moment before.
        if _hung_up(self._descriptor):
            kill_group()

    def release(self) -> None:
        """The handler has ended. To be called before the runtime hears of it."""
        self._kill_at_the_end(False)
        self._busy = False

    def _kill_at_the_end(self, yes: bool) -> None:
        if self._kills_us:
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL) & ~os.O_ASYNC
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | (os.O_ASYNC if yes else 0))

    def _read(self, parent: int | None) -> None:
        lines = Lines(sys.maxsize)
        while data := _receive(self._descriptor, parent):
            for line in lines.feed(data):
                # Before the main thread has the request: from now on the end of the pipe is
                # the end of its handler.
                self._busy = True
                self._lines.put(line)
        if self._busy:
            kill_group()
        self._lines.put(None)
        # What a handler left behind may keep Python from leaving.
        time.sleep(LEAVE_SECONDS)
        kill_group()


class Outlet:
    """Where the worker speaks.

    Args:
      descriptor: the pipe.
      interval: seconds between two reports of progress, at least.
    """

    def __init__(self, descriptor: int, interval: float) -> None:
        self._descriptor = descriptor
        self._interval = interval
        self._lock = threading.Lock()
        self._number: int | None = None
        self._latest: Progress | None = None
        self._asked = False
        self._asks: queue.SimpleQueue[None] = queue.SimpleQueue()
        # Ends the line that something may have begun before stdout was ours alone.
        _write(descriptor, b"\n")
        threading.Thread(target=self._report, name="triphase: progress", daemon=True).start()

    def begin(self, number: int) -> None:
        """Say that a handler is about to start."""
        with self._lock:
            self._number, self._latest, self._asked = number, None, False
            self._say(Began(number=number))

    def report(self, number: int, progress: Progress) -> None:
        """Have progress sent soon, if the handler of that number still runs. Never waits.

        In the main thread it may be interrupted anywhere: each step of it is atomic.
        """
        if number == self._number:
            self._latest = progress
            if not self._asked:
                self._asked = True
                self._asks.put(None)

    def end(self, number: int, outcome: HandlerOutcome, *, reusable: bool) -> None:
        """Say how the handler ended."""
        with self._lock:
            progress, self._latest, self._number = self._latest, None, None
            self._say(Ended(number=number, outcome=outcome, progress=progress, reusable=reusable))

    def _report(self) -> None:
        while True:
            self._asks.get()
            with self._lock:
                # Before it is taken: what comes now asks again.
                self._asked = False
                latest, self._latest = self._latest, None
                if latest is not None and self._number is not None:
                    self._say(Reported(number=self._number, progress=latest))
            time.sleep(self._interval)

    def _say(self, message: FromWorker) -> None:
        _write(self._descriptor, line_of(message, FromWorker))


def kill_group() -> None:
    """End this process, and all that it started and that stayed in its group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _write(descriptor: int, data: bytes) -> None:
    with memoryview(data) as view:
        sent = 0
        while sent < len(data):
            try:
                sent += os.write(descriptor, view[sent:])
            except BrokenPipeError:
                kill_group()


def _parent(pid: int) -> int | None:
    """Return a descriptor that is readable once the process that started us is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    # Not Linux, an old kernel, or a sandbox: the end of the pipe says so as well, unless
    # another process that was forked from ours holds it open.
    except (AttributeError, OSError):
        return None
    # The number may have been somebody else's already when it was opened.
    if os.getppid() != pid:
        kill_group()
    return descriptor


def _receive(descriptor: int, parent: int | None) -> bytes:
    """Wait for data and return it; nothing at the end of the pipe."""
    if parent is not None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(parent, select.POLLIN)
        if descriptor not in dict(poll.poll()):
            kill_group()
    return os.read(descriptor, 2**16)


def _hung_up(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def _let_the_pipe_kill_us(descriptor: int) -> bool:
    """Prepare for SIGKILL from the kernel when the pipe ends, where there is such a thing.

    `_read` sees the end too, but only when it gets the interpreter's lock, which a handler in
    a C extension may never give away. The signal for the death of a parent is no help: it
    comes when the thread ends that started us, and trio starts processes in threads.
    """
    if not hasattr(fcntl, "F_SETSIG") or os.getpgrp() != os.getpid():
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, int(signal.SIGKILL))
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
    return True
