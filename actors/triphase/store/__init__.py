"""Where jobs live: the interface that every store implements, and the stores there are."""

from __future__ import annotations

from .backend import Query, Store, StoreStatistics
from .location import store_from
from .operations import (
    Applied,
    Claim,
    Limits,
    Operation,
    Rejected,
    Result,
    Step,
    Submit,
    Why,
)
from .simulated import Disk, SimulatedStore
from .sqlite import SqliteStore

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
