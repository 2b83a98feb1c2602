"""Who owns a store file: one process at a time, and it can be named."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from triphase_protocol import StoreLocked, StoreUnavailable


class OwnerLock:
    """An exclusive lock on a file beside the store, which ends with the process that holds it.

    The file holds the owner's process id as text. It is never deleted: a second process
    could have opened it, and would then own a file that a third no longer finds.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        """The lock file."""

        self._descriptor = descriptor

    @classmethod
    def take(cls, store: str) -> OwnerLock:
        """Lock a store file, without waiting.

        Raises:
          StoreLocked: if it is locked already, by another process or by this one.
          StoreUnavailable: if the lock file cannot be written.
        """
        path = f"{store}-lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as exc:
            raise StoreUnavailable(f"{store}: cannot write its lock file: {exc}") from exc
        try:
            _lock(descriptor, store)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def release(self) -> None:
        """Let another take it."""
        os.close(self._descriptor)


def _lock(descriptor: int, store: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        owner = os.pread(descriptor, 32, 0).decode("ascii", errors="replace").strip()
        raise StoreLocked(
            f"{store} is owned by process {owner or '(unknown)'}: one process at a time may open it"
        ) from exc
    except OSError as exc:
        raise StoreUnavailable(f"{store}: cannot lock its lock file: {exc}") from exc
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def owner_of(path: str) -> int | None:
    """Return the process that owns a store file, or None if nobody does."""
    try:
        descriptor = os.open(f"{path}-lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pid = int(os.pread(descriptor, 32, 0) or b"0")
        # A lock that is taken to see whether it can be would turn away an owner who comes at
        # that moment: so only when the owner that the file names could still be alive.
        if not _alive(pid):
            return None
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        return pid
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except OSError as exc:
        return exc.errno == errno.EPERM
    return True
