"""A process of ours that leads a group of its own, from its start until it is reaped.

Signals go to the whole group, and only while the leader has not been reaped: until then
nobody else can have its number. What is left of the group when the leader ends is killed, as
nothing of a handler may run on behind it. A process that has left the group by `setsid` is
out of reach.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from triphase_protocol import StopHow

from .stopping import Step, escalation, put_down

PIPE_BYTES_MAX = 2**20
"""The most bytes that are read from a pipe once its writer is gone: as much as one can hold."""


_LEFTOVERS = Step(signal.SIGKILL, 0.0, StopHow.KILLED)


class Child:
    """See the module's text; made by `start`."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._reaped = False
        self.pid = process.pid
        """Its number, and that of its group."""

        self.exited = trio.Event()
        """Set when it has been reaped."""

        self.status: int | None = None
        """Once it has exited: its exit code, or minus the signal that ended it."""

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        stdin: bool,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Child:
        """Start a process with pipes for stdout and stderr.

        It inherits nothing of ours but those: every other descriptor is closed in it. A
        checkpoint; when it is cancelled nothing was started.

        Args:
          argv: program and arguments.
          stdin: give it a pipe to read from; else it reads nothing.
          cwd: where it runs; None is where we do.
          env: its environment; None is ours.

        Raises:
          OSError: if it cannot be started.
          ValueError: if an argument holds a NUL.
        """
        # In a thread, which a cancel does not interrupt: no process is started and then lost.
        process = await trio.lowlevel.open_process(
            list(argv),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
        return cls(process)

    @property
    def stdin(self) -> trio.abc.SendStream:
        """What it reads."""
        assert self._process.stdin is not None
        return self._process.stdin

    def send(self, step: Step) -> None:
        """Send a signal; nothing happens if the process is gone."""
        if not self._reaped:
            try:
                (os.killpg if step.group else os.kill)(self.pid, step.signal)
            # It runs as another user now, or (on macOS) all that is left of it is a zombie.
            except (ProcessLookupError, PermissionError):
                return

    async def put_down(self, grace: float) -> StopHow:
        """Stop it: SIGTERM, and SIGKILL after *grace* seconds. Shielded and bounded.

        It has to be tended meanwhile, or else nobody sees it end.
        """
        return await put_down(self.exited, self.send, escalation(grace))

    async def tend(
        self, on_stdout: Callable[[bytes], None], on_stderr: Callable[[bytes], None]
    ) -> None:
        """Read what it writes, wait for its end, kill what is left of its group, and reap it.

        Returns when the process is gone and all that it wrote has been handed on. When it is
        cancelled the process is left as it is.

        Args:
          on_stdout: called with each piece of what it writes there.
          on_stderr: the same.
        """
        out, err = _pipe(self._process.stdout), _pipe(self._process.stderr)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump, out, on_stdout)
                nursery.start_soon(_pump, err, on_stderr)
                await self._end()
                # Somebody outside of the group may hold the pipes open for ever.
                nursery.cancel_scope.cancel(reason="the process is gone")
            _drain(out, on_stdout)
            _drain(err, on_stderr)
        finally:
            for stream in (out, err, self._process.stdin):
                if stream is not None:
                    _close(stream)
        self.exited.set()

    async def _end(self) -> None:
        await wait_ended(self.pid, self._process.wait)
        self.send(_LEFTOVERS)
        self._reaped = True
        self.status = await self._process.wait()


async def wait_ended(pid: int, reap: Callable[[], Awaitable[object]]) -> None:
    """Wait until a child has ended, without reaping it where the system can do that."""
    try:
        descriptor = os.pidfd_open(pid)
    # Not Linux, an old kernel, or a sandbox: then it is reaped a moment before its group is
    # killed.
    except (AttributeError, OSError):
        await reap()
        return
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


def _pipe(stream: trio.abc.ReceiveStream | None) -> trio.lowlevel.FdStream:
    assert isinstance(stream, trio.lowlevel.FdStream)
    return stream


async def _pump(stream: trio.lowlevel.FdStream, take: Callable[[bytes], None]) -> None:
    while data := await stream.receive_some(2**16):
        take(data)


def _drain(stream: trio.lowlevel.FdStream, take: Callable[[bytes], None]) -> None:
    """Hand on what is in a pipe, without waiting."""
    taken = 0
    while taken < PIPE_BYTES_MAX:
        try:
            data = os.read(stream.fileno(), 2**16)
        except BlockingIOError:
            return
        if not data:
            return
        taken += len(data)
        take(data)


def _close(stream: trio.abc.AsyncResource) -> None:
    assert isinstance(stream, trio.lowlevel.FdStream)
    stream.close()
