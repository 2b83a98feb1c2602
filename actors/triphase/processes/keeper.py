"""The process that keeps a command which may outlive the runtime that started it.

    python -I -S keeper.py FOLDER        # the command, as JSON, on stdin

It is run as a file, and knows nothing but the standard library: one is there for as long as
each such command, and should be small. It leaves in the folder:

- `identity.json`, before the command begins: who the command and the keeper are. While that
  file cannot be written, the command does not begin; if somebody else has put a file there
  to call the start off, it never does.
- `stdout.*` and `stderr.*`: the first and the last bytes that the command wrote.
- `exit.json`, as the last thing: how it ended. The command stays a zombie until it is there, so
  whoever sees neither the command nor its keeper nor this file knows that it will not come.

The keeper ignores what a terminal or a service manager may send it. A kill of it leaves the
command with a broken pipe, and no exit record.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import signal
import sys
import time
from types import FrameType
from typing import Any, NoReturn

IDENTITY = "identity.json"
EXIT = "exit.json"

_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_PYTHONS_OWN = (signal.SIGPIPE, signal.SIGXFSZ)
_RECORD_TRIES = 60
_SEGMENT_LEAST = 2**16


def boot_id() -> str:
    """Return what tells this start of the machine from every other.

    Raises:
      OSError: where there is no such thing.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def started(pid: int) -> tuple[str, int] | None:
    """Return a process's state, and its start in ticks since the boot; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name, in parentheses, may hold anything.
            fields = file.read().rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def write_record(folder: str, name: str, record: object, *, anew: bool = False) -> None:
    """Write a JSON file that is there as a whole or not at all, and survives a power cut.

    Args:
      folder: where.
      name: its name.
      record: what it holds.
      anew: fail if there is such a file already.

    Raises:
      FileExistsError: then.
      OSError: if it cannot be written.
    """
    path = os.path.join(folder, name)
    draft = f"{path}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        if anew:
            os.link(draft, path)
            os.unlink(draft)
        else:
            os.rename(draft, path)
    except OSError:
        os.unlink(draft)
        raise
    sync_folder(folder)


def sync_folder(folder: str) -> None:
    """Make what was put into a folder survive a power cut.

    Raises:
      OSError: if that cannot be done.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Kept:
    """The first and the last bytes of a stream, in files.

    The last ones are in segments: when one is full a new one is begun, and all but one of the
    full ones are removed. So there is at least as much as is to be kept, and it is bounded.

    Args:
      folder: where.
      name: of the stream.
      most: how many bytes are to be kept.
    """

    def __init__(self, folder: str, name: str, most: int) -> None:
        self._path = os.path.join(folder, name)
        self._segment = max(most - most // 2, _SEGMENT_LEAST)
        self._left = most // 2
        self._file = self._open("head")
        self._number = 0
        self.total = 0
        """Bytes that were written in all."""

    def add(self, data: bytes) -> None:
        """Add what was written next. When the disk is full it is only counted."""
        self.total += len(data)
        try:
            while data:
                if not self._left:
                    self._next()
                taken = os.write(self._file, data[: self._left])
                self._left -= taken
                data = data[taken:]
        except OSError:
            return

    def _next(self) -> None:
        full, self._file = self._file, self._open(f"tail-{self._number}")
        os.close(full)
        self._left = self._segment
        if self._number >= 2:
            os.unlink(f"{self._path}.tail-{self._number - 2}")
        self._number += 1

    def _open(self, suffix: str) -> int:
        return os.open(f"{self._path}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


class Keeper:
    """Runs one command; see the module's text.

    Args:
      folder: where its files go; an absolute path.
      command: argv, cwd, env, stdin (base64) and output_bytes_max.
    """

    def __init__(self, folder: str, command: dict[str, Any]) -> None:
        self._folder = folder
        self._command = command
        self._out, self._err, self._in = os.pipe(), os.pipe(), os.pipe()
        self._gate, self._word = os.pipe(), os.pipe()
        self._stdin = base64.b64decode(command["stdin"] or "")
        self._pid = 0

    def run(self) -> None:
        """Run the command to its end, and leave the record.

        Raises:
          OSError: if it could not begin, for want of a place for its identity.
        """
        most = self._command["output_bytes_max"]
        out, err = Kept(self._folder, "stdout", most), Kept(self._folder, "stderr", most)
        self._pid = os.fork()
        if self._pid == 0:
            self._become_the_command()
        began = time.monotonic()
        for descriptor in (self._out[1], self._err[1], self._in[0], self._gate[0], self._word[1]):
            os.close(descriptor)
        # Its group is there from now on.
        os.read(self._word[0], 1)
        write_record(self._folder, IDENTITY, self._identity(), anew=True)
        os.write(self._gate[1], b"!")
        _tell_and_forget_our_parent()
        problem = os.read(self._word[0], 4096).decode("utf-8", "replace")
        self._attend(out, err)
        self._record(
            {
                "exit_code": self._exit_code(),
                "problem": problem or None,
                "seconds": time.monotonic() - began,
                "stdout": out.total,
                "stderr": err.total,
            }
        )
        os.waitpid(self._pid, 0)

    def _identity(self) -> dict[str, Any]:
        return {
            "boot": boot_id(),
            "group": self._pid,
            "command": _process(self._pid),
            "keeper": _process(os.getpid()),
        }

    def _become_the_command(self) -> NoReturn:
        """In the child: wait until the identity is durable, and become the command."""
        try:
            os.setsid()
            for descriptor, place in ((self._in[0], 0), (self._out[1], 1), (self._err[1], 2)):
                os.dup2(descriptor, place)
            for number in (*_IGNORED, *_PYTHONS_OWN, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.close(self._gate[1])
            os.write(self._word[1], b"!")
            if os.read(self._gate[0], 1):
                self._execute()
        finally:
            os._exit(127)

    def _execute(self) -> None:
        argv, cwd, env = (self._command[name] for name in ("argv", "cwd", "env"))
        place = cwd
        try:
            if cwd is not None:
                os.chdir(cwd)
            place = argv[0]
            os.execvpe(argv[0], argv, os.environ if env is None else env)
        except OSError as exc:
            # The error's own words would name the last folder of PATH.
            problem = f"[Errno {exc.errno}] {exc.strerror}: {place!r}"
            os.write(self._word[1], problem.encode("utf-8", "replace"))

    def _attend(self, out: Kept, err: Kept) -> None:
        """Feed it, take what it writes, until it has ended; then end what is left of its group."""
        wake = _wake_at_the_end_of_a_child()
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            for descriptor, kept in ((self._out[0], out), (self._err[0], err)):
                os.set_blocking(descriptor, False)
                selector.register(descriptor, selectors.EVENT_READ, kept)
            os.set_blocking(self._in[1], False)
            selector.register(self._in[1], selectors.EVENT_WRITE)
            while not self._has_ended():
                for key, _ in selector.select():
                    self._serve(selector, key)
        os.killpg(self._pid, signal.SIGKILL)
        for descriptor, kept in ((self._out[0], out), (self._err[0], err)):
            # Somebody outside of the group may hold it open, and write on and on.
            for _ in range(64):
                if not _take(descriptor, kept):
                    break

    def _serve(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, Kept):
            if _take(key.fd, key.data) == b"":
                selector.unregister(key.fd)
        elif key.fd == self._in[1]:
            try:
                self._stdin = self._stdin[os.write(key.fd, self._stdin[: 2**16]) :]
            except BlockingIOError:
                return
            # It need not read all of it, or any.
            except OSError:
                self._stdin = b""
            if not self._stdin:
                selector.unregister(key.fd)
                os.close(key.fd)
        else:
            os.read(key.fd, 512)

    def _has_ended(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._pid, flags) is not None

    def _exit_code(self) -> int:
        found = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        assert found is not None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def _record(self, record: dict[str, Any]) -> None:
        for left in reversed(range(_RECORD_TRIES)):
            try:
                write_record(self._folder, EXIT, record)
                return
            # The disk is full; it may not stay so. If the folder is gone nobody will ask.
            except OSError:
                if not left or not os.path.isdir(self._folder):
                    raise
                time.sleep(1)


def _process(pid: int) -> dict[str, int]:
    found = started(pid)
    assert found is not None
    return {"pid": pid, "started": found[1]}


def _take(descriptor: int, kept: Kept) -> bytes | None:
    """Take what there is: nothing at the end of the stream, None if there is nothing now."""
    try:
        data = os.read(descriptor, 2**16)
    except BlockingIOError:
        return None
    kept.add(data)
    return data


def _wake_at_the_end_of_a_child() -> int:
    """Return a descriptor that is readable after the end of a child."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _nothing(number: int, frame: FrameType | None) -> None:
    """Unlike an ignored signal, one that is handled so wakes us, and leaves zombies."""


def _tell_and_forget_our_parent() -> None:
    """Say that the command has an identity, and let go of what we share with our parent."""
    # If it was killed in the meantime the command goes on: it will be found by its folder.
    with contextlib.suppress(OSError):
        os.write(1, b"ok\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    for place in (0, 1, 2):
        os.dup2(nothing, place)
    os.chdir("/")


def main() -> None:
    """Keep the command that is on stdin."""
    folder = sys.argv[1]
    command = json.loads(sys.stdin.buffer.read())
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if os.fork():
        # So the system is the keeper's parent, and nobody has to wait for it.
        os._exit(0)
    try:
        Keeper(folder, command).run()
    except OSError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
