"""Connections: how each is opened and set up, and what a refusal of the database becomes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Literal, Protocol, TypeAlias
from urllib.parse import quote

import apsw

from triphase_protocol import NotAStore, StoreUnavailable

from .rows import Row

Durability: TypeAlias = Literal["full", "normal"]
"""When a transaction is on the disk; see `SqliteStore`."""

BUSY_MS: Final = 5000
"""How long a statement waits for a tool that has locked the file, such as a backup."""

WAL_BYTES_KEPT: Final = 64 * 2**20
"""To what the write-ahead log is cut when it was longer."""


class Rows(Protocol):
    """What a statement returned. It must be read to its end."""

    def __iter__(self) -> Iterator[Row]:
        """Return the rows, one by one."""
        ...

    def fetchall(self) -> list[Row]:
        """Return the rows that are left."""
        ...


class Execute(Protocol):
    """Runs a statement, with its parameters."""

    def __call__(self, statement: str, parameters: Any = ..., /) -> Rows:
        """Run it; see `Connection.execute`."""
        ...


class Connection:
    """All that is used of the driver; nothing else imports it.

    A statement is run by one cursor, which is quicker than a new one for each. So what a
    statement returned must be read before the next one runs.
    """

    def __init__(self, path: str, *, writable: bool, create: bool = False) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
        flags |= apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_CREATE * create
        still = not writable and _is_still(path)
        self._apsw = apsw.Connection(f"file:{quote(path)}?immutable={still:d}", flags=flags)
        self._apsw.set_busy_timeout(BUSY_MS)
        cursor: Any = self._apsw.cursor()
        self.execute: Execute = cursor.execute
        """Run a statement."""

        self.execute_many: Execute = cursor.executemany
        """Run a statement once for each tuple of parameters."""

        self.changes: Callable[[], int] = self._apsw.changes
        """Return how many rows the last statement that writes has changed."""

        self.close: Callable[[], None] = self._apsw.close
        """Close it; what was not committed is lost."""

    @property
    def in_transaction(self) -> bool:
        """True between a BEGIN and its end."""
        return self._apsw.in_transaction

    @property
    def writable(self) -> bool:
        """False if the file is write-protected."""
        return not self._apsw.readonly("main")

    def roll_back(self) -> None:
        """End the transaction, if there is one, without effect."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def pragma(self, name: str, value: str | int | None = None) -> Any:
        """Return the value of a pragma, after setting it if one is given."""
        driver: Any = self._apsw
        return driver.pragma(name) if value is None else driver.pragma(name, value)

    def leave_log(self) -> None:
        """Leave the write-ahead log as it is when this connection is closed."""
        self._apsw.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    def never_checkpoint(self) -> None:
        """Leave it to another connection to move the log into the file."""
        self._apsw.wal_autocheckpoint(0)


def _is_still(path: str) -> bool:
    """True if nobody has the file open, and who reads it cannot make a log beside it."""
    effective = os.access in os.supports_effective_ids
    writable = os.access(os.path.dirname(path), os.W_OK, effective_ids=effective)
    return not writable and not os.path.exists(f"{path}-wal")


@contextmanager
def refusals(path: str) -> Generator[None]:
    """Turn what the database raises into errors of ours, which name the file."""
    try:
        yield
    except apsw.NotADBError as exc:
        raise NotAStore(f"{path} is not an SQLite database") from exc
    except apsw.Error as exc:
        raise StoreUnavailable(f"{path}: {exc}") from exc


def check_place(path: str) -> None:
    """Refuse a path at which no store can be.

    Raises:
      NotAStore: if something else than a file is there.
      StoreUnavailable: if it cannot be reached: its folder does not exist, or is not ours.
    """
    folder = os.path.dirname(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if not os.path.isdir(folder):
            raise StoreUnavailable(f"{path}: the folder {folder} does not exist") from None
        return
    except OSError as exc:
        raise StoreUnavailable(f"{path} cannot be reached: {exc.strerror}") from exc
    if stat.S_ISDIR(mode):
        raise NotAStore(f"{path} is a directory")
    if not stat.S_ISREG(mode):
        raise NotAStore(f"{path} is not a regular file")


def connect_writer(path: str, durability: Durability) -> Connection:
    """Open the one connection that writes and checkpoints, creating the file if need be.

    Raises:
      StoreUnavailable: if it cannot be written.
    """
    connection = Connection(path, writable=True, create=True)
    with ExitStack() as stack:
        stack.callback(connection.close)
        if not connection.writable:
            raise StoreUnavailable(f"{path} is not writable")
        mode = connection.pragma("journal_mode", "wal")
        if mode != "wal":
            raise StoreUnavailable(f"{path}: no write-ahead log is possible here, only {mode!r}")
        connection.pragma("synchronous", durability)
        connection.pragma("journal_size_limit", WAL_BYTES_KEPT)
        connection.pragma("foreign_keys", 0)
        stack.pop_all()
    return connection


def connect_reader(path: str, *, writable: bool) -> Connection:
    """Open a connection that only reads.

    It never checkpoints: up to SQLite 3.51.2, a checkpoint by one connection while another
    writes can corrupt the file (the "WAL-reset bug" of sqlite.org/wal.html).

    Args:
      path: the file.
      writable: open it as its owner does, who may have to create the log's index.
    """
    connection = Connection(path, writable=writable)
    connection.never_checkpoint()
    connection.pragma("query_only", 1)
    return connection
