"""What a simulated program must not reach, and what it gets in its place.

Time, randomness and ids come from the world. Threads run at once, in their caller's step. What can
have no simulated stand-in (a real sleep, a real socket, a process) raises where it is called.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import outcome
import trio._threads
import trio.lowlevel


class SimulationEscape(Exception):
    """Something tried to leave the simulation: a real clock, thread, socket or process."""


@contextmanager
def sealed(seed: int, wall: Callable[[], float]) -> Generator[None]:
    """Keep what runs in this block inside of the simulation.

    Args:
      seed: for what is random.
      wall: the world's wall clock.
    """
    source = random.Random(seed)
    state = random.getstate()
    replaced: list[tuple[Any, str, Any]] = []
    for target, name, value in _replacements(source, wall):
        replaced.append((target, name, getattr(target, name)))
        setattr(target, name, value)
    random.seed(seed)
    try:
        yield
    finally:
        for target, name, value in reversed(replaced):
            setattr(target, name, value)
        random.setstate(state)


def _replacements(source: random.Random, wall: Callable[[], float]) -> list[tuple[Any, str, Any]]:
    return [
        (time, "time", wall),
        (time, "time_ns", lambda: int(wall() * 1e9)),
        (time, "monotonic", _virtual),
        (time, "perf_counter", _virtual),
        (time, "sleep", _escape("time.sleep()")),
        (os, "urandom", source.randbytes),
        (random, "_urandom", source.randbytes),
        (uuid, "uuid4", lambda: uuid.UUID(bytes=source.randbytes(16), version=4)),
        (trio._threads, "start_thread_soon", _at_once),
        (threading.Thread, "start", _escape("a thread was started")),
        (subprocess.Popen, "__init__", _escape("a process was started")),
        (socket.socket, "connect", _escape("a real socket was connected")),
        (socket.socket, "bind", _escape("a real socket was bound")),
        (socket, "getaddrinfo", _escape("a name was looked up")),
    ]


def _escape(words: str) -> Callable[..., Any]:
    def escape(*_: Any, **__: Any) -> Any:
        raise SimulationEscape(f"{words} in a simulation")

    return escape


def _virtual() -> float:
    try:
        return trio.lowlevel.current_clock().current_time()
    except RuntimeError:
        return 0.0


def _at_once(
    function: Callable[[], Any], deliver: Callable[[Any], object], name: str | None = None
) -> None:
    deliver(outcome.capture(function))
