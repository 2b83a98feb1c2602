"""Where jobs live: the interface that every store implements, and the stores there are."""

from __future__ import annotations

from .backend import Extent, Query, QueueSetting, Store, StoreStatistics
from .location import store_from
from .operations import (
    Applied,
    Claim,
    Delete,
    Done,
    HookStep,
    Limits,
    NewHook,
    Operation,
    Prune,
    Redeliver,
    Rejected,
    Result,
    SetQueue,
    Step,
    Submit,
    Why,
)
from .simulated import Disk, SimulatedStore
from .sqlite import SqliteStore

__all__ = [
    "Applied",
    "Claim",
    "Delete",
    "Disk",
    "Done",
    "Extent",
    "HookStep",
    "Limits",
    "NewHook",
    "Operation",
    "Prune",
    "Query",
    "QueueSetting",
    "Redeliver",
    "Rejected",
    "Result",
    "SetQueue",
    "SimulatedStore",
    "SqliteStore",
    "Step",
    "Store",
    "StoreStatistics",
    "Submit",
    "Why",
    "store_from",
]
