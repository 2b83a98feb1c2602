"""A store from what a user writes: a path, a URL, or a store."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import parse_qsl

from triphase.entropy import Entropy
from triphase_protocol import StoreError

from .backend import Store
from .simulated import Disk, SimulatedStore
from .sqlite import Durability, SqliteStore

MEMORY: Final = "memory:"
"""The location of a store that lives as long as its runtime."""

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)


def store_from(location: str | os.PathLike[str] | Store) -> Store:
    """Return the store at a location; it is not opened yet.

    Args:
      location: the path of an SQLite file; `"sqlite:///relative.db"` or
        `"sqlite:////absolute.db"`, with `?durability=normal` if wanted; `"memory:"`; or a
        store, which is returned as it is.

    Raises:
      StoreError: if it is none of these.
    """
    if isinstance(location, Store):
        return location
    text = os.fspath(location)
    if text == MEMORY:
        return SimulatedStore(Disk(Entropy().id()))
    url = _URL.fullmatch(text)
    if url is None:
        return _sqlite(text, location=text)
    scheme, rest = url["scheme"].lower(), url["rest"]
    if scheme == "sqlite":
        path, _, options = rest.partition("?")
        return _sqlite(path.removeprefix("/"), options, location=text)
    # The rest may hold a password, and errors end up in logs.
    if scheme.partition("+")[0] in ("postgres", "postgresql"):
        raise StoreError(f"store={scheme + '://…'!r}: PostgreSQL is not available in this version")
    raise StoreError(
        f"store={scheme + '://…'!r}: there is no such store; "
        f'give a path, "sqlite:///a.db" or "{MEMORY}"'
    )


def _sqlite(path: str, options: str = "", *, location: str) -> SqliteStore:
    if path in ("", ":memory:") or "\0" in path:
        raise StoreError(
            f'store={location!r} names no file; give its path, or "{MEMORY}" for a store '
            "that keeps nothing"
        )
    durability: Durability = "full"
    for name, value in parse_qsl(options, keep_blank_values=True):
        if name != "durability" or value not in ("full", "normal"):
            raise StoreError(
                f"store={location!r}: {name}={value} is not an option; "
                "durability=full and durability=normal are"
            )
        durability = "normal" if value == "normal" else "full"
    return SqliteStore(path, durability=durability)
