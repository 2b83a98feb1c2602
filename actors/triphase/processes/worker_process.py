"""A worker process, as the runtime sees it: what it is told, what it says, and its end."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Final

import attrs
import trio

from triphase.endings import Died, TryOutcome, Unfinished, died
from triphase_protocol import ErrorRecord, InvalidValue, Progress, StopHow

from .call import Call
from .captured import Captured
from .child import Child
from .importing import Place
from .messages import (
    Began,
    Ended,
    FromWorker,
    Lines,
    Reported,
    Request,
    Settings,
    line_of,
    message_in,
)
from .stopping import REMINDERS, escalation, put_down

log = logging.getLogger("triphase.process")

STDERR_KEPT: Final = 8_000
"""The most bytes of a handler's stderr that are kept for an error; the end of it says most."""

STDERR_LOGGED: Final = 2**16
"""The most bytes of a handler's stderr that are logged."""

_BOOT: Final = """\
import json, os, sys
size, told = int(os.read(0, 10)), b""
while len(told) < size:
    told += os.read(0, size - len(told)) or sys.exit()
settings = json.loads(told)
sys.path[:], sys.argv[:] = settings["path"], settings["argv"]
from triphase.processes.worker import main
main(settings)
"""
"""What a worker runs: it imports from where we do, and not from its current folder.

It takes the settings from stdin, since a command line is bounded and open to all.
"""


class Conversation:
    """One call, from the request until it is over."""

    def __init__(self, number: int, request: bytes, report: Callable[[Progress], None]) -> None:
        self.number = number
        self.request = request
        """What the worker is sent."""

        self._report = report
        self.began = False
        """The handler was about to start, at least."""

        self.ended: Ended | None = None
        """What the worker said at the end."""

        self.broken: str | None = None
        """What was wrong with what the worker said."""

        self.failure: Exception | None = None
        """What `report` raised; it should not."""

        self.over = trio.Event()
        """Set when nothing more is to be waited for: it ended, or the worker is gone."""

    def take(self, message: FromWorker) -> None:
        """Note what the worker said about this call."""
        match message:
            case Began():
                self.began = True
            case Reported(progress=progress):
                self._pass_on(progress)
            case Ended(progress=progress):
                if progress is not None:
                    self._pass_on(progress)
                self.ended = message
                self.over.set()

    def break_off(self, problem: str) -> None:
        """End it, since the worker does not make sense."""
        self.broken = problem
        self.over.set()

    def _pass_on(self, progress: Progress) -> None:
        try:
            self._report(progress)
        except Exception as exc:
            self.failure = exc
            self.over.set()


class WorkerProcess:
    """See the module's text; made by `start`."""

    def __init__(self, child: Child, greeting: bytes) -> None:
        self._child = child
        self._greeting = greeting
        self._lines = Lines()
        self._stderr = Captured(0, STDERR_KEPT)
        self._logged = 0
        self._calls = 0
        self._conversation: Conversation | None = None
        self._scope = trio.CancelScope(shield=True)
        self.places: set[Place] = set()
        """What it has imported already."""

        self.idle_since = -math.inf
        """When it last became idle, by trio's clock."""

        self.gone = trio.Event()
        """Set when the process is gone, and all that it said has been heard."""

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.pid}: {self._calls} calls>"

    @classmethod
    async def start(cls, interval: float) -> WorkerProcess:
        """Start one, and return before it is ready: its first request waits for that.

        A checkpoint. When it is cancelled nothing was started.

        Args:
          interval: seconds between two reports of progress, at least.

        Raises:
          OSError: if no process can be started.
        """
        settings = Settings(
            path=_import_path(), argv=sys.argv, parent=os.getpid(), interval=interval
        )
        told = json.dumps(attrs.asdict(settings)).encode()
        argv = [sys.executable, *_interpreter_flags(), "-P", "-c", _BOOT]
        return cls(await Child.start(argv, stdin=True), b"%10d%b" % (len(told), told))

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    @property
    def warm(self) -> bool:
        """True if it has run a handler before."""
        return self._calls > 1

    @property
    def busy(self) -> bool:
        """True while it runs a handler, as far as we know."""
        return self._conversation is not None and not self._conversation.over.is_set()

    def begin(self, call: Call, report: Callable[[Progress], None]) -> Conversation:
        """Begin a call: from now on, what it says is about this one.

        Raises:
          InvalidValue: if the call cannot be sent; it is as idle as before then.
        """
        request = Request(number=self._calls + 1, path=_import_path(), call=call)
        line = self._greeting + line_of(request, Request)
        self._greeting, self._calls, self._logged = b"", request.number, 0
        self._stderr.clear()
        self.places.add(call.place)
        conversation = Conversation(self._calls, line, report)
        self._conversation = conversation
        if self.gone.is_set():
            conversation.over.set()
        return conversation

    async def request(self, conversation: Conversation) -> None:
        """Send the request of the call that was begun. A checkpoint.

        When it is cancelled, or if the worker is gone, it has not been sent, or only in part.
        """
        try:
            await self._child.stdin.send_all(conversation.request)
        # Its end is heard of elsewhere.
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("worker %d is gone", self.pid)

    async def tend(self) -> None:
        """Hear what it says, until it is gone or given up. Shielded."""
        try:
            with self._scope:
                await self._child.tend(self._on_stdout, self._on_stderr)
        finally:
            self.gone.set()
            if self._conversation is not None:
                self._conversation.over.set()

    async def put_down(self, grace: float) -> StopHow:
        """Stop it: SIGTERM, and SIGKILL after *grace* seconds. Shielded and bounded."""
        how = await put_down(self.gone, self._child.send, escalation(grace, REMINDERS))
        if how is StopHow.ABANDONED:
            log.error("worker %d has not ended after SIGKILL; it is left behind", self.pid)
            self._scope.cancel(reason="it is stuck in the kernel")
        return how

    async def dismiss(self, grace: float) -> StopHow:
        """Let an idle one leave by itself, and stop it if it has not after *grace* seconds."""
        with trio.CancelScope(shield=True):
            await self._child.stdin.aclose()
            with trio.move_on_after(grace):
                await self.gone.wait()
        return await self.put_down(0)

    def outcome(self, conversation: Conversation, *, asked: bool) -> TryOutcome:
        """Return what came of a call that is over; *asked* if we sent a signal before."""
        words = self._stderr.text()
        return outcome_of(conversation, self._child.status, words, asked=asked)

    def _on_stdout(self, data: bytes) -> None:
        conversation = self._conversation
        if conversation is None or conversation.broken:
            return
        try:
            for line in self._lines.feed(data):
                self._on_line(line, conversation)
        except InvalidValue as exc:
            conversation.break_off(str(exc))

    def _on_line(self, line: bytes, conversation: Conversation) -> None:
        try:
            message = message_in(line)
        except InvalidValue:
            # Before the worker has taken stdout for itself, Python's start may print there.
            if self._calls == 1 and not conversation.began:
                return
            raise
        if message.number == conversation.number:
            conversation.take(message)

    def _on_stderr(self, data: bytes) -> None:
        self._stderr.add(data)
        if self._logged < STDERR_LOGGED and log.isEnabledFor(logging.INFO):
            self._logged += len(data)
            log.info("worker %d: %s", self.pid, data.decode("utf-8", "replace").rstrip("\n"))


def outcome_of(
    conversation: Conversation, status: int | None, words: str, *, asked: bool
) -> TryOutcome:
    """Decide what came of a call.

    Args:
      conversation: what the worker said; it is over, or was cut short by a stop.
      status: the exit status of the worker, if it is gone.
      words: the end of its stderr.
      asked: we asked it to stop.
    """
    ended = conversation.ended
    if ended is not None and (asked or not isinstance(ended.outcome, Unfinished)):
        return ended.outcome
    if asked:
        return Unfinished()
    if ended is not None:
        message = "somebody else sent the worker process a SIGTERM"
        return Died(ErrorRecord(type="ProcessDied", message=message), signal.SIGTERM)
    if conversation.broken:
        message = f"the worker process wrote something else than messages: {conversation.broken}"
    elif status is None:
        message = "nothing more was heard of the worker process"
    else:
        return died(status, words)
    return Died(ErrorRecord(type="ProcessDied", message=message, traceback=words or None))


def _import_path() -> list[str]:
    # JSON has no place for one that is not UTF-8, and Python takes no notice of other objects.
    return [
        entry
        for entry in sys.path
        if isinstance(entry, str) and entry.encode(errors="ignore").decode() == entry
    ]


def _interpreter_flags() -> list[str]:
    """Return the options that this interpreter was started with."""
    flags: Callable[[], list[str]] | None = getattr(
        subprocess, "_args_from_interpreter_flags", None
    )
    return [] if flags is None else flags()
