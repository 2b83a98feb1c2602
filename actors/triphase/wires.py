"""A wire: a byte stream whose sends never mix, and that can be written to without waiting."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

import trio


class Wire(trio.abc.Stream):
    """A stream around another one.

    One task sends at a time, first come first served. `send_nowait` writes from where no task may
    wait, if nobody is sending; what the kernel does not take of it is the first thing that the next
    sender sends.

    Args:
      stream: the stream; for plain TCP `send_nowait` writes at once, for others never.
      head: bytes that were read from it already.
    """

    def __init__(self, stream: trio.abc.Stream, head: bytes = b"") -> None:
        self.stream = stream
        self.heard_at = trio.current_time()
        """When the last bytes came, in trio's clock."""

        self.said_at = self.heard_at
        """When the last bytes were handed to the kernel."""

        self.failure: trio.BrokenResourceError | None = None
        """What the stream has raised when it broke."""

        self._head = head
        self._lock = trio.StrictFIFOLock()
        self._rest = b""
        self._aborted = False
        self._write = _writer_of(stream)

    @property
    def unsent(self) -> int:
        """Bytes that were taken by `send_nowait`, and have not been sent."""
        return len(self._rest)

    @property
    def busy(self) -> bool:
        """True while a task sends, or waits for its turn."""
        return self._lock.locked()

    def send_nowait(self, data: bytes) -> bool:
        """Write, if nobody is sending and nothing waits. Never waits.

        Returns:
          False if nothing was written. True if all was, or a part of it: then `unsent` is not 0,
          and somebody has to call `flush`.
        """
        if self._write is None or self._aborted or self._rest or self._lock.locked():
            return False
        try:
            written = self._write(data)
        except BlockingIOError:
            return False
        except OSError:
            self.abort()
            return False
        if not written:
            return False
        self.said_at = trio.current_time()
        self._rest = data[written:]
        return True

    async def flush(self) -> None:
        """Send what `send_nowait` has left. A checkpoint."""
        await self.send_all(b"")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        async with self._lock:
            if self._aborted:
                raise trio.ClosedResourceError("the connection was given up")
            rest, self._rest = self._rest, b""
            try:
                if rest:
                    await self.stream.send_all(rest)
                if data:
                    await self.stream.send_all(data)
            except trio.BrokenResourceError as exc:
                self.failure = exc
                raise
            self.said_at = trio.current_time()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        async with self._lock:
            await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        if self._head:
            await trio.lowlevel.checkpoint()
            most = len(self._head) if max_bytes is None else max_bytes
            begun, self._head = self._head[:most], self._head[most:]
            return begun
        try:
            data = await self.stream.receive_some(max_bytes)
        except trio.BrokenResourceError as exc:
            self.failure = exc
            raise
        self.heard_at = trio.current_time()
        return data

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self.stream.aclose()

    def abort(self) -> None:
        """Be of no use from now on, for either side, at once. Never waits.

        A peer on TCP sees the connection reset, or end in the middle.
        """
        if self._aborted:
            return
        self._aborted = True
        if isinstance(self.stream, Abortable):
            self.stream.abort()
            return
        place = transport_of(self.stream)
        if isinstance(place, trio.SocketStream):
            with contextlib.suppress(OSError):
                # Whoever reads or writes it is woken.
                place.socket.shutdown(trio.socket.SHUT_RDWR)


@runtime_checkable
class Direct(Protocol):
    """A stream that can be written to without waiting, such as one of a simulated network."""

    def write_nowait(self, data: bytes) -> int:
        """Write some of the data, and return how much; raise as `os.write` does."""
        ...


@runtime_checkable
class Abortable(Protocol):
    """A stream that can be of no use at once, such as one of a simulated network."""

    def abort(self) -> None:
        """See `Wire.abort`."""
        ...


def _writer_of(stream: trio.abc.Stream) -> Callable[[bytes], int] | None:
    """Return what writes to a stream at once; None if only the stream itself can, as under TLS."""
    if isinstance(stream, Direct):
        return stream.write_nowait
    return partial(_write, stream.socket) if isinstance(stream, trio.SocketStream) else None


def _write(socket: trio.socket.SocketType, data: bytes) -> int:
    number = socket.fileno()
    # -1 once it is closed: then it may be another file's number.
    return os.write(number, data) if number >= 0 else 0


def transport_of(stream: trio.abc.Stream) -> trio.abc.Stream:
    """Return the stream below TLS; of another, the stream itself."""
    while isinstance(stream, trio.SSLStream):
        inner: trio.abc.Stream = cast("Any", stream).transport_stream
        stream = inner
    return stream
