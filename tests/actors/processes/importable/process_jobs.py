"""Job types whose handlers run in worker processes; imported by tests and workers alike."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import trio

import triphase
from triphase.processes import StopRequested


@attrs.frozen
class Size:
    width: int
    height: int


def _wait_for_ever() -> None:
    while True:
        time.sleep(3600)


@triphase.job()
class Measure:
    """Its phases use all of a context."""

    width: int

    @triphase.phase(isolation="process")
    def first(self, ctx: triphase.Context) -> Size:
        ctx.progress_nowait(1, total=2, message="half")
        return Size(self.width, 3)

    @triphase.phase(isolation="process")
    async def second(self, ctx: triphase.Context) -> dict[str, Any]:
        await ctx.progress(2, total=2)
        return {
            "size": ctx.result_of(Measure.first).width,
            "job": ctx.job_id,
            "run": ctx.run,
            "phase": ctx.phase,
            "attempt": ctx.attempt,
            "key": ctx.idempotency_key,
            "labels": dict(ctx.labels),
            "stop": ctx.stop_requested,
        }


@triphase.job()
class Do:
    """Does what its name says: see `DEEDS`."""

    what: str
    path: str = ""
    """A file or named pipe of the test's."""

    @triphase.phase(isolation="process")
    def plain(self, ctx: triphase.Context) -> Any:
        return DEEDS[self.what](self, ctx)

    @triphase.phase(isolation="process")
    async def in_trio(self, ctx: triphase.Context) -> Any:
        return await TRIO_DEEDS[self.what](self, ctx)

    @triphase.phase(
        isolation="process", retry=triphase.Retry(on=[OSError], never_on=[FileNotFoundError])
    )
    def picky(self, ctx: triphase.Context) -> Any:
        return DEEDS[self.what](self, ctx)

    @triphase.phase()
    def for_a_thread(self, ctx: triphase.Context) -> Any:
        return DEEDS[self.what](self, ctx)

    def say(self, text: str) -> None:
        """Tell the test, which waits for it at the other end of a named pipe."""
        with Path(self.path).open("w") as pipe:
            pipe.write(text + "\n")


def _who(do: Do, ctx: triphase.Context) -> Any:
    return {"pid": os.getpid(), "module": Do.__module__, "argv": sys.argv}


def _print(do: Do, ctx: triphase.Context) -> str:
    print('{"type": "ended"}')
    os.write(1, b"raw\n")
    subprocess.run(["echo", "from a child"], check=True)
    return sys.stdin.read()


def _flood(do: Do, ctx: triphase.Context) -> str:
    for stream in (sys.stdout, sys.stderr):
        for _ in range(300):
            stream.write("x" * 9_999 + "\n")
    sys.stderr.write("the last words")
    sys.stderr.flush()
    os._exit(7)


def _report(do: Do, ctx: triphase.Context) -> None:
    for count in range(50_000):
        ctx.progress_nowait(count)


def _report_one(do: Do, ctx: triphase.Context) -> None:
    ctx.progress_nowait(1, message="é" * 100_000)
    _wait_for_ever()


def _raise(do: Do, ctx: triphase.Context) -> None:
    raise ValueError("\udcff bad " + "x" * 100_000)


def _raising(exc: BaseException) -> Deed:
    def deed(do: Do, ctx: triphase.Context) -> None:
        raise exc

    return deed


class Odd(BaseException):
    pass


def _snooze(do: Do, ctx: triphase.Context) -> None:
    raise triphase.Snooze(5)


def _cancel(do: Do, ctx: triphase.Context) -> Any:
    return triphase.Cancel("enough")


def _fail(do: Do, ctx: triphase.Context) -> Any:
    return triphase.Fail("no such thing")


def _thread(do: Do, ctx: triphase.Context) -> int:
    threading.Thread(target=_wait_for_ever).start()
    return os.getpid()


def _sleep(do: Do, ctx: triphase.Context) -> None:
    do.say(f"{os.getpid()}")
    _wait_for_ever()


def _clean_up(do: Do, ctx: triphase.Context) -> str:
    try:
        do.say(f"{os.getpid()}")
        _wait_for_ever()
    except StopRequested:
        return f"cleaned up, {ctx.stop_requested}"
    return "not stopped"


def _ignore(do: Do, ctx: triphase.Context) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _sleep(do, ctx)


def _miss_one(do: Do, ctx: triphase.Context) -> None:
    listening = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    do.say(f"{os.getpid()}")
    Path(f"{do.path}.go").read_text()
    signal.signal(signal.SIGTERM, listening)
    _wait_for_ever()


def _swallow(do: Do, ctx: triphase.Context) -> None:
    first = True
    while True:
        try:
            if first:
                first = False
                do.say(f"{os.getpid()}")
            _wait_for_ever()
        except BaseException:
            continue


def _hold_the_lock(do: Do, ctx: triphase.Context) -> None:
    said = False
    while True:
        try:
            if not said:
                said = True
                do.say(f"{os.getpid()}")
            # All of it is in C: it keeps the interpreter's lock, and looks at no signal.
            sum(itertools.repeat(1, 10**14))
        # It came before the sum was reached.
        except StopRequested:
            continue


def _with_a_child(do: Do, ctx: triphase.Context) -> None:
    child = subprocess.Popen(["sleep", "3600"])
    do.say(f"{os.getpid()} {child.pid}")
    _wait_for_ever()


def _one_line(deed: Callable[[], Any]) -> Deed:
    return lambda do, ctx: deed()


Deed: TypeAlias = Callable[[Do, triphase.Context], Any]

DEEDS: dict[str, Deed] = {
    "who": _who,
    "print": _print,
    "flood": _flood,
    "report": _report,
    "report one": _report_one,
    "raise": _raise,
    "connection lost": _raising(ConnectionResetError()),
    "group": _raising(ExceptionGroup("", [ConnectionResetError()])),
    "not found": _raising(FileNotFoundError()),
    "interrupt": _raising(KeyboardInterrupt()),
    "odd": _raising(Odd("odd")),
    "snooze": _snooze,
    "cancel": _cancel,
    "fail": _fail,
    "exit": _one_line(lambda: sys.exit("enough")),
    "_exit": _one_line(lambda: os._exit(3)),
    "segfault": _one_line(lambda: ctypes.string_at(0)),
    "unstorable": _one_line(lambda: {1, 2}),
    "large": _one_line(lambda: "x" * 5_000_000),
    "thread": _thread,
    "sleep": _sleep,
    "clean up": _clean_up,
    "ignore": _ignore,
    "miss one": _miss_one,
    "swallow": _swallow,
    "hold the lock": _hold_the_lock,
    "with a child": _with_a_child,
    "die of a signal": _one_line(lambda: os.kill(os.getpid(), signal.SIGKILL)),
    "terminate itself": _one_line(lambda: os.kill(os.getpid(), signal.SIGTERM)),
}


async def _trio_sleep(do: Do, ctx: triphase.Context) -> None:
    do.say(f"{os.getpid()}")
    await trio.sleep_forever()


async def _trio_clean_up(do: Do, ctx: triphase.Context) -> str:
    do.say(f"{os.getpid()}")
    with trio.CancelScope(shield=True):
        while not ctx.stop_requested:  # noqa: ASYNC110 - as a handler would
            await trio.sleep(0.001)
    return "cleaned up"


async def _trio_fail(do: Do, ctx: triphase.Context) -> None:
    async def child() -> None:
        raise triphase.Fail("in a nursery")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)


async def _trio_who(do: Do, ctx: triphase.Context) -> Any:
    return await trio.to_thread.run_sync(os.getpid)


TRIO_DEEDS: dict[str, Callable[[Do, triphase.Context], Awaitable[Any]]] = {
    "sleep": _trio_sleep,
    "clean up": _trio_clean_up,
    "fail": _trio_fail,
    "who": _trio_who,
}
