"""A store in one SQLite file; only here is the database's driver imported.

The parts, from the outside in: `store` is the store itself and `reader` its reading half,
`writer` applies operations, `loading` and `rows` make records of rows. `schema` holds
whose file it is and migrates it, `lock` says who owns it, `pace` decides in which thread
to write.
"""

from __future__ import annotations

from .connection import Durability as Durability
from .lock import owner_of as owner_of
from .reader import Reader as Reader, open_reader as open_reader
from .store import SqliteStore as SqliteStore

__all__ = ["Durability", "Reader", "SqliteStore", "open_reader", "owner_of"]
