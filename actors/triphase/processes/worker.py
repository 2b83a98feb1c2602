"""A worker process: it reads requests from stdin, runs handlers, and writes how they end.

Handlers run in the main thread, one after the other, so that a signal can interrupt them. What
they print goes to stderr: stdout belongs to the messages, and is moved out of their way.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from triphase.endings import HandlerOutcome
from triphase_protocol import decode, structure

from .messages import Request, Settings
from .performing import Performer
from .pipes import Inlet, Outlet
from .stop_signal import StopSignal


class Worker:
    """See the module's text.

    Args:
      inlet: where requests come from.
      outlet: where it says how they end.
    """

    def __init__(self, inlet: Inlet, outlet: Outlet) -> None:
        self._inlet = inlet
        self._outlet = outlet
        self._stop = StopSignal()
        self._stop.restore()
        self._performer = Performer(self._stop)

    def serve(self) -> None:
        """Run handlers until no more are asked for."""
        while (line := self._inlet.next()) is not None:
            request = structure(decode(line), Request)
            sys.path[:] = request.path
            self._stop.listen()
            self._inlet.guard()
            self._outlet.begin(request.number)
            self._perform(request)
            if self._stop.requested:
                # At once: whoever asked waits for the end of the process, and the handler has
                # had its chance to clean up.
                os._exit(0)
            self._stop.restore()

    def _perform(self, request: Request) -> None:
        process = os.getpid()
        try:
            outcome = self._performer.perform(
                request.call, lambda progress: self._outlet.report(request.number, progress)
            )
        except BaseException as exc:
            outcome = self._performer.outcome_of_odd(request.call, exc)
            self._say_end(request.number, outcome, reusable=False)
            raise
        if os.getpid() != process:
            # The handler forked, and both of it returned.
            os._exit(0)
        self._say_end(request.number, outcome, reusable=not self._stop.requested)

    def _say_end(self, number: int, outcome: HandlerOutcome, *, reusable: bool) -> None:
        for stream in (sys.__stdout__, sys.__stderr__):
            try:
                if stream is not None:
                    stream.flush()
            # The handler may have closed it.
            except (OSError, ValueError):
                reusable = False
        self._inlet.release()
        self._outlet.end(number, outcome, reusable=reusable and not _threads_left())


def _threads_left() -> bool:
    """Did a handler leave a thread running that Python would wait for?"""
    return any(
        not thread.daemon and thread is not threading.main_thread()
        for thread in threading.enumerate()
    )


def main(told: Mapping[str, Any]) -> None:
    """Be a worker until stdin ends.

    Args:
      told: the `Settings`, as a dict.
    """
    settings = Settings(**told)
    faulthandler.enable()
    descriptors = _take_pipes()
    inlet = Inlet(descriptors[0], settings.parent)
    Worker(inlet, Outlet(descriptors[1], settings.interval)).serve()


def _take_pipes() -> tuple[int, int]:
    """Move stdin and stdout to descriptors that no handler, and no process of its, will find."""
    requests, messages = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True, errors="backslashreplace")
    return requests, messages
