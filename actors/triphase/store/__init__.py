"""Where jobs live: the interface that every store implements, and the stores there are."""

from __future__ import annotations

from .backend import Query as Query
from .backend import Store as Store
from .backend import StoreStatistics as StoreStatistics
from .location import store_from as store_from
from .operations import (
    Applied as Applied,
)
from .operations import (
    Claim as Claim,
)
from .operations import (
    Limits as Limits,
)
from .operations import (
    Operation as Operation,
)
from .operations import (
    Rejected as Rejected,
)
from .operations import (
    Result as Result,
)
from .operations import (
    Step as Step,
)
from .operations import (
    Submit as Submit,
)
from .operations import (
    Why as Why,
)
from .simulated import Disk as Disk
from .simulated import SimulatedStore as SimulatedStore
from .sqlite import SqliteStore as SqliteStore

__all__ = [
    "Applied",
    "Claim",
    "Disk",
    "Limits",
    "Operation",
    "Query",
    "Rejected",
    "Result",
    "SimulatedStore",
    "SqliteStore",
    "Step",
    "Store",
    "StoreStatistics",
    "Submit",
    "Why",
    "store_from",
]
