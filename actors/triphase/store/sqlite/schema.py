"""Whose file it is, which version of the schema it has, and how it gets the newest.

A migration is a numbered file in `migrations/`. All that are missing are applied when the
store is opened, in one transaction with the number of the last.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from triphase_protocol import NotAStore, StoreTooNew, StoreUnavailable

from .connection import Connection
from .statements import sql

APPLICATION_ID: Final = int.from_bytes(b"trip", "big")
"""What stands in the header of every SQLite file that is a store of triphase."""


def _migrations() -> Mapping[int, str]:
    folder = files("triphase.store.sqlite") / "migrations"
    named = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    return {int(name.partition("_")[0]): file.read_text("utf-8") for name, file in named}


MIGRATIONS: Final = _migrations()
"""The text of each migration by its number, in order."""

NEWEST: Final = max(MIGRATIONS)
"""The schema version that this triphase reads and writes."""

_TABLES: Final = sql("tables")
_SCHEMA_VERSION: Final = sql("schema_version")
_SET_SCHEMA_VERSION: Final = sql("set_schema_version")


def schema_version(connection: Connection, path: str, *, newest: int = NEWEST) -> int:
    """Return the schema version of a store, up to the newest known; 0 if the file is empty.

    Raises:
      NotAStore: if it is another application's.
      StoreTooNew: if a newer triphase wrote it.
    """
    application = connection.pragma("application_id")
    tables = {name for (name,) in connection.execute(_TABLES)}
    if not tables and application in (0, APPLICATION_ID):
        return 0
    if application != APPLICATION_ID or "meta" not in tables:
        raise NotAStore(f"{path} is an SQLite database of another application")
    version = _stored_version(connection)
    if version is None:
        raise NotAStore(f"{path} has lost its schema version: it is no store any more")
    if version > newest:
        raise StoreTooNew(
            f"{path} has schema version {version}; this triphase knows up to {newest}. "
            "It was left untouched: open it with a newer triphase"
        )
    return version


def _stored_version(connection: Connection) -> int | None:
    values = [value for (value,) in connection.execute(_SCHEMA_VERSION)]
    return int(values[0]) if values and str(values[0]).isdecimal() else None


def check_existing(path: str) -> None:
    """Refuse a file that is not a store, or too new, and leave it byte for byte as it is.

    Raises:
      NotAStore: if it is something else.
      StoreTooNew: if a newer triphase wrote it.
    """
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return
    connection = Connection(path, writable=True)
    try:
        if _has_log(path):
            # Another's log is not ours to move into its file on the way out.
            connection.leave_log()
        schema_version(connection, path)
    finally:
        connection.close()


def _has_log(path: str) -> bool:
    log = f"{path}-wal"
    return os.path.exists(log) and os.path.getsize(log) > 0


def check_readable(connection: Connection, path: str) -> None:
    """Refuse what a reader cannot read as it is.

    Raises:
      NotAStore: if it is something else, or empty.
      StoreTooNew: if a newer triphase wrote it.
      StoreUnavailable: if an older triphase wrote it, and no owner has migrated it.
    """
    version = schema_version(connection, path)
    if version == 0:
        raise NotAStore(f"{path} is empty: there is no store in it yet")
    if version < NEWEST:
        raise StoreUnavailable(
            f"{path} has schema version {version}, and version {NEWEST} is needed to read it: "
            "open it once as its owner to migrate it"
        )


def migrate(connection: Connection, path: str, migrations: Mapping[int, str] = MIGRATIONS) -> None:
    """Apply the migrations that are missing: all of them, or none.

    Raises:
      NotAStore: if it is something else.
      StoreTooNew: if a newer triphase wrote it.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = schema_version(connection, path, newest=max(migrations))
        for number, text in migrations.items():
            if number > version:
                connection.execute(text).fetchall()
                connection.execute(_SET_SCHEMA_VERSION, (str(number),))
        if version == 0:
            connection.pragma("application_id", APPLICATION_ID)
        connection.execute("COMMIT")
    finally:
        connection.roll_back()
