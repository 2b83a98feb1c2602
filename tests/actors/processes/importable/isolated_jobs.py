"""Job types of whole runtimes whose phases run in processes and as commands."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import triphase


def say(path: str, text: str) -> None:
    """Tell the test, which waits for it at the other end of a named pipe."""
    with Path(path).open("w") as pipe:
        pipe.write(text + "\n")


@triphase.job()
class Isolated:
    """Three phases, the one in the middle in a process that does what it is told."""

    how: str
    path: str = ""

    @triphase.phase()
    async def before(self, ctx: triphase.Context) -> int:
        return os.getpid()

    @triphase.phase(
        isolation="process",
        stop_grace=0.2,
        retry=triphase.Retry(attempts=2, backoff=0, never_on=(LookupError,)),
    )
    def middle(self, ctx: triphase.Context) -> int:
        ctx.progress_nowait(1, total=2, message=f"attempt {ctx.attempt}")
        match self.how:
            case "crash" if ctx.attempt == 1:
                os._exit(9)
            case "raise":
                raise KeyError(f"attempt {ctx.attempt}")
            case "wait":
                say(self.path, "waiting")
                time.sleep(3600)
            case "ignore":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                say(self.path, "ignoring")
                time.sleep(3600)
            case _:
                pass
        return os.getpid()

    @triphase.phase()
    async def after(self, ctx: triphase.Context) -> bool:
        return ctx.result_of(Isolated.before) != ctx.result_of(Isolated.middle)


GATED = "echo $$ > {path}; read word < {path}.gate; echo $word; exit {code}"
"""Says its number, and waits for a word."""


@triphase.job()
class Program:
    """Runs one command that waits for the test, and goes on although the runtime ends."""

    path: str
    code: int = 0
    ignores: bool = False

    @triphase.command(survives=True, stop_grace=0.2)
    def run(self, ctx: triphase.Context) -> list[str]:
        text = GATED.format(path=self.path, code=self.code)
        return ["sh", "-c", f"trap '' TERM; {text}" if self.ignores else text]

    @triphase.phase()
    async def read(self, ctx: triphase.Context) -> str:
        return ctx.result_of(Program.run).stdout.strip()


@triphase.job()
class Plain:
    """Runs one command that does not survive."""

    argv: list[str]

    @triphase.command(
        timeout=20, retry=triphase.Retry(attempts=3, backoff=0, never_on=("CommandFailed",))
    )
    def run(self, ctx: triphase.Context) -> list[str] | triphase.Fail:
        match self.argv:
            case ["raise"]:
                raise triphase.Fail("no such thing")
            case ["return"]:
                return triphase.Fail("no such thing")
            case ["exit"]:
                sys.exit("enough")
            case _:
                return self.argv

    @triphase.phase()
    async def code(self, ctx: triphase.Context) -> int:
        return ctx.result_of(Plain.run).exit_code


@triphase.job()
class Selected:
    """Fails with an error that its policy has in its list, or has not."""

    name: str

    @triphase.phase(retry=triphase.Retry(attempts=3, backoff=0, on=(OSError, "decimal.Inexact")))
    def only(self, ctx: triphase.Context) -> int:
        raise ConnectionError("again") if self.name == "listed" else ValueError("never")
