"""The reconciler: what must happen to jobs although nobody is there to do it.

Exact timers for the deadlines of jobs that wait, and a slow sweep over the store for everything
that may have been missed: runs whose owner is gone, deadlines that passed meanwhile, commands that
nobody waits for, jobs that have been kept long enough.
"""

from __future__ import annotations

from .actor import Alarm, Look, Reconciler
from .counts import SWEEP_EVERY, ReconcilerStatistics, Sweeps
from .leftovers import Leftovers
from .retention import Keeping, keeping

__all__ = [
    "SWEEP_EVERY",
    "Alarm",
    "Keeping",
    "Leftovers",
    "Look",
    "Reconciler",
    "ReconcilerStatistics",
    "Sweeps",
    "keeping",
]
